"""How alike criteria rank the units: Spearman's correlation of their scores, layer by layer; knows scores only, and no criterion.

By schedule a plan looks at nothing but the order of the units inside a layer, so that two criteria that agree here prune alike.
One ranking of all layers ("global") looks at distances as well, and two criteria of the same order may share out differently.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from engine.pruning.plan import Scores


@dataclass(frozen=True)
class Agreement:
    """Two criteria, by their places in what was compared, on one kind of unit: the mean over `layers` layers, from −1 to 1.

    None where no layer has two units that both of them tell apart.
    """

    one: int
    other: int
    kind: str  # "heads" or "neurons"
    correlation: float | None
    layers: int


def agreements(scores: Sequence[Scores]) -> Iterator[Agreement]:
    """Every pair of scores on every kind of unit that both of them score; all are of one model.

    Spearman 1904: the correlation of the ranks, equal scores sharing the mean of theirs. A layer in which one of the two
    criteria scores all units alike, or that has fewer than two, has no order to agree on and is left out.
    """
    for kind in ("heads", "neurons"):
        scored = [place for place, found in enumerate(scores) if getattr(found, kind)]
        layers = [
            _correlations([getattr(scores[place], kind)[layer] for place in scored])
            for layer in range(len(getattr(scores[scored[0]], kind)) if scored else 0)
        ]
        for at, to in combinations(range(len(scored)), 2):
            found = [float(of_layer[at, to]) for of_layer in layers if not of_layer[at, to].isnan()]
            yield Agreement(scored[at], scored[to], kind, sum(found) / len(found) if found else None, len(found))


def _correlations(scores: Sequence[Sequence[float]]) -> Tensor:
    """The rank correlation of every pair of the criteria in one layer, [criteria, criteria]; not a number where there is none."""
    ranks = torch.stack([_ranks(torch.tensor(of_layer, dtype=torch.float64)) for of_layer in scores])  # [criteria, units]
    centred = ranks - ranks.mean(1, keepdim=True)  # [criteria, units]
    products = centred @ centred.T  # [criteria, criteria]; exact: ranks are halves of whole numbers
    spreads = products.diagonal().sqrt()  # [criteria]
    return (products / torch.outer(spreads, spreads)).clamp(-1, 1)  # rounding may go past the ends


def _ranks(scores: Tensor) -> Tensor:
    """The rank of every score [units], from 1; equal ones have the mean of the ranks that they take up together."""
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)  # [units], [different scores]
    return (counts.cumsum(0).double() - (counts.double() - 1) / 2)[place]
