"""Tests of engine/sweeps/training.py: what comes of a cell that is recovered is what comes of its recipe's run alone."""

from dataclasses import asdict
from itertools import groupby, product

import pytest

from engine.models.load import load
from engine.record.events import ModelLoaded, StepTrained, TextSampled, Validated
from engine.record.lifecycle import Progressed
from engine.record.sweep import Sweep
from engine.record.sweep_folder import SweepState, cells_told
from engine.summary import as_table
from engine.sweeps.dispatching import tasks
from engine.sweeps.training import CellTrainer, recovered, together
from engine.workbench import Workbench
from tests.engine.sweeps.outcomes import alone, outcomes


def test_a_recovery_is_the_run_with_its_control(recipe):
    """Each cell is a run by itself; what it comes to is the recovered model's."""
    sweep = Sweep(recipe, {"neurons.level": [0.2, 0.6]}, "recover")
    found = outcomes(recovered(sweep.cells))
    for cell in sweep.cells:
        expected, parameters = alone(cell.recipe)
        assert found[cell.number].perplexities == expected and set(expected) == {"baseline", "pruned", "tuned", "control"}
        assert (found[cell.number].perplexity, found[cell.number].parameters) == (expected["tuned"], parameters)


def test_cells_whose_control_is_the_same_training_train_it_once(recipe):
    """Whatever is pruned, and how; another seed, rate, text or length to measure has one of its own. Each has the number that its
    recipe has when it is run alone."""
    cells = Sweep(recipe, {"neurons.level": [0.2, 0.6], "tuning.learning_rate": [1e-3, 2e-3]}, "recover").cells
    shorter = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"tokens": 96})})
    (again,), (short,) = (Sweep(asked, {}, "recover", seeds=[1]).cells for asked in (recipe, shorter))
    trainer = CellTrainer()
    for some, trainings in ((cells, 2), ((again,), 1), ((again,), 0), ((short,), 1)):
        events = list(trainer.recovered(some))
        steps = [event for event in events if isinstance(event, StepTrained) and event.arm == "control"]
        assert len(steps) == trainings * recipe.tuning.steps
        found = outcomes(events)
        for cell in some:
            assert found[cell.number].perplexities == alone(cell.recipe)[0]
    trainer.close()


def test_a_control_that_was_trained_otherwise_than_asked_or_in_rounds_is_nobody_elses(recipe, monkeypatch):
    """A step that was made again, and the parts in which the rounds of the model beside it come."""
    axes = {"neurons.level": [0.2, 0.6]}
    rounds = recipe.model_copy(update={"rounds": 2, "recover": "rounds"})
    for asked, fault in ((rounds, ""), (recipe, "loss@2")):
        monkeypatch.setenv("ESPALIER_FAULTS", fault)
        events = list(recovered(Sweep(asked, axes, "recover").cells))
        controls = [event for event in events if isinstance(event, StepTrained) and event.arm == "control"]
        assert {event.step for event in controls} == set(range(1, asked.tuning.steps + 1)) and len(
            controls
        ) >= 2 * asked.tuning.steps


def test_the_cut_model_of_a_cell_is_timed_where_that_is_asked(recipe):
    """Beside the dense one, as a run does that cuts; nothing else of the cell changes."""
    asked = {"recipe": recipe, "axes": {"neurons.level": [0.5]}, "mode": "recover"}
    (plain,), (timed,) = (outcomes(recovered(Sweep(**asked, latency=yes).cells)).values() for yes in (False, True))
    works = {(each.batch, each.what) for each in timed.latency}
    assert plain.latency == () and works == set(product((1, 8), ("prefill", "decode")))
    assert all(each.dense > 0 and each.cut > 0 and each.length == 32 for each in timed.latency)
    assert timed.perplexities == plain.perplexities | {"cut": pytest.approx(plain.perplexity, rel=1e-5)}
    assert (timed.perplexity, timed.parameters) == (plain.perplexity, plain.parameters)


def test_what_was_done_otherwise_is_told_with_its_cell(recipe, monkeypatch):
    """In the event, in the table and in the file for other programs; of the other cells nothing."""
    monkeypatch.setenv("ESPALIER_FAULTS", "loss@2")
    sweep = Sweep(recipe, {"tuning.steps": [1, 4]}, "recover")
    found = outcomes(recovered(sweep.cells))
    short, long = (found[cell.number] for cell in sweep.cells)
    assert short.degraded == () and {each.asked for each in long.degraded} == {"step 2 of the recovery", "step 2 of the control"}
    told, table = cells_told(SweepState(sweep, done=found)), as_table(SweepState(sweep, done=found))
    assert "degraded" not in told[0] and told[1]["degraded"] == [asdict(each) for each in long.degraded]
    assert "instead of step 2 of the recovery: " in table.splitlines()[-1] and "instead of" not in table.splitlines()[-2]


