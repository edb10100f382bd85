"""What was suggested and what became of it, as plain facts for events; knows nothing of how either is found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Suggested:
    """The shares of units that should do the least damage for the parameters that go with them, layer by layer.

    `damage` says whether the rises of the loss (nats per token, on the calibration text) were "predicted" or "measured" part by
    part: `rise` for these shares, `uniform` for one share of every layer and kind that takes exactly as many parameters, as
    if parts of units could go: where whole ones cannot give that share it is read between two of them. In a later
    `round` both count from the round before. `by` is "layer" or "block".
    """

    criterion: str
    head_shares: tuple[float, ...]
    neuron_shares: tuple[float, ...]
    by: str
    damage: str
    rise: float
    uniform: float
    parameters_before: int
    parameters_after: int
    round: int = 1


@dataclass(frozen=True)
class SuggestionMeasured:
    """What a suggestion that was followed promised, and what came of it: the rise of the loss over the baseline's, in nats per
    token, `promised` on the calibration text and `measured` on the evaluation text."""

    promised: float
    measured: float
