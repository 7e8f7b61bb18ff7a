"""One self-contained page on a run: nothing fetched, no script but its own, the same bytes for the same run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mer.evaluation.headline import transductive
from mer.evaluation.report import sections, targets
from mer.evaluation.report.explored import as_json, picture_blocks
from mer.evaluation.report.markup import Markup, element, embedded, join
from mer.evaluation.report.results import RunResults, read_results
from mer.evaluation.report.robustness import robustness
from mer.evaluation.report.style import style_sheet
from mer.pages import csp_hash, source

__all__ = ["RunResults", "read_results", "write_report"]


def write_report(path: str | Path, run: RunResults) -> None:
    """Write the page, making its folder where it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(run), encoding="utf-8", newline="\n")


def _page(run: RunResults) -> str:
    body = element(
        "main",
        element("h1", "Emotion recognition: run report"),
        element("p", _corpus_line(run), class_="note"),
        *(_of_classes(run) if run.clips.classes else ()),
        *targets.sections(run.metrics, run.plots),
        robustness(run.robustness),
        sections.views(run.views),
        sections.curves(run.curves),
        sections.pseudo_labels(run.rounds, run.pseudo_labels, run.clips.classes),
        sections.quarantine(run.quarantine),
        sections.parameters(run.params),
    )
    script = source("clip.js", "explorer.js") if run.explored is not None else ""
    # The policy lets the page show its own styles and pictures, run its own script and nothing else, whatever text
    # found its way in.
    runs = f"script-src {csp_hash(script)}; " if script else ""
    head = Markup(
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"{runs}style-src 'unsafe-inline'\">\n"
        f"<title>mer: run report</title>\n<style>{style_sheet()}</style>"
    )
    tail = _explorer(run, script) if script else ""
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n{tail}</body>\n</html>\n'


def _explorer(run: RunResults, script: str) -> str:
    """The clips, the script, and pictures last: the page can be used while they are still read."""
    assert run.explored is not None
    clips = embedded("application/json", "clips", as_json(run.explored, run.clips.classes, run.quarantine))
    blocks = [
        embedded("text/plain", f"pictures-{number}", block) for number, block in enumerate(picture_blocks(run.explored))
    ]
    return join([clips, Markup(f"<script>{script}</script>"), *blocks]) + "\n"


def _of_classes(run: RunResults) -> Iterator[Markup]:
    yield sections.headline(run.metrics, run.plots)
    yield sections.per_class(run.plots)
    yield sections.confusion(run.plots, run.clips.classes)
    if run.changes is not None:
        yield sections.changes(run.changes)
    if run.explored is not None:
        yield sections.explore(run.explored)
    yield sections.mistakes(run.mistakes, run.frames)
    yield sections.calibration(run.plots["calibration"])


def _corpus_line(run: RunResults) -> str:
    counts = run.clips.rows["split"].value_counts()
    splits = ", ".join(f"{counts[name]:,} {name}" for name in ("labeled", "unlabeled", "test") if name in counts)
    told = transductive(run.metrics)
    more = f" {told[0].upper()}{told[1:]}." if told else ""
    return f"Corpus {run.params.corpus.root} ({run.params.corpus.layout}): {splits} clips.{more}"
