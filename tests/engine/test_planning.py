"""Tests of engine/planning.py: rounds and suggestions as events of a workbench, taken back and given up like any other change."""

import itertools
import math

import pytest
import torch

from engine.pruning.evidence import Evidence
from engine.record import commands as ask
from engine.record import events as tell
from engine.record.errors import BadInput
from engine.record.recipe import Protection, Recipe, Schedule, Suggestion
from engine.workbench import Workbench

MEASURED = Suggestion(by="block", damage="measured")


@pytest.fixture
def bench(recipe, tmp_path):
    """A workbench with the tiny model and text on it, in a run folder."""
    bench = Workbench(tmp_path, recipe)
    do(bench, ask.commands_of(recipe)[0])
    yield bench
    bench.close()


def do(bench: Workbench, *commands: ask.Command) -> list:
    """Carry out commands to their ends."""
    return [event for command in commands for event in bench.handle(command)]


def seen(bench: Workbench) -> torch.Tensor:
    """The logits of the model as it stands."""
    with torch.no_grad():
        return bench.desk.model(torch.arange(2, 34)[None]).logits  # [1, 32, vocabulary]


def prune(recipe: Recipe, **changes) -> ask.Prune:
    """The Prune of a recipe, with other choices."""
    return ask.prune_of(recipe.model_copy(update=changes))


def preview(recipe: Recipe, **changes) -> ask.Preview:
    """The Preview of the same."""
    return ask.preview_of(recipe.model_copy(update=changes))


def all_of(events: list, kind: type) -> list:
    """The events of a kind."""
    return [event for event in events if isinstance(event, kind)]


def one(events: list, kind: type):
    """The only event of a kind."""
    (found,) = all_of(events, kind)
    return found


@pytest.mark.parametrize("ways", [{"allocation": "global", "rounds": 2}, {"allocation": "suggest"}])
def test_a_preview_of_any_allocation_is_what_pruning_gives(recipe, bench, ways):
    """The same units and the same perplexity; the parameters that the schedule would take, to the nearest unit."""
    scheduled = one(do(bench, preview(recipe)), tell.Previewed)
    before = seen(bench)
    promised = one(do(bench, preview(recipe, **ways)), tell.Previewed)
    assert torch.equal(seen(bench), before)
    made = all_of(do(bench, prune(recipe, **ways)), tell.PlanMade)
    found = one(do(bench, ask.Evaluate("pruned", recipe.evaluation)), tell.Evaluated)
    last = made[-1]
    assert (promised.heads, promised.neuron_counts, promised.perplexity) == (last.heads, last.neuron_counts, found.perplexity)
    assert [(each.round, each.rounds) for each in made] == [(place + 1, len(made)) for place in range(ways.get("rounds", 1))]
    assert abs(promised.parameters_after - scheduled.parameters_after) <= bench.desk.loaded.anatomy.layers[0].group_parameters
    assert last.neuron_shares == tuple(gone / 40 for gone in last.neuron_counts) and last.allocation == ways["allocation"]


def test_every_round_tells_its_scores_and_its_plan(recipe, bench, tmp_path):
    """The plans hold one another, no file of scores overwrites another, and an undo goes back behind them all."""
    before = seen(bench)
    events = do(bench, prune(recipe, rounds=3))
    scored, made = all_of(events, tell.UnitsScored), all_of(events, tell.PlanMade)
    assert [event.round for event in scored] == [event.round for event in made] == [1, 2, 3]
    assert len({(tmp_path / event.artifact).read_bytes() for event in scored}) == 3
    assert set(made[0].heads) <= set(made[1].heads) <= set(made[2].heads)
    assert sum(made[0].neuron_counts) < sum(made[1].neuron_counts) < sum(made[2].neuron_counts)
    assert made[-1].head_shares == recipe.heads.shares(3)
    do(bench, ask.Undo())
    assert torch.equal(seen(bench), before)


def test_a_suggestion_is_told_with_its_promise_and_then_with_what_came_of_it(recipe, bench):
    """By a pruning that follows it, and the same by the command alone; the measurement is that of the two perplexities."""
    evaluate = ask.Evaluate("pruned", recipe.evaluation)
    baseline = one(do(bench, ask.Evaluate("baseline", recipe.evaluation)), tell.Evaluated)
    events = do(bench, prune(recipe, allocation="suggest"))
    told, made = one(events, tell.Suggested), one(events, tell.PlanMade)
    assert (told.head_shares, told.neuron_shares) == (made.head_shares, made.neuron_shares)
    assert told.parameters_after == made.parameters_after
    events = do(bench, evaluate)
    found, kept = one(events, tell.Evaluated), one(events, tell.SuggestionMeasured)
    assert kept.promised == told.rise and kept.measured == pytest.approx(math.log(found.perplexity / baseline.perplexity))
    share = 1 - told.parameters_after / told.parameters_before
    alone = ask.Suggest(share, recipe.criterion, recipe.heads, recipe.neurons, calibration=recipe.calibration)
    before = seen(bench)
    again = one(do(bench, alone), tell.Suggested)
    assert (again.head_shares, again.neuron_shares, again.rise) == (told.head_shares, told.neuron_shares, told.rise)
    assert torch.equal(seen(bench), before)
    do(bench, prune(recipe))
    assert not all_of(do(bench, evaluate), tell.SuggestionMeasured), "nobody suggested what stands now"


@pytest.mark.parametrize("way", ["rounds", "suggest"])
def test_given_up_at_any_event_the_model_stays_to_the_bit(recipe, bench, way):
    """Although a plan of an earlier round, or of a measurement, lies over it for a while."""
    do(bench, prune(recipe, criterion="random"))
    before, stand, fresh = seen(bench), bench.desk.stand, bench.desk.evidence
    command = prune(recipe, rounds=2, allocation="global", heads=Schedule(level=0.7))
    if way == "suggest":
        command = ask.Suggest(0.1, "activation", calibration=recipe.calibration, suggestion=MEASURED)
    for count in itertools.count(1):
        bench.desk.evidence = Evidence(fresh.model, fresh.anatomy)  # else nothing is calibrated a second time
        events = bench.handle(command)
        found = list(itertools.islice(events, count))
        events.close()
        if len(found) < count or isinstance(found[-1], tell.CheckpointSaved):
            break
        assert torch.equal(seen(bench), before) and bench.desk.stand == stand, count
    assert count > 4


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"heads": Schedule(level=0.9), "protect": Protection(first=1)}, "heads.level"),
        ({"neurons": Schedule(shape="custom", layers=(0.1, 0.2))}, "neurons.layers"),
    ],
)
def test_shares_that_cannot_be_blame_their_field(recipe, bench, changes, field):
    """Before anything is scored."""
    with pytest.raises(BadInput) as caught:
        do(bench, prune(recipe, **changes))
    assert caught.value.field == field


def test_a_share_that_cannot_go_is_refused(recipe, bench):
    """With how much could."""
    with pytest.raises(BadInput, match="make 0") as caught:
        do(bench, ask.Suggest(0.99, "magnitude", calibration=recipe.calibration))
    assert caught.value.field == "share"
