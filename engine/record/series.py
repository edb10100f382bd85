"""Losses and samples of memory as a batch of events brings them: they grow in lists, and are frozen once; knows no run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.record.lifecycle import MemorySampled
from engine.record.standing import Curve
from engine.record.training import StepTrained, Validated


@dataclass
class Series:
    """What has come since the last time that it was frozen: losses by arm, and samples with their times."""

    training: dict[str, list] = field(default_factory=dict)
    validation: dict[str, list] = field(default_factory=dict)
    memory: list[tuple[float, MemorySampled]] = field(default_factory=list)

    def trained(self, step: StepTrained) -> None:
        """One more loss of an arm."""
        self.training.setdefault(step.arm, []).append((step.step, step.loss))

    def validated(self, found: Validated) -> None:
        """One more validation loss of an arm."""
        self.validation.setdefault(found.arm, []).append((found.step, found.loss))

    def onto(self, curves: Mapping[str, Curve]) -> dict[str, Curve]:
        """The curves with all that has come since."""
        longer = dict(curves)
        for arm in {**self.training, **self.validation}:
            curve = longer.get(arm, Curve())
            training = curve.training + tuple(self.training.get(arm, ()))
            longer[arm] = replace(curve, training=training, validation=curve.validation + tuple(self.validation.get(arm, ())))
        return longer
