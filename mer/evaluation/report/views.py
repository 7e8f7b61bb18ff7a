"""What each view of the clips is worth by itself, and how much the vote makes of it."""

from __future__ import annotations

import pandas as pd

from mer.evaluation.report.markup import Markup, section, share_cell, table

FUSED = "fused"
BUNDLE = -1


def ranked_views(experts: pd.DataFrame) -> pd.DataFrame:
    """Views, the best first, from what self-training wrote of its experts (`fold, expert, weight, weighted_f1`).

    A view's score is that of the best expert that sees it alone, on labeled clips that this expert never saw, averaged
    over outer folds; its weight is the share that all such experts have of the vote.

    Returns:
        Columns `view, expert, weighted_f1, weight`; the last row is `fused`, what sees several views at once.
    """
    rows = experts.assign(
        view=experts["expert"].str.rpartition(" ")[2], family=experts["expert"].str.rpartition(" ")[0]
    )
    outer = rows[rows["fold"] != BUNDLE] if (rows["fold"] != BUNDLE).any() else rows
    score = outer.groupby(["view", "family"], as_index=False)["weighted_f1"].mean()
    best = score.sort_values(["weighted_f1", "family"], ascending=[False, True]).drop_duplicates("view")
    votes = outer.groupby("view")["weight"].sum() / outer["weight"].sum()
    best = best.assign(weight=best["view"].map(votes), last=best["view"] == FUSED)
    ordered = best.sort_values(["last", "weighted_f1", "view"], ascending=[True, False, True], ignore_index=True)
    return ordered[["view", "family", "weighted_f1", "weight"]].rename(columns={"family": "expert"})


def views(experts: pd.DataFrame) -> Markup:
    """The ranks of the views; nothing where self-training says nothing of its experts."""
    if experts.empty or experts["weighted_f1"].isna().all():
        return section("Views", note="No expert was scored by itself.")
    rows = [
        (
            "together" if view == FUSED else f"{rank}. {view}",
            share_cell(score, f"{score:.3f}", class_="bar"),
            share_cell(weight, f"{weight:.2f}", class_="bar"),
            expert,
        )
        for rank, (view, expert, score, weight) in enumerate(ranked_views(experts).itertuples(index=False), start=1)
    ]
    note = (
        "By the weighted-F1 of the best expert that sees a view alone, on labeled clips that it never saw; the weight "
        "is what all experts of the view have of the vote."
    )
    return section(
        "Views", table("Views by rank", ("view", "weighted-F1", "share of the vote", "expert"), rows), note=note
    )
