"""Tests of engine/cells.py: a cell's number is that of its recipe run alone, and a cell that fails takes no other with it."""

from itertools import product

import pytest

from engine import run
from engine.cells import measured, recovered
from engine.record.cells import SweepCellDone
from engine.record.events import Evaluated, GatesChanged, ModelLoaded
from engine.record.lifecycle import Progressed
from engine.record.sweep import Sweep

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


def test_a_recovery_is_the_run_with_its_control(recipe):
    """Each cell is a run by itself; what it comes to is the recovered model's."""
    sweep = Sweep(recipe, {"neurons.level": [0.2, 0.6]}, "recover")
    found = outcomes(recovered(sweep.cells))
    for cell in sweep.cells:
        expected, parameters = alone(cell.recipe)
        assert found[cell.number].perplexities == expected and set(expected) == {"baseline", "pruned", "tuned", "control"}
        assert (found[cell.number].perplexity, found[cell.number].parameters) == (expected["tuned"], parameters)


def test_the_cut_model_of_a_cell_is_timed_where_that_is_asked(recipe):
    """Beside the dense one, as a run does that cuts; nothing else of the cell changes."""
    asked = {"recipe": recipe, "axes": {"neurons.level": [0.5]}, "mode": "recover"}
    (plain,), (timed,) = (outcomes(recovered(Sweep(**asked, latency=yes).cells)).values() for yes in (False, True))
    works = {(each.batch, each.what) for each in timed.latency}
    assert plain.latency == () and works == set(product((1, 8), ("prefill", "decode")))
    assert all(each.dense > 0 and each.cut > 0 and each.length == 32 for each in timed.latency)
    assert timed.perplexities == plain.perplexities | {"cut": pytest.approx(plain.perplexity, rel=1e-5)}
    assert (timed.perplexity, timed.parameters) == (plain.perplexity, plain.parameters)


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
