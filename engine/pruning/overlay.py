"""A plan laid over a model, gates closed and output projections compensated, and taken off again; knows no scores.

Both halves are reversible: gates are hooks, and what compensation overwrote is kept until the plan comes off or the model
is trained, when the compensated weights become its own (`settle`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from engine.models.anatomy import Anatomy
from engine.pruning.calibration import Statistics
from engine.pruning.compensate import Compensation, compensate, originals, restore
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record.errors import BadInput


class Overlay:
    """What lies over one model: a plan, how it was compensated, and the weights as they were without it."""

    def __init__(self, model: nn.Module, anatomy: Anatomy):
        self.model = model
        self.anatomy = anatomy
        self.method = "none"
        self._originals: Mapping[str, Tensor] = {}
        self._gates = Gates(model)
        self._gates.__enter__()

    @property
    def plan(self) -> Plan:
        """The units whose gates are closed."""
        return self._gates.closed

    def lay(self, plan: Plan, method: str, statistics: Statistics | None) -> tuple[Compensation, ...]:
        """Put this plan in place of what lies there now. Raises `BadInput` as `compensate` does, and then nothing has changed.

        `statistics` must come from the model without an overlay; None for the method "none".
        """
        before = self.take()
        self.off()
        kept = originals(self.model, plan, self.anatomy)
        try:
            records = compensate(self.model, plan, self.anatomy, statistics, method)
            self._gates.set(plan)
        except BadInput:
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
        fitted = {name: self.model.get_parameter(name).detach().clone() for name in self._originals}
        return self.plan, self.method, fitted

    def put(self, plan: Plan, method: str, fitted: Mapping[str, Tensor]) -> None:
        """Lay over the bare model what `take` took from it."""
        self._originals = {name: self.model.get_parameter(name).detach().clone() for name in fitted}
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

    def close(self) -> None:
        """Take everything off, the hooks too."""
        self.off()
        self._gates.__exit__(None, None, None)
