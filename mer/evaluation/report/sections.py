"""The sections of the report, each from the part of a run that it shows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import isnan
from typing import Any

import pandas as pd

from mer.evaluation.report.changes import Changes
from mer.evaluation.report.charts import confusion_heat_map, interval_bar, line_chart, reliability_diagram
from mer.evaluation.report.explored import Explored
from mer.evaluation.report.markup import Markup, element, join, list_of, section, share_cell, table
from mer.evaluation.report.thumbnail import data_uri
from mer.evaluation.scored import PARTS
from mer.params import Params

TITLES = {"out_of_fold": "Out of fold", "test": "Test split"}
BUNDLE = -1
"""The fold of what belongs to the trained bundle, in the tables that self-training writes."""
CLOCKS = ("epoch", "step")
MEMBER = ["fold", "seed"]
MOST_FAULTS = 100
"""Rows of the quarantine table that the page shows of each kind."""


def headline(metrics: Mapping[str, Any], plots: Mapping[str, pd.DataFrame]) -> Markup:
    """Weighted-F1 with its interval, for each part that has labels."""
    level = metrics["confidence_level"]
    cards = [_headline_card(part, metrics[part], plots[f"per_class_{part}"]) for part in PARTS if part in metrics]
    note = (
        f"The band is the {level * 100:g} % bootstrap interval, the mark what always naming the most frequent class "
        "would score. Out of fold: every labeled clip is judged by models that did not train on it."
    )
    return section("Weighted-F1", element("div", *cards, class_="grid"), note=note)


def _headline_card(part: str, values: Mapping[str, Any], classes: pd.DataFrame) -> Markup:
    low, high = values["weighted_f1_low"], values["weighted_f1_high"]
    largest = classes["support"].max() / classes["support"].sum()
    majority = largest * 2 * largest / (1 + largest)
    facts = {
        "interval": f"{low:.3f} to {high:.3f}",
        "clips": f"{values['clips']} in {values['groups']} groups" if "groups" in values else values["clips"],
        "accuracy": f"{values['accuracy']:.3f}",
        "macro-F1": f"{values['macro_f1']:.3f}",
        "mean recall": f"{values['uar']:.3f}",
        "calibration error": f"{values['ece']:.3f}",
        "most frequent class": f"{majority:.3f}",
    }
    return element(
        "div",
        element("div", f"{values['weighted_f1']:.3f}", element("small", TITLES[part]), class_="big"),
        interval_bar(values["weighted_f1"], low, high, majority),
        element("dl", *(element("div", element("dt", name), element("dd", fact)) for name, fact in facts.items())),
    )


def per_class(plots: Mapping[str, pd.DataFrame]) -> Markup:
    """Precision, recall, F1 and support of each class, for each part that has labels."""
    tables = [
        table(
            TITLES[part],
            ("class", "F1", "precision", "recall", "clips"),
            [
                (name, share_cell(f1, f"{f1:.3f}", class_="bar"), f"{precision:.3f}", f"{recall:.3f}", support)
                for name, precision, recall, f1, support in plots[f"per_class_{part}"].itertuples(index=False)
            ],
            class_="wide",
        )
        for part in PARTS
        if len(plots[f"per_class_{part}"])
    ]
    return section("Per class", element("div", *tables, class_="grid"))


def confusion(plots: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> Markup:
    """Heat map of actual against predicted, for each part that has labels."""
    maps = [
        confusion_heat_map(part, TITLES[part], plots[f"confusion_{part}"], classes)
        for part in PARTS
        if len(plots[f"confusion_{part}"])
    ]
    note = (
        "Clips by actual (row) and predicted class (column); the percentage and the shade are shares of the row. "
        "A cell lists its clips."
    )
    return section("Confusion", element("div", *maps, class_="grid"), note=note)


def calibration(bins: pd.DataFrame) -> Markup:
    """Reliability diagram and the numbers behind it."""
    rows = [
        (f"{confidence:.3f}", f"{accuracy:.3f}", clips)
        for confidence, accuracy, clips in bins[["confidence", "accuracy", "clips"]].itertuples(index=False)
    ]
    numbers = table("Bins that hold clips", ("confidence", "accuracy", "clips"), rows)
    note = "Out of fold. On the dashed line a prediction made with confidence 0.8 is right eight times in ten."
    return section("Calibration", element("div", reliability_diagram(bins), numbers, class_="grid"), note=note)


def views(ranking: Mapping[str, Any]) -> Markup:
    """What each view scores alone, the best first, and what the best pair adds."""
    rows = [
        (
            name,
            of["modality"],
            of["width"],
            f"{of['coverage']:.1%}",
            share_cell(of["weighted_f1"], f"{of['weighted_f1']:.3f}", class_="bar"),
            f"{of['low']:.3f} to {of['high']:.3f}",
        )
        for name, of in ranking.get("views", {}).items()
    ]
    note = "A linear probe of each view alone, out of fold: what the view knows, not what the model makes of it."
    if not rows:
        note = "The corpus has no classes, by which views are ranked."
    if "best_pair" in ranking:
        pair = ranking["best_pair"]
        note += f" {pair['views']} together score {pair['weighted_f1']:.3f}, {pair['adds']:+.3f} over the best alone."
    head = ("view", "modality", "width", "coverage", "weighted-F1", "interval")
    return section("Views", *([table("By weighted-F1", head, rows, class_="wide")] if rows else []), note=note)


def curves(tables: Mapping[str, pd.DataFrame]) -> Markup:
    """A small chart for each column of each training log, over its `epoch` or `step`, averaged over folds and seeds."""
    parts: list[Markup] = []
    for name, rows in tables.items():
        x = next((column for column in CLOCKS if column in rows), None)
        if x is None:
            continue
        points = rows.drop(columns=MEMBER, errors="ignore").groupby(x).mean(numeric_only=True)
        at = points.index.to_numpy(float)
        charts = [line_chart(column, at, points[column].to_numpy(float), x) for column in map(str, points)]
        parts += [element("h3", name.replace("_", " ")), element("div", *charts, class_="small")]
    note = "The number beside a name is the curve's last value; where several folds or seeds trained, it is their mean."
    return section("Training curves", join(parts), note=note)


def pseudo_labels(rounds: pd.DataFrame, labels: pd.DataFrame, classes: Sequence[str]) -> Markup:
    """How many clips without a label each round gave to each fold's students, and which classes they ended up in."""
    title = "Pseudo-labels"
    if labels.empty:
        return section(title, note="No unlabeled clip was given a pseudo-label.")
    growth = rounds.pivot(index="fold", columns="round", values="pseudo_labels")
    counts = pd.crosstab(labels["fold"], labels["label"]).reindex(columns=list(classes), fill_value=0)
    by_round = [(_fold(at), *("" if isnan(n) else int(n) for n in row)) for at, *row in growth.itertuples()]
    by_class = [(_fold(at), *row, sum(row)) for at, *row in counts.itertuples()]
    note = "Each fold has its own, from a vote that never saw the fold; the bundle's come from all labeled clips."
    tables = [
        table("Accepted in each round", ("for", *(f"round {number}" for number in growth.columns)), by_round),
        table("Trained on in the end", ("for", *classes, "all"), by_class),
    ]
    return section(title, *tables, note=note)