def test_a_round_that_its_guard_undid_is_not_what_a_cell_came_to(recipe):
    """The first of two rounds is refused, always: the cell's model is the whole one, and nothing that was measured of the pruned
    one is told. A guard that lets both pass changes nothing."""
    rounds = recipe.model_copy(update={"rounds": 2, "recover": "rounds"})
    cells = Sweep(rounds, {"tuning.guard": [1.5, 1e6]}, "recover", latency=True).cells
    found = outcomes(recovered(cells))
    refused, kept = (found[cell.number] for cell in cells)
    assert set(refused.perplexities) == {"baseline", "cut"} and refused.perplexity == refused.perplexities["baseline"]
    assert refused.parameters > kept.parameters and refused.parameters == load(recipe.model).anatomy.parameters
    assert refused.perplexities["cut"] == pytest.approx(refused.perplexity, rel=1e-5)
    assert refused.degraded[0].asked == "round 1 of 2 and those after it" and kept.degraded == ()
    assert set(kept.perplexities) == {"baseline", "pruned", "tuned", "control", "cut"}
    assert kept.perplexity == kept.perplexities["tuned"]


WAYS = {
    "methods": {"tuning.method": ["full", "lora", "distil"]},
    "rounds": {"rounds": [2, 1], "recover": ["rounds"], "revive": [True, False]},
    "compensations": {"compensation": ["least-squares", "sequential", "none"], "tuning.cut_first": [True]},
    "ends": {"tuning.patience": [1], "tuning.guard": [0, 1.5], "tuning.steps": [3]},
}


@pytest.mark.parametrize("axes", WAYS)
def test_cells_that_follow_one_another_on_one_model_are_their_recipes_alone(axes, recipe):
    """To the bit, whatever the cell before has trained, cut or laid over the model."""
    cells = [cell for cell in Sweep(recipe, WAYS[axes], "recover", latency=axes == "ends").cells if cell.recipe is not None]
    found = outcomes(recovered(cells))
    for cell in cells:
        expected, parameters = alone(cell.recipe)
        assert found[cell.number].status == "done", found[cell.number].error
        assert (found[cell.number].perplexities, found[cell.number].parameters) == (expected, parameters), cell.set
    assert len(cells) >= 2


def test_what_the_cells_have_in_common_is_done_once(recipe, monkeypatch):
    """The model is loaded, its statistics are read, and nothing is written or validated on the way."""
    told, handle = [], Workbench.handle

    def listening(self, command):
        for event in handle(self, command):
            told.append(event)
            yield event

    monkeypatch.setattr(Workbench, "handle", listening)
    asked = recipe.model_copy(update={"compensation": "least-squares"})
    cells = Sweep(asked, {"neurons.level": [0.2, 0.4, 0.6]}, "recover").cells
    assert [each.status for each in outcomes(recovered(cells)).values()] == ["done"] * 3
    assert sum(isinstance(event, ModelLoaded) for event in told) == 1
    assert not any(isinstance(event, TextSampled) for event in told)
    assert [event.step for event in told if isinstance(event, Validated)] == [0, recipe.tuning.steps] * 4  # with one control
    passes = [event.what for event in told if isinstance(event, Progressed)]
    assert sum(what.startswith("calibration, in") for what in passes) == len({what for what in passes if "calibration" in what})


def test_whoever_leaves_in_a_training_leaves_nothing_to_the_next_cell(recipe):
    """The weights as they are by then are no model's: the cells are those of their recipes alone, also where they come again."""
    trainer, cells = CellTrainer(), Sweep(recipe, {"neurons.level": [0.2, 0.6]}, "recover").cells
    events = trainer.recovered(cells)
    for event in events:
        if isinstance(event, StepTrained) and event.step == 2:
            break
    events.close()
    found = outcomes(trainer.recovered(cells))
    trainer.close()
    assert [found[cell.number].perplexities for cell in cells] == [alone(cell.recipe)[0] for cell in cells]


def test_cells_of_one_model_and_text_follow_one_another(recipe):
    """Whatever other axes change in between, so that each is loaded and measured once for a stage."""
    axes = {"neurons.level": [0.2, 0.4, 0.6, 0.8], "model": ["gpt2-tiny", "opt-tiny"], "evaluation.tokens": [512, 1024]}
    cells = Sweep(recipe, axes, "recover").cells
    line = together(cells)
    assert sorted(cell.number for cell in line) == sorted(cell.number for cell in cells)
    assert [cell.stage for cell in line] == sorted(cell.stage for cell in cells)
    for _, stage in groupby(line, key=lambda cell: cell.stage):
        needed = [(cell.set["model"], cell.set["evaluation.tokens"]) for cell in stage]
        assert len([needs for needs, _ in groupby(needed)]) == len(set(needed))
    assert [cell for (cell,) in tasks(cells, "recover", 2)] == line
