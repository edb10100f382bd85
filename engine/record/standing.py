"""What was measured of a model since its last change, folded from events; knows no run, no command and no checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.record.events import (
    Compensated,
    Evaluated,
    GatesChanged,
    ModelCut,
    ModelSaved,
    PlanMade,
    RoundBegan,
    SuggestionMeasured,
    TextSampled,
    TuningStarted,
    WentBack,
)


@dataclass(frozen=True)
class Curve:
    """The losses of one arm: (step, mean loss per token in nats), in training and on text that training does not read.

    `kept` is there where training ended with the weights of an earlier step.
    """

    steps: int = 0
    training: tuple[tuple[int, float], ...] = ()
    validation: tuple[tuple[int, float], ...] = ()
    kept: WentBack | None = None

    def until(self, step: int, validated: int) -> "Curve":
        """The losses up to a step, those of validation up to another."""
        training = tuple(point for point in self.training if point[0] <= step)
        return Curve(self.steps, training, tuple(point for point in self.validation if point[0] <= validated))

    def begins(self, other: "Curve") -> bool:
        """Whether its losses in training are the first ones of another, or all."""
        return other.training[: len(self.training)] == self.training


@dataclass(frozen=True)
class Standing:
    """What an undo takes back: the gates and all that was measured since the checkpoint before."""

    plan: PlanMade | None = None
    gates: GatesChanged | None = None
    compensated: Compensated | None = None
    promise: SuggestionMeasured | None = None  # what a suggestion that was followed has come to
    perplexity: Mapping[str, Evaluated] = field(default_factory=dict)
    samples: Mapping[str, TextSampled] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    rounds: tuple[RoundBegan, ...] = ()  # of a pruning with a recovery after each
    cut: ModelCut | None = None
    saved: ModelSaved | None = None


def after(standing: Standing, fact: Any) -> Standing:
    """What stands after one more event; the same where the event says nothing of the model."""
    match fact:
        case PlanMade():
            rounds = standing.rounds if fact.laid else ()
            # A new plan starts from the model before it: what was measured since then no longer holds.
            return replace(_keep(standing, "baseline"), plan=fact, compensated=None, promise=None, rounds=rounds)
        case GatesChanged(reason="by hand"):
            return replace(_keep(standing, "baseline"), gates=fact, promise=None)
        case GatesChanged():
            return replace(standing, gates=fact)
        case Compensated():
            return replace(standing, compensated=fact)
        case SuggestionMeasured():
            return replace(standing, promise=fact)
        case Evaluated():
            return replace(standing, perplexity=beside(standing.perplexity, fact))
        case TextSampled():
            return replace(standing, samples={**standing.samples, fact.stage: fact})
        case RoundBegan(round=1):
            return replace(standing, rounds=(fact,))
        case RoundBegan():
            return replace(standing, rounds=(*standing.rounds, fact))
        case TuningStarted() if fact.first:  # a further part of the same training: its curve goes on
            kept = _keep(standing, "baseline", "pruned") if fact.arm == "tuned" else standing
            curve = replace(standing.curves.get(fact.arm, Curve()), steps=fact.steps, kept=None)
            return replace(kept, curves={**standing.curves, fact.arm: curve})
        case TuningStarted(arm="tuned"):  # a control of an earlier recovery is none of this one
            return replace(_keep(standing, "baseline", "pruned"), curves={fact.arm: Curve(fact.steps)})
        case TuningStarted():
            return replace(standing, curves={**standing.curves, fact.arm: Curve(fact.steps)})
        case WentBack():
            curve = replace(standing.curves.get(fact.arm, Curve()), kept=fact)
            return replace(standing, curves={**standing.curves, fact.arm: curve})
        case ModelCut():
            return replace(standing, cut=fact)
        case ModelSaved():
            return replace(standing, saved=fact)
    return standing


def gone_down(curves: Mapping[str, Curve], before: Mapping[str, Curve]) -> dict[str, Curve]:
    """The curves that went down with a process, beside those that went down `before`: a training that was only begun again, and
    had not come to its bookmark yet, goes on from there all the same."""
    return {arm: before[arm] if arm in before and curve.begins(before[arm]) else curve for arm, curve in curves.items()}


def beside(found: Mapping[str, Evaluated], fact: Evaluated) -> dict[str, Evaluated]:
    """A perplexity with those of other stages that were measured as it was; the others can be compared with it no more."""
    return {stage: one for stage, one in found.items() if one.protocol == fact.protocol} | {fact.stage: fact}


def recalled(shelved: Standing, now: Standing) -> Standing:
    """What stood at a checkpoint, beside the baseline that stands now: it may have been measured in another way since."""
    baseline = now.perplexity.get("baseline")
    return replace(shelved, perplexity=beside(shelved.perplexity, baseline)) if baseline is not None else shelved


def _keep(standing: Standing, *stages: str) -> Standing:
    """Only what was measured at these stages; a smaller model that was cut is another model's by now."""
    perplexity = {stage: found for stage, found in standing.perplexity.items() if stage in stages}
    samples = {stage: found for stage, found in standing.samples.items() if stage in stages}
    return replace(standing, perplexity=perplexity, samples=samples, cut=None, saved=None)
