"""Licences of everything that the default install brings, by what the packages say of themselves.

python -m tests.reliability.licences

Ends with 1 where one not in `KNOWN` is under the GPL or AGPL, or where `pip check` finds two that do not fit.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

KNOWN = {"pygit2": "GPL-2.0 with a linking exception", "grandalf": "GPL-2.0 or EPL-1.0"}
"""Both come with DVC, which runs as a program of its own."""
STRONG = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|(?<!Lesser )General Public License", re.IGNORECASE)


def installed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """A distribution and, below it, all that it requires here without extras."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    seen.add(key)
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return  # for another platform
    yield found
    for text in found.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from installed(requirement.name, seen)


def licence(of: Distribution) -> str:
    """The licence expression, or the classifiers, or the first line of the free text."""
    metadata = of.metadata
    classifiers = [one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier") or () if "License ::" in one]
    text = (metadata.get("License") or "").strip().split("\n")[0][:60]
    return metadata.get("License-Expression") or ", ".join(classifiers) or text or "not said"


def main() -> None:
    rows = sorted((one.metadata["Name"], one.version, licence(one)) for one in installed("mer", set()))
    for name, version, terms in rows:
        print(f"{name:28} {version:18} {terms}")
    strong = [name for name, _, terms in rows if STRONG.search(terms) and " OR " not in terms]
    new = sorted(set(strong) - KNOWN.keys())
    print(f"{len(rows)} packages; under the GPL: {', '.join(strong) or 'none'}; new: {', '.join(new) or 'none'}")
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    print(check.stdout.strip())
    sys.exit(1 if new or check.returncode else 0)


if __name__ == "__main__":
    main()
