"""One self-contained page on a run: no scripts, nothing fetched, the same bytes for the same run."""

from __future__ import annotations

from pathlib import Path

from mer.evaluation.report import sections
from mer.evaluation.report.markup import Markup, element
from mer.evaluation.report.results import RunResults, read_results
from mer.evaluation.report.style import CSS

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
        sections.headline(run.metrics, run.plots),
        sections.per_class(run.plots),
        sections.confusion(run.plots, run.clips.classes),
        sections.mistakes(run.mistakes, run.frames),
        sections.calibration(run.plots["calibration"]),
        sections.views(run.views),
        sections.curves(run.curves),
        sections.pseudo_labels(run.rounds, run.pseudo_labels, run.clips.classes),
        sections.quarantine(run.quarantine),
        sections.parameters(run.params),
    )
    # The policy lets the page show its own styles and pictures and nothing else, whatever text found its way in.
    head = Markup(
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>mer: run report</title>\n<style>{CSS}</style>"
    )
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _corpus_line(run: RunResults) -> str:
    counts = run.clips.rows["split"].value_counts()
    splits = ", ".join(f"{counts[name]:,} {name}" for name in ("labeled", "unlabeled", "test") if name in counts)
    return f"Corpus {run.params.corpus.root} ({run.params.corpus.layout}): {splits} clips."
