"""`mer bundle`: trained bundles on their way to other machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mer.predict_cli import Weights, weights_of

app = typer.Typer(help="Pack, unpack, tell of and export a trained bundle.", no_args_is_help=True)

BUNDLE = Path("data/models/bundle")


@app.command()
def pack(
    out: Annotated[Path, typer.Argument(help="The file to write")],
    bundle: Annotated[Path, typer.Option(help="Trained bundle")] = BUNDLE,
    with_encoders: Annotated[
        bool, typer.Option("--with-encoders", help="Take the weights of its encoders along: it is whole then")
    ] = False,
    weights: Weights = None,
) -> None:
    """Write a bundle to one file, without the big weights of its encoders unless they are asked for."""
    from mer.prediction.packing import pack

    taken = pack(bundle, out, with_encoders=with_encoders, weights=weights_of(weights))
    with_ = f", with the weights of {', '.join(taken)}" if taken else ""
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB{with_}")


@app.command()
def unpack(
    file: Annotated[Path, typer.Argument(help="What `mer bundle pack` wrote")],
    folder: Annotated[Path, typer.Argument(help="The folder to make")],
) -> None:
    """Write a packed bundle's folder, for `mer predict --bundle`."""
    from mer.prediction.packing import unpack

    unpack(file, folder)
    print(f"{folder}: mer predict --bundle {folder} FILES")


@app.command()
def show(bundle: Annotated[Path, typer.Argument(help="Trained bundle, or a packed one")] = BUNDLE) -> None:
    """Tell what a bundle learned from, how good it was, and which weights it needs and has."""
    from mer.about import tell
    from mer.prediction.packing import opened, tell_weights

    with opened(bundle) as folder:
        print("\n".join([tell(folder), *tell_weights(folder)]))


@app.command()
def onnx(
    out: Annotated[Path, typer.Argument(help="The .onnx file to write")],
    bundle: Annotated[Path, typer.Option(help="Trained bundle")] = BUNDLE,
) -> None:
    """Export the classifier, from features to probabilities, for who serves elsewhere; encoders stay as they are."""
    from mer.prediction.export import export_onnx
    from mer.prediction.packing import opened
    from mer.self_training.bundle_reading import load_bundle

    with opened(bundle) as folder:
        loaded = load_bundle(folder)
        export_onnx(loaded, out)
    if loaded.numbers is not None:
        print(f"without the targets {', '.join(loaded.numbers.targets)}: classes alone are exported", file=sys.stderr)
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")
