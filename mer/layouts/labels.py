"""Label maps: what the corpus calls a class -> what we call it, or nothing where its clips are dropped.

`corpus.label_map` is a mapping, or the name of one that is shipped in `maps/`. A label meets its entry without regard
to capitals. Labels that no entry names are counted and named before anything runs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mer.errors import MerError
from mer.params import CorpusParams

SHIPPED = Path(__file__).parent / "maps"
Map = Mapping[str, str | None]
UNKNOWN = "nan"


@dataclass(frozen=True)
class Naming:
    """How a corpus names its classes: all that a layout knows of its labels.

    `classes` is their order, None where only the labels can tell; `spelled` maps codes to names (`ANG` -> `anger`), by
    either of which a label map may call a class; `label_map` names the shipped map that is taken where params have
    none.
    """

    classes: tuple[str, ...] | None = None
    spelled: Mapping[str, str] = field(default_factory=dict)
    label_map: str | None = None


@dataclass(frozen=True)
class Labels:
    """Our classes in order, and how each label of the corpus is called here: None drops the clip."""

    classes: tuple[str, ...]
    ours: Map

    def __contains__(self, label: str) -> bool:
        return label in self.ours

    def __getitem__(self, label: str) -> str | None:
        return self.ours[label]


def shipped_map(name: str) -> dict[str, str | None]:
    """A label map that comes with mer."""
    found: dict[str, str | None] = json.loads((SHIPPED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def name_labels(found: Iterable[tuple[str, str, bool]], params: CorpusParams, naming: Naming) -> Labels:
    """Our name of each label that was found.

    Args:
        found: of each clip with a label: where it stands (file and line), the label, and whether the clip is in the
            labeled split. The test split has no say in what the classes are.

    Raises:
        MerError: labels have no name here. The line says where the first stands, and counts all of them.
    """
    found = list(found)
    chosen = params.label_map if params.label_map is not None else naming.label_map
    mapped: Map = shipped_map(chosen) if isinstance(chosen, str) else chosen or {}
    if naming.classes is None and not params.classes and UNKNOWN not in _keys(mapped):
        _refuse_no_label(found)
    classes = params.classes or _classes(mapped, chosen is not None, naming, found)
    for theirs, ours in mapped.items():
        if ours is not None and ours not in classes:
            raise MerError(f"corpus.label_map: '{theirs}' is to be '{ours}', which is none of {', '.join(classes)}")
    table = {
        **{name.casefold(): name for name in classes},
        **{code.casefold(): name for code, name in naming.spelled.items() if name in classes},
        **{theirs.casefold(): ours for theirs, ours in mapped.items()},
    }
    names: dict[str, str | None] = {}
    for label in dict.fromkeys(label for _, label, _ in found):
        for word in (label, naming.spelled.get(label, label)):
            if label in names or word.casefold() not in table:
                continue
            names[label] = word if word in classes and word.casefold() not in _keys(mapped) else table[word.casefold()]
    _refuse_unknown(found, names, classes, chosen)
    return Labels(classes, names)


def _keys(mapped: Map) -> set[str]:
    return {theirs.casefold() for theirs in mapped}


def _classes(mapped: Map, chosen: bool, naming: Naming, found: Iterable[tuple[str, str, bool]]) -> tuple[str, ...]:
    """The classes in order: the corpus' own less what is mapped away, then what the map adds; or those found."""
    targets = list(dict.fromkeys(ours for ours in mapped.values() if ours is not None))
    if naming.classes is not None and not (chosen and naming.label_map):
        spelled = {code: name.casefold() for code, name in naming.spelled.items()}
        away = {spelled.get(theirs, theirs.casefold()) for theirs in mapped}
        kept = [name for name in naming.classes if name in targets or name.casefold() not in away]
        return tuple(dict.fromkeys([*kept, *targets]))
    if chosen:
        return tuple(targets)
    return tuple(sorted(_one_spelling(label for _, label, labeled in found if labeled)))


def _one_spelling(labels: Iterable[str]) -> set[str]:
    """Labels that differ by capitals alone are one, written as most of them are."""
    counts = Counter(labels)
    best: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        best.setdefault(label.casefold(), label)
    return set(best.values())


def _refuse_no_label(found: Iterable[tuple[str, str, bool]]) -> None:
    """A class called 'nan' is no class, where nobody has named it."""
    for where, label, _ in found:
        if label.casefold() == UNKNOWN:
            raise MerError(
                f"{where}: label '{label}' is how programs write that there is none; leave the cell empty, or say in "
                "corpus.label_map what it is"
            )


def _in_order(where: str) -> list[tuple[int, str]]:
    """Order of places in files: line 9 comes before line 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", where)]


def _refuse_unknown(
    found: Iterable[tuple[str, str, bool]], names: Map, classes: tuple[str, ...], chosen: str | Map | None
) -> None:
    unknown = [(where, label) for where, label, _ in found if label not in names]
    if not unknown:
        return
    where, label = min(unknown, key=lambda one: _in_order(one[0]))
    counts = Counter(label for _, label in unknown)
    listed = ", ".join(f"'{name}' ({count})" for name, count in counts.most_common(10))
    total = f"; {len(unknown)} clips have such labels: {listed}" if len(unknown) > 1 else ""
    more = f", and {len(counts) - 10} labels more" if len(counts) > 10 else ""
    missing = "corpus.label_map names none of them: map each" if chosen else "corpus.label_map may map it"
    todo = f"; {missing} to a class, or to null to drop its clips"
    raise MerError(f"{where}: label '{label}' is none of {', '.join(classes)}{total}{more}{todo}")
