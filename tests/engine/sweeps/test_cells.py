"""Tests of engine/sweeps/cells.py: a cell's number is its recipe's run alone, and a failed cell takes no other with it."""

import shutil
from dataclasses import asdict
from itertools import product

import pytest
from safetensors.torch import load_file, save_file

from engine import run
from engine.desk import Desk
from engine.models.load import load
from engine.record.cells import SweepCellDone
from engine.record.events import Evaluated, GatesChanged, ModelLoaded, StepTrained
from engine.record.lifecycle import Progressed
from engine.record.sweep import Sweep
from engine.record.sweep_folder import SweepState, cells_told
from engine.summary import as_table
from engine.sweeps import measuring
from engine.sweeps.cells import measured, recovered

MEMORY = 10**8


def outcomes(events) -> dict[int, SweepCellDone]:
    """What came of each cell, by number."""
    return {event.number: event for event in events if isinstance(event, SweepCellDone)}


def alone(recipe):
    """The perplexities of a recipe run by itself, and the parameters that it left."""
    events = list(run(recipe))
    found = {event.stage: event.perplexity for event in events if isinstance(event, Evaluated)}
    return found, [event.parameters_after for event in events if isinstance(event, GatesChanged)][-1]


AXES = {
    "compensations": {"compensation": ["none", "bias", "least-squares", "sequential"], "neurons.level": [0.25, 0.5]},
    "heads": {"heads.level": [0, 0.34, 1], "criterion": ["random", "magnitude"]},
    "allocations": {"allocation": ["schedule", "global", "suggest"], "rounds": [1, 2]},
    "texts": {"evaluation.tokens": [128, 256], "calibration.tokens": [256, 512], "heads.blocks.0": [0, 1]},
}


@pytest.mark.parametrize("axes", AXES)
def test_a_cell_has_the_number_of_its_recipe_run_alone(axes, recipe):
    """Whatever the axes are, what is shared between them and what is not."""
    plain = recipe.model_dump(mode="json", exclude_unset=True)
    sweep = Sweep(plain, AXES[axes], seeds=[0, 5] if axes == "heads" else None)
    found = outcomes(measured(sweep.cells, MEMORY))
    assert len(found) == len(sweep.cells)
    for cell in sweep.cells:
        expected, parameters = alone(cell.recipe)
        assert found[cell.number].status == "done", found[cell.number].error
        assert found[cell.number].perplexities == pytest.approx(expected, rel=1e-5)
        assert (found[cell.number].parameters, found[cell.number].set) == (parameters, dict(cell.set))
    assert all(each.kept <= MEMORY for each in found.values())


