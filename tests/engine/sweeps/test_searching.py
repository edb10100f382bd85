"""Tests of engine/sweeps/searching.py: a tenth of the cells are measured, the best of them fits, and none is measured twice."""

import json

import pytest
import torch

from engine import Sweep, open_sweep, sweep
from engine.__main__ import main
from engine.record.cells import SweepBestFound, SweepCellDone
from engine.record.errors import BadInput
from engine.record.lifecycle import RunFailed, RunFinished
from engine.sweeps.searching import _weights

VALUES = [0, 0.2, 0.4, 0.6, 0.8]


@pytest.fixture
def axes(recipe):
    """A search over the neurons' shares of three blocks."""
    plain = recipe.model_dump(mode="json", exclude_unset=True) | {"heads": {"level": 0}}
    return plain, {f"neurons.blocks.{block}": VALUES for block in range(3)}


def test_a_tenth_of_the_grid_finds_a_cell_within_a_hundredth_of_its_best(axes, tmp_path, capsys):
    """Of those that fit the budget; the other cells are skipped, and nothing is measured again by whoever asks again."""
    grid = [event for event in sweep(Sweep(*axes)) if isinstance(event, SweepCellDone)]
    whole = max(cell.parameters for cell in grid)
    fit = [cell for cell in grid if cell.parameters <= 0.9 * whole]
    events = list(sweep(Sweep(*axes, "search", budget=0.9), tmp_path / "search"))
    done = [event for event in events if isinstance(event, SweepCellDone)]
    found = next(event for event in events if isinstance(event, SweepBestFound))
    assert isinstance(events[-1], RunFinished) and len(done) == found.measured == 12 and found.fit == len(fit)
    numbers = {cell.number: cell for cell in fit}
    assert all(cell.perplexity == pytest.approx(numbers[cell.number].perplexity, rel=1e-6) for cell in done)
    assert found.perplexity == min(cell.perplexity for cell in done) <= 1.01 * min(cell.perplexity for cell in fit)
    assert main(["show", str(tmp_path / "search"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["best"]["set"] == found.set and told["budget"] == 0.9
    assert [cell["status"] for cell in told["cells"]].count("skipped") == 125 - 12
    assert main(["show", str(tmp_path / "search")]) == 0
    assert "best for 90.0% of the parameters: " in capsys.readouterr().out
    again = list(sweep(Sweep(*axes, "search", budget=0.9), tmp_path / "search"))
    assert not any(isinstance(event, SweepCellDone) for event in again) and open_sweep(tmp_path / "search").best == found


@pytest.mark.slow
def test_losing_most_of_a_block_for_less_than_half_of_another_is_found():
    """The heads of pythia-tiny's front cost little more together than one by one, and the damage that is predicted knows nothing
    of that."""
    recipe = {"model": "pythia-tiny", "neurons": {"level": 0}, "evaluation": {"tokens": 1024}, "calibration": {"tokens": 2048}}
    axes = {f"heads.blocks.{block}": VALUES for block in range(3)}
    cells = [event for event in sweep(Sweep(recipe, axes)) if isinstance(event, SweepCellDone)]
    whole = max(cell.parameters for cell in cells)
    best = min(cell.perplexity for cell in cells if cell.parameters <= 0.9 * whole)
    found = next(event for event in sweep(Sweep(recipe, axes, "search", budget=0.9)) if isinstance(event, SweepBestFound))
    assert found.measured <= 12 and found.perplexity <= 1.005 * best


def test_a_cell_that_takes_as_many_units_as_one_that_was_measured_is_passed_over(axes):
    """Heads go whole: twenty levels are few different prunings, of which another is measured as long as there is any."""
    plain, _ = axes
    levels = [level / 20 for level in range(20)]
    events = list(sweep(Sweep(plain, {"heads.level": levels}, "search", budget=0.999)))
    taken = [event.parameters for event in events if isinstance(event, SweepCellDone)]
    assert len(taken) == len(set(taken)) == 2


def test_a_budget_that_no_cell_meets_fails_with_the_least_that_is_left(axes):
    """In one sentence."""
    *_, last = sweep(Sweep(*axes, "search", budget=0.05))
    assert isinstance(last, RunFailed) and last.reason.startswith("budget 0.05 is met by no cell: the smallest leaves 0.")


def test_the_weights_are_found_that_made_the_rises():
    """From exact rises, up to what holds them together; without any all are alike."""
    generator = torch.Generator().manual_seed(0)
    damages = {number: torch.rand(6, generator=generator, dtype=torch.float64) for number in range(60)}
    true = torch.tensor([1.0, 2.0, 4.0, 1.0, 3.0, 2.0], dtype=torch.float64)
    found = {
        number: SweepCellDone(number, {}, 0, "done", float((damage @ true).exp()), perplexities={"baseline": 1.0})
        for number, damage in damages.items()
    }
    weights = _weights(damages, found)
    assert weights[2] > weights[4] > weights[0] and float((weights / true).log().abs().max()) < 0.6
    assert torch.equal(_weights(damages, {}), torch.ones(6, dtype=torch.float64))


BAD = {
    "budget None is not allowed": {},
    "budget 1.5 is not allowed": {"budget": 1.5},
    "seeds [0, 1] are too many": {"budget": 0.5, "seeds": [0, 1]},
    "axis criterion is no share of units": {"budget": 0.5, "axes": {"criterion": ["random"]}},
    "budget 0.5 goes with the mode 'search' only": {"budget": 0.5, "mode": "measure"},
}


@pytest.mark.parametrize(("said", "given"), BAD.items())
def test_what_can_be_no_search_is_refused_in_one_sentence(said, given):
    """Naming the field and the value."""
    with pytest.raises(BadInput) as raised:
        Sweep(**({"mode": "search", "axes": {"neurons.level": [0.1]}} | given))
    assert said in str(raised.value)
