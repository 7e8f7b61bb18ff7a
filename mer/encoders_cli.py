"""`mer encoders`: real encoders from the ordinary package registries, or from folders of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mer.errors import MerError

if TYPE_CHECKING:
    from mer.weights.provenance import Provenance

app = typer.Typer(help="Fetch, check and list encoder folders.", no_args_is_help=True)

Root = Annotated[Path, typer.Option("--root", help="The folder of the encoders.")]
HERE = Path("encoders")
MEGABYTE = 1e6


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones; all where none is named")] = None,
    root: Root = HERE,
) -> None:
    """Download, check, convert; what is there already is left alone, and what was cut goes on where it stopped."""
    from mer.weights.catalogue import find_parts
    from mer.weights.fetch import fetch

    report = fetch(find_parts(tuple(names or ())), root)
    if report.failed:
        done = len(report.written) + len(report.kept)
        raise MerError(
            f"{len(report.failed)} of {done + len(report.failed)} encoders are not there, see above; run again"
        )


@app.command("list")
def list_encoders(root: Root = HERE) -> None:
    """What can be fetched and what is there: size, licence, origin, and the params that name it."""
    from mer.weights import provenance
    from mer.weights.add import usage
    from mer.weights.catalogue import PARTS

    for part in PARTS:
        about = provenance.read(root / part.name)
        megabytes = sum(package.size for package in part.packages) / MEGABYTE
        state = f"{about.size / MEGABYTE:.1f} MB" if about else f"not fetched ({megabytes:.0f} MB)"
        print(f"{part.name:18} {state:24} {part.licence:12} {part.role}")
        print(f"{'':18} {part.origin}; from {', '.join(map(str, part.packages))}")
        _print_usage({key: value.format(folder=root / part.name) for key, value in part.params.items()})
    for folder, about in _own(root, {part.name for part in PARTS}):
        print(
            f"{folder.name:18} {about.size / MEGABYTE:.1f} MB added from {about.origin} ({about.licence}): {about.role}"
        )
        _print_usage(dict(usage(about, folder)))


@app.command()
def verify(root: Root = HERE) -> None:
    """Hash every file of every folder that is there; exit 1 where one is not what was written."""
    from mer.weights import provenance

    found = sorted(root.iterdir()) if root.is_dir() else []
    folders = [path for path in found if path.is_dir() and not path.name.startswith(".")]
    if not folders:
        raise MerError(f"{root}: no encoders there; mer encoders fetch")
    wrong = 0
    for folder in folders:
        faults = [*_other_source(folder), *provenance.faults(folder)]
        wrong += bool(faults)
        about = provenance.read(folder)
        fine = f"{len(about.files) if about else 0} files as they were written"
        print(f"{folder.name}: {'; '.join(faults) or fine}")
    if wrong:
        raise MerError(f"{wrong} of {len(folders)} encoders are damaged; mer encoders fetch writes its own again")


@app.command()
def add(
    source: Annotated[Path, typer.Argument(help="Hugging Face or CTranslate2 folder, fairseq .pt, .onnx or .tflite")],
    name: Annotated[str | None, typer.Option(help="Name of the folder; that of the source by default")] = None,
    licence: Annotated[str, typer.Option(help="What its provenance says of its licence")] = "not stated",
    root: Root = HERE,
) -> None:
    """Copy or convert weights of your own into the folder of the encoders."""
    from mer.weights.add import add, usage

    about = add(source, root, name=name, licence=licence)
    print(f"{about.name}: {about.size / MEGABYTE:.1f} MB in {root / about.name}, {about.role}")
    _print_usage(dict(usage(about, root / about.name)))


def _print_usage(values: dict[str, str]) -> None:
    if values:
        print(f"{'':18} " + " ".join(f"-S {key}={value}" for key, value in values.items()))


def _own(root: Path, known: set[str]) -> Iterator[tuple[Path, Provenance]]:
    from mer.weights import provenance

    folders = sorted(root.iterdir()) if root.is_dir() else []
    for folder in folders:
        about = provenance.read(folder) if folder.name not in known else None
        if about is not None:
            yield folder, about


def _other_source(folder: Path) -> list[str]:
    """Whether a folder with a name of the catalogue's was made of other packages than those pinned there."""
    from mer.weights import provenance
    from mer.weights.catalogue import PARTS

    about = provenance.read(folder)
    for part in PARTS:
        if about is not None and part.name == folder.name:
            wanted = {package.file: package.sha256 for package in part.packages}
            return [] if provenance.sources_of(about) == wanted else ["made of other packages than the pinned ones"]
    return []