def _fold(number: Hashable) -> str:
    return "the bundle" if number == BUNDLE else f"fold {number}"


def explore(explored: Explored) -> Markup:
    """Where the page's script puts its clips."""
    left = ", ".join(f"{count:,} {TITLES.get(part, part)}" for part, count in explored.left_out.items())
    note = (
        "Every clip with its pictures, sound, words, the experts' votes and its pseudo-labels. Votes of a labeled clip "
        "are those of models that did not train on it." + (f" The page has no room for: {left}." if left else "")
    )
    bare = element("noscript", element("p", "To list clips, let this page run its own script."))
    return section("Clips", bare, element("div", id="explorer"), note=note, id="explore")


def changes(found: Changes) -> Markup:
    """The difference in weighted-F1 to another run, and how many clips changed."""
    rows = [
        (TITLES[part], *(_listed(part, kind, count) for kind, count in counts.items()))
        for part, counts in found.counts.items()
    ]
    shown = table(f"Against {found.name}", ("clips", "right now", "wrong now", "predicted otherwise"), rows)
    said = [element("p", str(one)) for one in found.comparisons]
    note = f"A is {found.name}, B is this run. 'Right now' were wrong in A, 'wrong now' right in it."
    return section("Changes", *said, shown, note=note)


def _listed(part: str, kind: str, count: int) -> Markup:
    if not count:
        return element("td", 0)
    says = f"List {count} clips {kind}"
    return element("td", f"{count:,}", data_list=list_of(part=part, show=kind), data_says=says)


def mistakes(rows: pd.DataFrame, frames: Mapping[str, bytes]) -> Markup:
    """A card for each of the most confidently wrong clips, with a frame where there is one."""
    cards = [_clip_card(row, frames.get(row["clip_id"])) for row in rows.to_dict("records")]
    note = "Out-of-fold predictions that were most confident and wrong: often a wrong label or an unusual clip."
    return section("Confidently wrong", element("div", *cards, class_="clips"), note=note)


def _clip_card(row: Mapping[Hashable, Any], frame: bytes | None) -> Markup:
    picture = element("div", "no picture", class_="blank")
    if frame is not None:
        picture = Markup(f'<img src="{data_uri(frame)}" alt="" loading="lazy">')
    said = [element("p", f"“{row['transcript']}”", class_="note")] if isinstance(row["transcript"], str) else []
    guess = element("span", row["predicted"], class_="wrong")
    verdict = element("p", row["actual"], " → ", guess, f" {row['confidence']:.2f}")
    return element(
        "article",
        picture,
        element("div", element("b", row["clip_id"]), verdict, *said),
        class_="clip",
        data_clip=row["clip_id"],
    )


def quarantine(faults: pd.DataFrame) -> Markup:
    """Clips that could not be used, or in part only, and why."""
    if faults.empty:
        return section("Quarantine", note="Every clip could be used whole.")
    shown = faults.groupby("kind", sort=True).head(MOST_FAULTS).head(2 * MOST_FAULTS)
    shown = shown.sort_values("kind", kind="stable")  # what failed comes before what is there in part
    rows = list(shown[["clip_id", "stage", "kind", "error", "message", "path"]].itertuples(index=False))
    kinds = ", ".join(f"{count} {kind}" for kind, count in faults["kind"].value_counts().sort_index().items())
    first = f"The first {len(shown)} of " if len(faults) > len(shown) else ""
    rest = f"{first}{len(faults)} rows: {kinds}. "
    rest += "A failed clip has no result, a partial one a result that lacks something."
    heading = ("clip", "stage", "kind", "fault", "message", "file")
    return section("Quarantine", table("Faults", heading, rows, class_="text wide"), note=rest)


def parameters(params: Params) -> Markup:
    """The parameters of the run; those that differ from the defaults stand out."""
    # Where the work ran is left out: it changes no byte of the results, so it may not change one of this page.
    used, defaults = (_flat(each.model_dump(mode="json", exclude={"compute"})) for each in (params, Params()))
    rows = [(key, element("mark", value) if value != defaults.get(key) else value) for key, value in used.items()]
    shown = table("Marked: not the default", ("key", "value"), rows, class_="text")
    return section("Parameters", element("details", element("summary", f"{len(rows)} parameters"), shown))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
