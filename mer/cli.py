"""The `mer` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mer import bundle_cli, cache_cli, encoders_cli, evaluate_cli, predict_cli, serve_cli, submit_cli
from mer.errors import MerError
from mer.running.console import LOCALE, take_any_letter, told
from mer.running.machine import explain

app = typer.Typer(
    help="Multimodal emotion recognition from short video clips.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.add_typer(cache_cli.app, name="cache")
app.add_typer(encoders_cli.app, name="encoders")
app.add_typer(bundle_cli.app, name="bundle")
app.command()(predict_cli.predict)
app.command()(serve_cli.serve)
app.command()(evaluate_cli.evaluate)
app.command()(submit_cli.submit)

# Commands import what they need when they run: `mer --help` should not wait for torch.


@app.command()
def show(
    path: Annotated[Path | None, typer.Argument(help="Metrics of an evaluation, or a bundle; the last run's")] = None,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Tell what a bundle learned from, and how good it was")
    ] = False,
) -> None:
    """Print the weighted-F1 of the last run with its interval, or what a trained bundle is."""
    if bundle:
        from mer.about import tell

        print(tell(path or Path("data/models/bundle")))
        return
    from mer.evaluation.headline import headline

    print(headline(path or Path("metrics/evaluate.json")))


@app.command()
def views(
    path: Annotated[Path, typer.Argument(help="Metrics of a ranking; the last run's")] = Path("metrics/views.json"),
) -> None:
    """Rank the views: what each scores alone by an out-of-fold linear probe, its coverage, and the best pair."""
    from mer.evaluation.view_ranking import table
    from mer.running.foreign import read_json

    print(table(read_json(path, f"{path}: run `dvc repro rank_views`")))


@app.command()
def report(
    against: Annotated[
        str | None, typer.Option(help="Predictions file, commit or experiment to say what changed against it")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write")] = Path("data/report/against.html"),
) -> None:
    """Write the page to browse the last run, with what changed against another one."""
    from mer.evaluation.report import read_results, write_report
    from mer.evaluation.runs import read_predictions
    from mer.params import load_params

    other = None if against is None else (against, read_predictions(against))
    write_report(out, read_results(load_params(), against=other))
    print(out)


@app.command()
def preset(
    names: Annotated[
        list[str] | None, typer.Argument(help="Presets to apply, in order; none lists what there is")
    ] = None,
    params: Annotated[Path, typer.Option(help="The params file to change")] = Path("params.yaml"),
    folder: Annotated[Path, typer.Option(help="Where the presets are")] = Path("presets"),
) -> None:
    """Set the params that a preset names, and print what changed; all else in the file stays as it is."""
    from mer.params.preset import apply_presets, missing_folders, presets, read_preset

    if not names:
        print("\n".join(f"{name:12} {about}" for name, about in presets(folder).items()) or f"no presets in {folder}/")
        return
    changes = apply_presets(names, params, folder)
    print("\n".join(map(str, changes)) or f"{params} has these values already")
    for path in missing_folders({key: value for name in names for key, value in read_preset(name, folder).items()}):
        print(f"{path} is not there yet: make encoders")


@app.command()
def compare(
    a: Annotated[
        str, typer.Argument(help="Predictions file, commit or experiment; several, joined by commas, are seeds")
    ],
    b: Annotated[str, typer.Argument(help="The same, for the run to hold against it")] = "data/predictions.parquet",
) -> None:
    """Say whether B is better than A: paired bootstrap of the difference in weighted-F1, over clips and seeds."""
    from mer.clips import read_labels, read_test_labels
    from mer.evaluation.compare import compare
    from mer.evaluation.runs import read_predictions
    from mer.params import load_params

    clips, test_labels = read_labels("data/labels.parquet"), read_test_labels("data/test_labels.parquet")
    runs_a, runs_b = ([read_predictions(name) for name in names.split(",")] for names in (a, b))
    print(f"A = {a}\nB = {b}")
    for comparison in compare(runs_a, runs_b, clips, test_labels, load_params().evaluate):
        print(comparison)
    if len(runs_a) == len(runs_b) == 1:
        print("One run each: what another seed would change is not covered.")


@app.command()
def corpus(
    check: Annotated[
        bool, typer.Option("--check", help="Look at every file, too: unreadable ones, and copies of others")
    ] = False,
    root: Annotated[Path | None, typer.Option(help="Folder to look at; params.yaml's corpus.root")] = None,
    layout: Annotated[str | None, typer.Option(help="Its layout; auto where --root is given")] = None,
    params: Annotated[Path, typer.Option(help="The params file")] = Path("params.yaml"),
) -> None:
    """Say what a corpus holds: counts a split and label, groups, and what is missing, extra, broken or duplicated."""
    from mer.layouts.check import look
    from mer.params import load_params, parse_params

    known = load_params(params) if params.exists() or root is None else parse_params({})
    section = known.corpus.model_dump()
    if root is not None:
        section |= {"root": str(root), "layout": layout or "auto"}
    elif layout is not None:
        section |= {"layout": layout}
    chosen = parse_params({"corpus": section}, source="mer corpus").corpus
    print(look(chosen, prefer=known.transcribe.prefer, files=check))


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="fairseq .pt of a HuBERT or wav2vec 2.0; with --to, a run's `data` folder")
    ],
    target: Annotated[Path, typer.Argument(help="Hugging Face folder to write; with --to, a folder or a .pkl")],
    to: Annotated[
        str | None,
        typer.Option("--to", help="Write a run's features and labels in another tool's form: mertools, mmsa"),
    ] = None,
    views: Annotated[str | None, typer.Option(help="Names of the views to write, joined by commas; all")] = None,
    frames: Annotated[bool, typer.Option("--frames", help="With --to: also, or for MMSA instead, the frames")] = False,
) -> None:
    """Write a fairseq checkpoint as a folder in safetensors; or a run's features for MERTools or MMSA."""
    if to is None:
        from mer.encoders.speech.checkpoint import convert_checkpoint

        convert_checkpoint(source, target)
        return
    from mer.exports import export

    print("\n".join(export(source, target, to, views.split(",") if views else None, frames=frames)))


def main() -> None:
    """Console entry: a mistake that the user can mend is one line on stderr and exit status 1."""
    take_any_letter()
    try:
        app()
    except MerError as error:
        sys.exit(f"error: {told(error)}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # who read our output has gone; do not complain to him at the end
        sys.exit(1)
    except UnicodeEncodeError:
        sys.exit(f"error: {LOCALE}")
    except (OSError, MemoryError) as error:
        sys.exit(f"error: {explain(error)}")


if __name__ == "__main__":
    main()
