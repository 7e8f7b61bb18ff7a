"""What training under noise gains, and the curves as a picture, of runs of the stage `robustness`.

python -m benchmarks.robustness data                                # after dvc exp run -S robustness.run=true ...
python -m benchmarks.robustness half0 half1 --svg curves.svg        # test splits of several runs, scored as one

Each folder holds robustness.parquet, test_labels.parquet and groups.parquet. Gains are paired: both trainings are
scored on the same resampled clips, by group where groups are known.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from mer.evaluation.bootstrap import Interval, bootstrap_interval, paired_bootstrap

NOISES = ("white", "pink", "babble")
COLOURS = {"plain": "#cf222e", "noise": "#0969da", "modality_dropout": "#bf8700", "both": "#8250df"}
WIDTH, HEIGHT, LEFT, TOP = 200, 150, 40, 24


def read(folders: Sequence[Path]) -> pd.DataFrame:
    """Rows `training, condition, kind, level, clip_id, predicted, label, group` of all runs."""
    parts = []
    for folder in folders:
        rows = pd.read_parquet(folder / "robustness.parquet")
        labels = pd.read_parquet(folder / "test_labels.parquet").dropna(subset="label")[["clip_id", "label"]]
        groups = pd.read_parquet(folder / "groups.parquet")[["clip_id", "group"]]
        parts.append(rows.merge(labels, on="clip_id").merge(groups, on="clip_id"))
    return pd.concat(parts, ignore_index=True)


def scored(rows: pd.DataFrame, training: str, base: str | None = None) -> Interval:
    """Weighted-F1 of one training in one condition, or how much it is above that of another."""
    wide = rows.pivot(index="clip_id", columns="training", values="predicted")
    known = rows.drop_duplicates("clip_id").set_index("clip_id").loc[wide.index]
    groups = known["group"].reset_index(drop=True) if known["group"].notna().any() else None
    labels, classes = known["label"].reset_index(drop=True), sorted(set(rows["label"]) | set(rows["predicted"]))
    own = wide[training].reset_index(drop=True)
    if base is None:
        return bootstrap_interval(labels, own, classes, groups=groups)
    return paired_bootstrap(labels, [wide[base].reset_index(drop=True)], [own], classes, groups=groups)


def table(rows: pd.DataFrame) -> Iterator[str]:
    """A line a condition: weighted-F1 of the first training, and of the others how much they gain."""
    first, *others = list(dict.fromkeys(rows["training"]))
    yield "| condition | " + " | ".join([first, *(f"{name} gains" for name in others)]) + " |"
    yield "|---" * (2 + len(others)) + "|"
    for condition, own in rows.groupby("condition", sort=False):
        found = scored(own, first)
        cells = [f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"]
        for name in others:
            gain = scored(own, name, first)
            cells.append(f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
        yield f"| {condition} | " + " | ".join(cells) + " |"


def picture(rows: pd.DataFrame, trainings: Sequence[str]) -> str:
    """A panel a kind of noise: weighted-F1 over SNR with its interval, a line a training; SVG."""
    kinds = [kind for kind in NOISES if kind in set(rows["kind"])]
    wide = len(kinds) * (WIDTH + LEFT) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {HEIGHT + 70}" font-family="sans-serif" '
        'font-size="11" fill="#57606a">'
    ]
    for place, kind in enumerate(kinds):
        own = rows[rows["kind"] == kind]
        levels = sorted(own["level"].unique())
        parts.append(f'<g transform="translate({place * (WIDTH + LEFT) + LEFT} {TOP})">')
        parts.append(f'<text x="{WIDTH / 2}" y="-8" text-anchor="middle">{kind}</text>')
        for share in (0, 0.25, 0.5, 0.75, 1):
            y = HEIGHT * (1 - share)
            parts.append(f'<path d="M0 {y:.1f}H{WIDTH}" stroke="#8c959f" stroke-opacity=".4"/>')
            parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>')
        at = [WIDTH * (0.06 + 0.88 * i / max(1, len(levels) - 1)) for i in range(len(levels))]
        for x, level in zip(at, levels, strict=True):
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT + 16}" text-anchor="middle">{level:g}</text>')
        for name in trainings:
            found = [scored(own[own["level"] == level], name) for level in levels]
            parts.append(_curve(at, found, COLOURS[name]))
        parts.append("</g>")
    parts.append(f'<text x="{LEFT}" y="{HEIGHT + 60}">weighted-F1 over SNR in dB, 95 % intervals; trained:</text>')
    for place, name in enumerate(trainings):
        x = LEFT + 270 + 110 * place
        parts.append(f'<text x="{x}" y="{HEIGHT + 60}" fill="{COLOURS[name]}">{name.replace("_", " ")}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _curve(at: Sequence[float], found: Sequence[Interval], colour: str) -> str:
    def points(values: Sequence[float], xs: Sequence[float]) -> str:
        return " ".join(f"{x:.1f},{HEIGHT * (1 - value):.1f}" for x, value in zip(xs, values, strict=True))

    band = points([one.high for one in found], at) + " " + points([one.low for one in found][::-1], at[::-1])
    line = points([one.value for one in found], at)
    return (
        f'<polygon points="{band}" fill="{colour}" fill-opacity=".12"/>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--svg", type=Path, help="draw the first training, and noise beside it, into this file")
    options = parser.parse_args()
    rows = read(options.folders)
    print("\n".join(table(rows)))
    if options.svg:
        trainings = [name for name in ("plain", "noise") if name in set(rows["training"])]
        options.svg.write_text(picture(rows, trainings), encoding="utf-8")


if __name__ == "__main__":
    main()
