"""What it costs to run two models side by side, as plain numbers for events; knows nothing of how they are measured.

"prefill" is one forward pass over `batch` × `length` tokens, with the logits of them all. "decode" is one more token for each of
`batch` texts near the end of `length` tokens, the keys and values of the tokens before being kept.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Seconds of one pass: the median of `repeats` passes, for both models in turn."""

    batch: int
    length: int
    dense: float
    cut: float
    repeats: int
    what: str = "prefill"


@dataclass(frozen=True)
class Memory:
    """Bytes that one pass takes at its peak besides the weights, the kept keys and values among them; None: not measured."""

    batch: int
    length: int
    dense: int | None
    cut: int | None
    what: str = "prefill"
