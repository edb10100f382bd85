"""Looks at the validation loss while a model trains: keeps the best weights, says when to stop; knows no optimizer and no event.

Stopping early: Prechelt 1998, "Early stopping, but when?", by patience, the number of validations without a lower loss.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Watch:
    """What `patience` and `guard` of a recipe ask for, over the parameters that train.

    With either, a copy of those parameters is kept on the CPU as they were at the lowest validation loss so far; without, only
    once the training is in `danger`. `guard` is a perplexity: the rail is there once the model was at or below it. A model that
    was pruned far above it is let come down.
    """

    def __init__(self, trained: Sequence[nn.Parameter], patience: int, guard: float):
        self._trained, self._patience, self._rail = trained, patience, math.log(guard) if guard else None
        self._behind_rail = False
        self._kept: list[Tensor] = []
        self.best, self.lowest = 0, math.inf  # the step with the lowest loss, and that loss
        self._idle = 0  # validations since then
        self._first = math.inf  # the first loss that was seen
        self._danger = False

    @property
    def looks(self) -> bool:
        """Whether anything is asked for."""
        return bool(self._patience) or self._rail is not None

    @property
    def never_guarded(self) -> bool:
        """Whether a guard is asked for that no loss so far was at or below."""
        return self._rail is not None and not self._behind_rail

    @property
    def keeps(self) -> bool:
        """Whether there is a copy to go back to."""
        return bool(self._kept)

    def danger(self, step: int, loss: float) -> None:
        """Keep copies from now on, asked for or not: of weights with a lower loss than any kept ones and than the first that was
        seen. `loss` is that of the weights as they are, after `step` steps."""
        if not self.looks and not self._danger:
            self.lowest = self._first
        self._danger = True
        if loss < self.lowest:
            self._keep(step, loss)

    def see(self, step: int, loss: float) -> str:
        """Take in the loss per token (nats) after `step` steps; why to stop, in words, or "" to go on."""
        self._first = loss if math.isinf(self._first) else self._first
        if not self.looks and not self._danger:
            return ""
        if loss < self.lowest:
            self._keep(step, loss)
        else:
            self._idle += 1
        if self._rail is not None:
            if self._behind_rail and loss > self._rail:
                return f"the validation perplexity rose to {math.exp(min(loss, 700)):,.4g}, above {math.exp(self._rail):,.4g}"
            self._behind_rail = self._behind_rail or loss <= self._rail
        if self._patience and self._idle >= self._patience:
            return f"the validation loss was not lower in {self._idle} validations"
        return ""

    def state(self) -> dict[str, Any]:
        """All that it knows but for the copy, in plain numbers."""
        lowest, first = (None if math.isinf(one) else one for one in (self.lowest, self._first))
        told = {"best": self.best, "lowest": lowest, "idle": self._idle, "first": first}
        return told | {"danger": self._danger, "behind_rail": self._behind_rail}

    @property
    def kept(self) -> Sequence[Tensor]:
        """The copy, a tensor for each parameter; empty where there is none."""
        return self._kept

    def put(self, state: Mapping[str, Any], kept: Sequence[Tensor]) -> None:
        """Know what another one knew, its copy included."""
        self.best, self._idle, self._danger, self._behind_rail = (
            state[name] for name in ("best", "idle", "danger", "behind_rail")
        )
        self.lowest, self._first = (math.inf if state[name] is None else state[name] for name in ("lowest", "first"))
        self._kept = list(kept)

    def go_back(self) -> None:
        """Put the best weights back."""
        with torch.no_grad():
            for parameter, kept in zip(self._trained, self._kept, strict=True):
                parameter.copy_(kept)

    def _keep(self, step: int, loss: float) -> None:
        self.best, self.lowest, self._idle = step, loss, 0
        self._kept = [one.detach().to("cpu", copy=True) for one in self._trained]
