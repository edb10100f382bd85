"""What was done otherwise than asked, as far as it is true of what stands: the part of a run's state that is about that.

Knows no training: what is told of a step goes where the step goes.
"""

from dataclasses import dataclass, replace

from engine.record.lifecycle import Degraded
from engine.record.training import ARMS, TrainingResumed


@dataclass(frozen=True)
class Otherwise:
    """All that is `told`, the newest last; those after the first `before` belong to the command of that `line`. `undone` was told
    of steps of a training that begins again, which may go on after some of them."""

    told: tuple[Degraded, ...] = ()
    line: int = -1
    before: int = 0
    undone: tuple[Degraded, ...] = ()

    def begun(self, line: int) -> "Otherwise":
        """A command is in hand, perhaps once more."""
        return self if line == self.line else Otherwise(self.told, line, len(self.told))

    def and_also(self, one: Degraded, once: bool) -> "Otherwise":
        """With one more, `once`: unless it was told before."""
        return self if once and one in self.told else replace(self, told=(*self.told, one))

    def training(self, arm: str, first: int) -> "Otherwise":
        """The training of an arm begins after that step: what was told of later ones, in this command, is not true any more."""
        undone = tuple(one for one in self.told[self.before :] if one.arm == arm and one.step > first)
        rest = tuple(one for one in self.told[self.before :] if one not in undone)
        return replace(self, told=self.told[: self.before] + rest, undone=undone)

    def resumed(self, at: TrainingResumed, told: int) -> "Otherwise":
        """It goes on after a later step than that: what was told until there is true after all. `told` is the last step until
        there that the record tells of: where that is an earlier one, the record has lost its end."""
        goes_on = replace(self, told=(*self.told, *(one for one in self.undone if one.step <= at.step)), undone=())
        if told >= at.step:
            return goes_on
        steps = f"step {at.step}" if told + 1 == at.step else f"steps {told + 1} to {at.step}"
        every = f"the losses of every step of {ARMS.get(at.arm, at.arm)}"
        return goes_on.and_also(Degraded(every, f"none of {steps}", "the record of the run has lost them", at.arm, at.step), True)
