"""What was gathered about a model on calibration text, output projection by output projection; knows neither how nor what for."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor

from engine.record.errors import BadInput, shorten

# What can be asked for, and which fields of `Inputs` hold it.
FIELDS = {
    "rms": ("rms",),
    "mean": ("mean",),
    "covariance": ("summed",),
    "entropy": ("entropy",),
    "gradients": ("gradients", "squares"),
    "losses": ("losses",),
}
NEEDS = tuple(FIELDS)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What was seen at the input of one output projection, on the CPU, in float64 but for `summed`; None is what was not asked
    for.

    The first three are by channel, the others by unit: by head at an attention output, by neuron at an MLP output. Losses are
    in nats per predicted token, and `L` is the loss of one block, summed over its tokens.
    """

    rms: Tensor | None = None  # [channels]: the root of the mean square
    mean: Tensor | None = None  # [channels]
    summed: Tensor | None = None  # [channels, channels]: the covariance in the precision in which it was summed
    entropy: Tensor | None = None  # [units]: of attention, 0 looks at one token .. 1 at all alike; of a neuron, 0 .. 1
    gradients: Tensor | None = None  # [units]: Σ over blocks |∂L/∂gate| / predicted tokens
    squares: Tensor | None = None  # [units]: Σ over blocks (∂L/∂gate)² / predicted tokens
    losses: Tensor | None = None  # [heads]: how much the loss rises without the head; None for neurons

    @property
    def covariance(self) -> Tensor | None:
        """[channels, channels] in float64, divided by the number of tokens; made anew at every look from a float32 sum."""
        return None if self.summed is None else self.summed.double()


@dataclass(frozen=True, eq=False)
class Statistics:
    """What was gathered on `tokens` tokens; `attention` and `mlp` have one entry for each layer.

    The channels of `attention` are those of head after head, `head_width` each; those of `mlp` the neurons, after the
    activation function.
    """

    tokens: int
    gathered: frozenset[str]
    attention: tuple[Inputs, ...]
    mlp: tuple[Inputs, ...]

    def require(self, needs: Iterable[str]) -> None:
        """Raise `BadInput` where one of the needs was not gathered."""
        missing = [need for need in needs if need not in self.gathered]
        if missing:
            raise BadInput(
                f"The statistics hold {shorten(sorted(self.gathered))} and lack {', '.join(missing)}; "
                "calibrate again with that among the needs."
            )


def merged(one: Statistics, other: Statistics) -> Statistics:
    """Both together, of the same model and text; where both gathered the same, the second counts."""

    def both(mine: Inputs, theirs: Inputs) -> Inputs:
        return replace(mine, **{field: getattr(theirs, field) for need in other.gathered for field in FIELDS[need]})

    return Statistics(
        tokens=other.tokens,
        gathered=one.gathered | other.gathered,
        attention=tuple(map(both, one.attention, other.attention)),
        mlp=tuple(map(both, one.mlp, other.mlp)),
    )
