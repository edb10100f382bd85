"""How alike criteria rank the units, as plain facts for events; knows nothing of how they are compared."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RankCorrelation:
    """How alike two criteria rank the "heads" or the "neurons": Spearman's correlation, −1 to 1, the mean over the `layers` in
    which there is one; None where there is none in any."""

    one: str
    other: str
    kind: str
    correlation: float | None
    layers: int


@dataclass(frozen=True)
class CriteriaCompared:
    """Several criteria have scored the units, and every two of them were compared."""

    criteria: tuple[str, ...]
    correlations: tuple[RankCorrelation, ...]
    tokens: int
