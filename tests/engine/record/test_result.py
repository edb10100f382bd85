"""Tests of engine/record/result.py: a result that was written is read as it was, to the digits that are kept."""

import json
from dataclasses import replace

import pytest

from engine.record.errors import BadInput
from engine.record.experiments import how_much
from engine.record.lifecycle import Degraded
from engine.record.result import Result, as_json, read_result, shipped, shipped_for
from tests.engine.record.experiments.made_up import found_by

SWEEPS = how_much.sweeps("gpt2-tiny", "medium")
FOUND = found_by(SWEEPS, lambda recipe: {"pruned": 100 + 100 / 7 * recipe.neurons.level, "tuned": 90.0, "cut": 90.0})
RESULT = Result("how-much", "gpt2-tiny", "medium", "2026-11-22", {"espalier": "0"}, "a machine", SWEEPS, FOUND)


def test_a_result_is_read_as_it_was_written(tmp_path):
    """Sweeps, cells, times and all that stands beside them; what it says is the same from the file."""
    path = tmp_path / "result.json"
    path.write_text(as_json(RESULT))
    again = read_result(path)
    assert again.sweeps == SWEEPS and again.done == RESULT.done == again.asked == 72
    assert (again.experiment, again.model, again.form, again.at, again.versions) == (
        "how-much", "gpt2-tiny", "medium", "2026-11-22", {"espalier": "0"})  # fmt: skip
    for name, cells in FOUND.items():
        for number, cell in cells.items():
            other = again.found[name][number]
            assert (other.set, other.seed, other.latency, other.parameters) == (
                cell.set,
                cell.seed,
                cell.latency,
                cell.parameters,
            )
            assert other.perplexities == pytest.approx(cell.perplexities, rel=1e-6) and other.perplexity == cell.perplexity
    assert how_much.answer(again.found) == how_much.answer(FOUND)
    assert as_json(again) == as_json(RESULT)


def test_what_was_not_done_is_not_there(tmp_path):
    """A sweep that has not begun has no cells, a cell that failed no numbers."""
    path = tmp_path / "result.json"
    part = Result("how-much", "gpt2-tiny", "medium", "2026-11-22", {}, "", SWEEPS, {"grid": FOUND["grid"]})
    path.write_text(as_json(part))
    again = read_result(path)
    assert (again.done, again.asked) == (12, 72) and again.found["neurons"] == {}


def test_what_was_done_otherwise_is_kept(tmp_path):
    """With the cell of which it is told."""
    path, otherwise = tmp_path / "result.json", (Degraded("cuda", "cpu", "it was full"),)
    moved = {number: replace(cell, degraded=otherwise if number == 1 else ()) for number, cell in FOUND["grid"].items()}
    path.write_text(as_json(replace(RESULT, found={"grid": moved})))
    again = read_result(path).found["grid"]
    assert {number for number, cell in again.items() if cell.degraded} == {1} and again[1].degraded == otherwise


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({"experiment": "none"})])
def test_another_file_is_refused(text, tmp_path):
    """In one sentence that names it."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"other\.json' holds no result"):
        read_result(path)


def test_a_result_that_ships_is_found_by_experiment_model_and_form(tmp_path) -> None:
    """One of other sweeps than the experiment has now answers another question, and is none."""
    asked = ("sensitivity", "gpt2-tiny", "medium")
    kept = shipped(*asked)
    assert (kept.experiment, kept.model, kept.form) == asked and kept.done > 0
    assert shipped("sensitivity", "gpt2-tiny", "full") is None and shipped("sensitivity", "gpt2-medium", "medium") is None
    name, first = next(iter(kept.sweeps.items()))
    other = replace(kept, sweeps=kept.sweeps | {name: replace(first, seeds=(77,))})
    (tmp_path / "sensitivity-gpt2-tiny.json").write_text(as_json(other))
    assert shipped(*asked, tmp_path) is None


def test_a_result_with_fewer_seeds_than_the_experiment_has_now_still_ships(tmp_path) -> None:
    """It answers the same question with fewer replicates."""
    kept = shipped("criteria", "gpt2-tiny", "medium")
    fewer = {
        name: replace(sweep, seeds=sweep.seeds[:3]) if len(sweep.seeds) > 1 else sweep for name, sweep in kept.sweeps.items()
    }
    (tmp_path / "criteria-gpt2-tiny.json").write_text(as_json(replace(kept, sweeps=fewer, found={})))
    assert shipped("criteria", "gpt2-tiny", "medium", tmp_path).asked < kept.asked


def test_where_an_experiment_ships_is_told(tmp_path) -> None:
    """On which model and in which form; a result of other sweeps than it has now is none here either."""
    kept = shipped("sensitivity", "gpt2-tiny", "medium")
    assert kept in shipped_for("sensitivity") and list(shipped_for("sensitivity", tmp_path)) == []
    for model, sweeps in (("gpt2-tiny", kept.sweeps), ("opt-tiny", {})):
        (tmp_path / f"sensitivity-{model}.json").write_text(as_json(replace(kept, model=model, sweeps=sweeps)))
    assert list(shipped_for("sensitivity", tmp_path)) == [kept] and list(shipped_for("criteria", tmp_path)) == []
