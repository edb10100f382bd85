"""Tests of engine/measured.py: perplexities that stand beside one another were measured alike, whatever is asked in between."""

import pytest
import torch

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.lifecycle import Degraded, WorkerStarted
from engine.record.line import Stamped
from engine.record.recipe import Measuring, Recipe
from engine.record.state import RunState, fold
from engine.record.suggestions import SuggestionMeasured
from engine.workbench import Workbench

SHORTER = Measuring(tokens=256, sequence_length=16)


class Run:
    """A workbench with the tiny model and text on it, and the state that its events come to."""

    def __init__(self, recipe: Recipe, folder):
        self.recipe, self.bench, self.state = recipe, Workbench(folder, recipe), RunState()
        self.do(*ask.commands_of(recipe)[:2])  # the model, and the baseline

    def do(self, *commands: ask.Command) -> list:
        """Carry out commands to their ends."""
        found = [event for command in commands for event in self.bench.handle(command)]
        self.state = fold(self.state, [Stamped(number, 0.0, event) for number, event in enumerate(found)])
        return found

    def alike(self) -> dict[str, tuple[int, int]]:
        """Tokens and length of every stage that the state has, which are those that the workbench knows."""
        found = self.state.standing.perplexity
        assert found == self.bench.measured.found
        return {stage: (one.tokens, one.sequence_length) for stage, one in found.items()}


@pytest.fixture
def started(recipe, tmp_path):
    """A run whose baseline is measured."""
    run = Run(recipe, tmp_path)
    yield run
    run.bench.close()


def tune(recipe: Recipe, measuring: Measuring) -> ask.Tune:
    """The recovery of a recipe, measured in some way."""
    return ask.Tune(recipe.tuning, measuring, recipe.prompt, recipe.seed)


LONG, SHORT = (16 * 31, 32), (16 * 15, 16)


def test_another_protocol_measures_the_baseline_again(started, recipe):
    """With the perplexity that it has by that protocol, the plan back over the model to the bit, and nothing twice."""
    (alone,) = [each for each in started.do(ask.Evaluate("baseline", SHORTER)) if isinstance(each, tell.Evaluated)]
    started.do(ask.Evaluate("baseline", recipe.evaluation), ask.prune_of(recipe))
    started.do(ask.Evaluate("pruned", recipe.evaluation))
    assert started.alike() == {"baseline": LONG, "pruned": LONG}
    with torch.no_grad():
        before = started.bench.desk.model(torch.arange(2, 34)[None]).logits  # [1, 32, vocabulary]
    stages = [each.stage for each in started.do(ask.Evaluate("pruned", SHORTER)) if isinstance(each, tell.Evaluated)]
    assert stages == ["baseline", "pruned"] and started.alike() == {"baseline": SHORT, "pruned": SHORT}
    assert started.state.standing.perplexity["baseline"] == alone
    with torch.no_grad():
        assert torch.equal(started.bench.desk.model(torch.arange(2, 34)[None]).logits, before)
    stages = [each.stage for each in started.do(ask.Evaluate("pruned", SHORTER)) if isinstance(each, tell.Evaluated)]
    assert stages == ["pruned"]


def test_a_recovery_measures_the_pruned_model_in_its_way_before_it_is_gone(started, recipe):
    """So that before, after and control can be compared."""
    started.do(ask.prune_of(recipe), ask.Evaluate("pruned", recipe.evaluation))
    events = started.do(tune(recipe, SHORTER))
    kinds = [type(each) for each in events]
    again = [number for number, each in enumerate(events) if isinstance(each, tell.Evaluated) and each.stage == "pruned"]
    assert len(again) == 1 and again[0] < kinds.index(tell.TuningStarted)
    assert started.alike() == dict.fromkeys(("baseline", "pruned", "tuned", "control"), SHORT)


def test_what_cannot_be_measured_again_is_dropped_and_an_event_says_so(started, recipe):
    """A recovered model: the baseline is read anew, the control lies on the disk, and the pruned model is no more."""
    started.do(ask.prune_of(recipe), ask.Evaluate("pruned", recipe.evaluation), tune(recipe, recipe.evaluation))
    before = dict(started.state.standing.perplexity)
    events = started.do(ask.Cut(SHORTER))
    assert started.alike() == dict.fromkeys(("baseline", "control", "tuned", "cut"), SHORT)
    (said,) = [each for each in events if isinstance(each, Degraded)]
    assert said == Degraded(
        "the perplexity pruned", "none", "it was measured on 496 tokens in sequences of 32, and what was measured is gone"
    )
    started.do(ask.Evaluate("tuned", recipe.evaluation))  # there and back: of the same models as at first
    assert all(started.state.standing.perplexity[stage] == before[stage] for stage in ("baseline", "tuned", "control"))


def test_an_undo_brings_back_no_perplexity_of_another_protocol(started, recipe):
    """The baseline is the newest one, and what it cannot be compared with stays away."""
    started.do(ask.prune_of(recipe), ask.Evaluate("pruned", recipe.evaluation))
    started.do(ask.prune_of(recipe.model_copy(update={"criterion": "random"})), ask.Evaluate("pruned", SHORTER))
    started.do(ask.Undo())
    assert started.alike() == {"baseline": SHORT}


def test_another_process_knows_what_was_measured_and_what_was_promised(started, recipe, tmp_path):
    """A worker that takes over keeps the promise of the one before, and measures by its baseline."""
    started.do(ask.prune_of(recipe.model_copy(update={"allocation": "suggest"})))
    state = fold(started.state, [Stamped(0, 0.0, WorkerStarted(1, 1))])
    other = Workbench(tmp_path, recipe)
    other.catch_up(ask.commands_of(recipe)[0], state)
    evaluate = ask.Evaluate("pruned", recipe.evaluation)
    told = [[each for each in bench.handle(evaluate) if isinstance(each, SuggestionMeasured)] for bench in (started.bench, other)]
    assert told[0] == told[1] and told[0][0].promised == started.state.standing.plan.promised
    assert other.measured.found == started.bench.measured.found
    other.close()