def test_a_sweep_of_several_models_and_texts_reads_each_once(recipe, tmp_path, model_folder):
    """For the scores and for the compensation. Whoever goes on with it reads none again: what is kept in its folder stays,
    whichever model comes after."""
    shutil.copytree(model_folder, tmp_path / "other")
    plain = recipe.model_dump(mode="json", exclude_unset=True) | {"compensation": "least-squares"}
    axes = {"model": [str(model_folder), str(tmp_path / "other")], "calibration.tokens": [256, 512], "neurons.level": [0.2, 0.6]}
    cells, folder = Sweep(plain, axes).cells, tmp_path / "sweep"
    weights = tmp_path / "other" / "model.safetensors"
    save_file({name: 1.01 * tensor for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    for where, passes in ((folder, 2 * 4), (folder, 0), (None, 2 * 4)):
        told = [event for event in measured(cells, MEMORY, where) if isinstance(event, Progressed)]
        assert sum(event.what.startswith("calibration, in") for event in told) == passes, where


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
    controls = {}
    for some, trainings in ((cells, 2), ((again,), 1), ((again,), 0), ((short,), 1)):
        events = list(recovered(some, controls))
        steps = [event for event in events if isinstance(event, StepTrained) and event.arm == "control"]
        assert len(steps) == trainings * recipe.tuning.steps
        found = outcomes(events)
        for cell in some:
            assert found[cell.number].perplexities == alone(cell.recipe)[0]
    assert len(set(controls.values())) == 4


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


@pytest.mark.parametrize("do", [lambda cells: measured(cells, MEMORY), recovered], ids=["measure", "recover"])
def test_a_failed_cell_says_why_and_the_others_go_on(do, recipe):
    """A text that is not there, a sequence longer than the model can read, a combination that is no recipe."""
    tuning = recipe.tuning.model_copy(update={"steps": 0})
    axes = {"corpus": [recipe.corpus, "file:/nowhere.txt"], "evaluation.sequence_length": [32, 65, 600]}
    axes |= {"evaluation.tokens": [512, 600]}
    sweep = Sweep(recipe.model_copy(update={"tuning": tuning}), axes)
    found = outcomes(do(sweep.cells))
    said = {cell.number: found[cell.number].error for cell in sweep.cells}
    for cell in sweep.cells:
        match tuple(cell.set.values()):
            case _, 600, 512:
                assert said[cell.number] == "evaluation.tokens 512 does not fill one sequence of 600."
            case "file:/nowhere.txt", _, _:
                assert "/nowhere.txt" in said[cell.number]
            case _, 65 | 600, _:
                assert "more than the 64 positions of this model" in said[cell.number]
            case _:
                assert found[cell.number].status == "done" and found[cell.number].perplexity > 1
        assert (found[cell.number].perplexity is None) == (said[cell.number] is not None)


def test_cells_of_two_models_are_measured_each_on_its_own(recipe):
    """Within a stage one model after the other, so that each is loaded once."""
    sweep = Sweep(recipe, {"model": ["gpt2-tiny", recipe.model], "criterion": ["random", "magnitude"]})
    events = list(measured(sweep.cells, MEMORY))
    assert [event.model for event in events if isinstance(event, ModelLoaded)] == ["gpt2-tiny", recipe.model]
    found = outcomes(events)
    dense = {cell.set["model"]: found[cell.number].perplexities["baseline"] for cell in sweep.cells}
    assert len(found) == 4 and len(set(dense.values())) == 2


def test_a_criterion_is_scored_when_its_first_cell_comes(recipe):
    """So that a slow one does not hold up what another has to show."""
    axes = {"criterion": ["magnitude", "ablation"], "heads.level": [0.34, 1]}
    plain = recipe.model_dump(mode="json", exclude_unset=True) | {"neurons": {"level": 0}, "compensation": "none"}
    line = [event for event in measured(Sweep(plain, axes).cells, MEMORY) if isinstance(event, SweepCellDone | Progressed)]
    ablating = next(at for at, event in enumerate(line) if isinstance(event, Progressed) and event.what == "leaving heads out")
    before = [event.set["criterion"] for event in line[:ablating] if isinstance(event, SweepCellDone)]
    assert before == ["magnitude", "magnitude"] and len(outcomes(line)) == 4


def test_cells_are_planned_a_few_at_a_time(recipe, monkeypatch):
    """The first is measured long before the last is planned, whatever the axes are, and no more plans are kept; the numbers are
    the same, and for the most part what is shared."""
    plain = recipe.model_dump(mode="json", exclude_unset=True) | {"heads": {"level": 0}, "compensation": "none"}
    draws = {f"neurons.blocks.{block}": {"from": 0, "to": 0.9, "draws": 12} for block in range(2)}
    grid = {f"neurons.blocks.{block}": [0, 0.2, 0.4, 0.6] for block in range(2)}
    planned, plans = Desk.rounds, []
    monkeypatch.setattr(Desk, "rounds", lambda *wish: plans.append(wish) or planned(*wish))
    for axes in (draws, grid):
        cells = Sweep(plain, axes).cells
        expected = outcomes(measured(cells, MEMORY))
        with monkeypatch.context() as few:
            few.setattr(measuring, "TURN", 4)
            few.setattr(measuring, "PLANNED", 8)
            plans.clear()
            found, before = {}, []
            for event in measured(cells, MEMORY):
                if isinstance(event, SweepCellDone):
                    before.append(len(plans) - len(found))
                    found[event.number] = event
        assert max(before) <= 8 and len(plans) == len(cells)
        assert {number: one.perplexity for number, one in found.items()} == {
            number: one.perplexity for number, one in expected.items()
        }
        shared = [sum(one.shared for one in each.values()) for each in (expected, found)]
        assert 0.8 * shared[0] <= shared[1] <= shared[0], shared
