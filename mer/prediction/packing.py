"""Bundles that travel: packed into one file, with or without the weights of their encoders, and unpacked elsewhere.

A packed bundle is an uncompressed tar of the folder's files in the order of their names, with fixed times and owners,
so that the same bundle gives the same bytes. Weights lie in `weights/<what they encode>` inside the folder, where
`mer predict` looks first.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mer.errors import MerError
from mer.provenance import PACKED, needed_weights, packed_weights, read_provenance
from mer.running.foreign import foreign
from mer.running.machine import explain
from mer.self_training.bundle_reading import load_bundle

MOST_BYTES = 2**40
"""Of an unpacked bundle."""
MOST_FILES = 100_000


def pack(folder: str | Path, out: str | Path, *, with_encoders: bool, weights: Mapping[str, str]) -> list[str]:
    """Write a bundle to one file; the names of the weights that went in.

    Args:
        folder: the bundle's.
        out: the file to write; it is there whole, or as it was.
        with_encoders: take the weights of its encoders along, so that it needs nothing else.
        weights: where these lie now: see `mer.prediction.predictor.Predictor`.

    Raises:
        MerError: the bundle is none, or weights are not there.
    """
    folder, out = Path(folder), Path(out)
    with opened(folder) as folder:
        bundle = load_bundle(folder)
        made = read_provenance(bundle.extra, folder, weights)
        taken = needed_weights(made.params) if with_encoders else {}
        files = dict(_files(folder, PurePosixPath()))
        for name, path in taken.items():
            inside = PurePosixPath(PACKED) / name
            files = {at: file for at, file in files.items() if not at.is_relative_to(inside)}
            if not path.exists():
                raise MerError(f"{folder}: the {name} weights are not at {path}; say --weights {name}=PATH")
            files |= dict(_files(path, inside)) if path.is_dir() else {inside / path.name: path}
        try:
            _write(out, files)
        except OSError as error:
            raise MerError(f"{explain(error, out)}") from None
    return list(taken)


def unpack(file: str | Path, folder: str | Path) -> None:
    """Write a packed bundle's folder.

    Raises:
        MerError: the file is no packed bundle, or something is at `folder` already.
    """
    file, folder = Path(file), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MerError(f"{folder}: is there already; name another folder, or take it away")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise MerError(explain(error, folder)) from None
    try:
        _extract(file, new)
        load_bundle(new)
        new.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def opened(path: str | Path) -> Iterator[Path]:
    """The folder of a bundle; a packed one is unpacked for as long as it is used."""
    path = Path(path)
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mer-") as folder:
        _extract(path, Path(folder))
        yield Path(folder)


def tell_weights(folder: Path) -> list[str]:
    """A line for each encoder that has weights: in the bundle, elsewhere on this machine, or missing."""
    bundle = load_bundle(folder)
    made = read_provenance(bundle.extra, folder, {})
    lines = []
    for name, path in needed_weights(made.params).items():
        inside = packed_weights(folder, name) is not None
        where = "in the bundle" if inside else f"at {path}" if path.exists() else f"missing: not at {path}"
        lines.append(f"weights    {name}: {where}")
    return lines


def _files(folder: Path, above: PurePosixPath) -> Iterator[tuple[PurePosixPath, Path]]:
    """Regular files at any depth, by their name in the bundle; links are followed, hidden files left."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            yield above / inside.as_posix(), path


def _write(out: Path, files: Mapping[PurePosixPath, Path]) -> None:
    new = out.with_name(f"{out.name}.new")
    try:
        with tarfile.open(new, "w", format=tarfile.PAX_FORMAT) as archive:
            for name in sorted(files):
                about = tarfile.TarInfo(str(name))
                about.size = files[name].stat().st_size
                with files[name].open("rb") as content:
                    archive.addfile(about, content)
        os.replace(new, out)
    finally:
        new.unlink(missing_ok=True)


def _extract(file: Path, folder: Path) -> None:
    """Regular files with names that stay inside, and nothing else."""
    total = 0
    with foreign(f"{file}: not a packed bundle"), tarfile.open(file, "r:") as archive:
        for number, about in enumerate(archive):
            name = PurePosixPath(about.name)
            total += about.size
            if not about.isreg() or name.is_absolute() or ".." in name.parts or "\\" in about.name:
                raise MerError(f"{file}: not a packed bundle: it holds '{about.name}', which is no plain file in it")
            if number >= MOST_FILES or total > MOST_BYTES:
                raise MerError(f"{file}: not a packed bundle: it holds more than any bundle would")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(about)
            assert content is not None
            with content, target.open("xb") as out:
                shutil.copyfileobj(content, out)
