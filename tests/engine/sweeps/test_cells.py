"""Tests of engine/sweeps/cells.py: a cell's number is its recipe's run alone, and a failed cell takes no other with it."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from engine.desk import Desk
from engine.record.cells import SweepCellDone
from engine.record.events import ModelLoaded
from engine.record.lifecycle import Progressed
from engine.record.sweep import Sweep
from engine.sweeps import measuring
from engine.sweeps.cells import measured
from engine.sweeps.training import recovered
from tests.engine.sweeps.outcomes import alone, outcomes

MEMORY = 10**8


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
