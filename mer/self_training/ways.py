"""Which way of standardising was taken, and which were not found better: told where a run tells what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mer.self_training.chains import BUNDLE, Chain

WORDS = {"corpus": "over the corpus", "group": "within known groups"}


@dataclass(frozen=True)
class Ways:
    """`considered`: names of the ways, the one that is taken without evidence first; `taken`: of the bundle and of the
    chain that predicts each outer fold."""

    considered: tuple[str, ...]
    taken: Mapping[Chain, str]

    def __str__(self) -> str:
        """One line: how the bundle standardises, what else was considered, and which folds' models do otherwise.

        >>> print(Ways(("corpus", "group"), {(): "corpus", (0,): "corpus", (1,): "group"}))
        over the corpus; not better out of fold: within known groups; otherwise in fold 1 (within known groups)
        """
        own = self.taken[BUNDLE]
        lost = [_told(name) for name in self.considered if name != own]
        other = [f"{chain[0]} ({_told(way)})" for chain, way in self.taken.items() if chain and way != own]
        parts = [_told(own)]
        parts += [f"not better out of fold: {', '.join(lost)}"] if lost else []
        parts += [f"otherwise in fold {', '.join(other)}"] if other else []
        return "; ".join(parts)


def ways_taken(names: Sequence[str], way_of: Mapping[Chain, int], chains: Sequence[Chain]) -> Ways:
    """Of all ways by their names, and the number of the one that each chain takes."""
    return Ways(tuple(names), {chain: names[way_of[chain]] for chain in chains})


def _told(name: str) -> str:
    if name in WORDS:
        return WORDS[name]
    _, view, number = name.split(" ")
    return f"within {number} speakers guessed by {view}"
