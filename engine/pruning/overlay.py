"""A plan laid over a model, gates closed and output projections compensated, and taken off again; knows no scores.

Both halves are reversible: gates are hooks, and what compensation overwrote is kept until the plan comes off or the model
is trained, when the compensated weights become its own (`settle`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy
from engine.pruning.compensate import RIDGE, Compensation, Steps, compensating, originals, restore
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.pruning.sequential import refitting
from engine.pruning.statistics import Statistics
from engine.record.steps import ended


class Overlay:
    """What lies over one model: a plan, how it was compensated, and the weights as they were without it."""

    def __init__(self, model: nn.Module, anatomy: Anatomy):
        self.model = model
        self.anatomy = anatomy
        self.method = "none"
        self._originals: Mapping[str, Tensor | None] = {}  # None: a bias that was not there
        self._gates = Gates(model)
        self._gates.__enter__()

    @property
    def plan(self) -> Plan:
        """The units whose gates are closed."""
        return self._gates.closed

    @property
    def covered(self) -> Mapping[str, Tensor | None]:
        """What compensation overwrote, by parameter name; None for a bias that was not there."""
        return self._originals

    def lay(
        self,
        plan: Plan,
        method: str,
        known: Statistics | LongTensor | None,
        ridge: float = RIDGE,
        add_biases: bool = True,
    ) -> tuple[Compensation, ...]:
        """`laying`, run to its end."""
        return ended(self.laying(plan, method, known, ridge, add_biases))

    def laying(
        self,
        plan: Plan,
        method: str,
        known: Statistics | LongTensor | None,
        ridge: float = RIDGE,
        add_biases: bool = True,
    ) -> Steps:
        """Put this plan in place of what lies there now. Raises `BadInput` as compensation does.

        `known` is what the method goes by: None for "none", the calibration text [n, length] for "sequential", and for the others
        statistics of the model without an overlay. After an error, and given up halfway, everything is as it was before.
        """
        before = self.take()
        self.off()
        kept = originals(self.model, plan, self.anatomy, method)
        try:
            if method == "sequential":
                records = yield from refitting(self.model, plan, self.anatomy, known, ridge, add_biases)
            else:
                records = yield from compensating(self.model, plan, self.anatomy, known, method, ridge, add_biases)
            self._gates.set(plan)
        except BaseException:  # GeneratorExit too, which is how a run is stopped
            restore(self.model, kept)
            self.put(*before)
            raise
        self._originals, self.method = kept, method
        return records

    def off(self) -> None:
        """Open every gate and put back the weights that compensation overwrote."""
        restore(self.model, self._originals)
        self._gates.set(Plan())
        self._originals, self.method = {}, "none"

    def settle(self) -> None:
        """Make the weights as they are the model's own: after training there is no going back to those before."""
        self._originals, self.method = {}, "none"

    def take(self) -> tuple[Plan, str, dict[str, Tensor]]:
        """The plan, the method and copies of the weights that compensation changed, for `put` or for a checkpoint."""
        own = dict(self.model.named_parameters(remove_duplicate=False))
        fitted = {name: own[name].detach().clone() for name in self._originals if name in own}
        return self.plan, self.method, fitted

    def put(self, plan: Plan, method: str, fitted: Mapping[str, Tensor]) -> None:
        """Lay over the bare model what `take` took from it."""
        own = dict(self.model.named_parameters(remove_duplicate=False))
        self._originals = {name: own[name].detach().clone() if name in own else None for name in fitted}
        restore(self.model, fitted)
        self._gates.set(plan)
        self.method = method

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Inside, the model is bare; afterwards what lay over it is back, bit for bit."""
        before = self.take()
        self.off()
        try:
            yield
        finally:
            self.off()
            self.put(*before)

    def seeing_through(self) -> Callable[[], AbstractContextManager]:
        """A context manager inside of which the model computes as the bare one, for as long as the same lies over it.

        Unlike `lifted` it copies nothing and costs next to nothing: gates let through, and compensated projections are lent the
        weights that they had. It knows the parameters themselves, and works also while modules stand around the projections.
        """
        own = dict(self.model.named_parameters(remove_duplicate=False))
        pairs = [
            [own[name], torch.zeros_like(own[name]) if before is None else before] for name, before in self._originals.items()
        ]

        def swap() -> None:
            for pair in pairs:
                pair[0].data, pair[1] = pair[1].to(pair[0].device), pair[0].data  # the model may have been moved since

        @contextmanager
        def through() -> Iterator[None]:
            with self._gates.apart():
                swap()
                try:
                    yield
                finally:
                    swap()

        return through

    def rehang(self) -> None:
        """Hang the gates on the model's modules as they are now."""
        self._gates.rehang()

    def close(self) -> None:
        """Take everything off, the hooks too."""
        self.off()
        self._gates.__exit__(None, None, None)
