"""A sweep as figures: a map, a curve or bars of its cells, and the front; what is not measured is no number."""

import math
from pathlib import Path

import pytest

from engine.record.cells import SweepBestFound, SweepStarted
from engine.record.lifecycle import RunFinished
from engine.record.sweep import Sweep
from engine.record.sweep_folder import begin, open_sweep
from tests.widgets.sweeps.swept import CUBE, ONE, SHARES, TWO, WORDS, came_of, swept
from tests.widgets.test_sweeper import tell
from widgets.figures import (
    cells_figure,
    cells_words,
    failed,
    front_figure,
    missing_words,
    place_of,
    protocol_words,
    standing_for,
)


def test_two_fields_make_a_map_with_the_numbers_from_left_to_right() -> None:
    """A row for each criterion; a cell that waits is no number, and every value names its cell."""
    figure = cells_figure(swept(TWO, many=4))
    assert figure.kind == "heat" and figure.x_label == "Neurons removed" and figure.y_label == "Criterion"
    assert [series.name for series in figure.series] == ["random", "taylor"]
    assert all(series.x == tuple(SHARES) for series in figure.series)
    values = [value for series in figure.series for value in series.y]
    assert sum(map(math.isnan, values)) == 2 and min(value for value in values if value == value) == 100.0
    for series in figure.series:
        for x, cell in zip(series.x, series.cells, strict=True):
            assert TWO.cells[cell.number].set == {"criterion": series.name, "neurons.level": x}


def test_one_field_makes_a_curve_for_each_stage() -> None:
    """The mean of the seeds with their ends, and the unpruned model across."""
    figure = cells_figure(swept(ONE))
    assert figure.kind == "curves" and [series.name for series in figure.series] == ["pruned", "recovered", "control"]
    pruned = figure.series[0]
    assert pruned.y[0] == pytest.approx(math.sqrt(100.0 * 101.0)) and (pruned.low[0], pruned.high[0]) == (100.0, 101.0)
    assert [(each.name, each.y) for each in figure.lines] == [("unpruned", 100.0)]


def test_words_make_bars() -> None:
    """And a sweep of which nothing is done has its places all the same."""
    assert cells_figure(swept(WORDS)).kind == "bars"
    nothing = cells_figure(swept(WORDS, many=0))
    assert nothing.series[0].x == ("random", "taylor", "magnitude") and all(map(math.isnan, nothing.series[0].y))


@pytest.mark.parametrize("sweep", [Sweep(), Sweep(seeds=[0, 1])], ids=["one cell", "two seeds"])
def test_a_sweep_without_a_field_is_drawn_too(sweep: Sweep) -> None:
    """One place, or one for each seed."""
    assert len(cells_figure(swept(sweep)).series[0].x) == len(sweep.cells)
    assert len(front_figure(swept(sweep)).series[0].x) == 1


def test_the_front_is_a_series_of_its_own_and_points_are_told_apart_by_words() -> None:
    """Random is never on it but where it is as good."""
    figure = front_figure(swept(TWO))
    assert figure.fronts == ("the front",) and [series.name for series in figure.series] == ["the front", "random", "taylor"]
    assert figure.series[0].x == (800_000, 900_000, 1_000_000)
    assert front_figure(swept(TWO, many=0)).series[0].x == ()


def test_a_seed_is_found_where_its_place_is() -> None:
    """All seeds of a recipe stand at one place, under the number of the first."""
    (first, second) = [cell.number for cell in ONE.cells if cell.set["neurons.level"] == 0.5]
    assert standing_for(swept(ONE), second) == standing_for(swept(ONE), first) == place_of(first)


def test_what_has_failed_is_said_with_its_reason() -> None:
    """The first of the reasons, and how many."""
    state = swept(TWO, failing=2)
    assert failed(state) == {place_of(2)}
    assert "5 of 6 cells are measured" in cells_words(state) and "1 failed, the first since: It is" in cells_words(state)
    assert "3 of 3 places are measured" in cells_words(swept(ONE))
    assert "a recipe counts with the geometric mean of up to 2 seeds" in cells_words(swept(ONE))


def test_a_finished_search_over_three_blocks_fills_its_map(tmp_path: Path) -> None:
    """Every cell that it measured is at a place that has a number; what it did without is not called unmeasured yet."""
    blocks = [f"neurons.blocks.{number}" for number in range(3)]
    search = Sweep({"neurons": {"shape": "custom"}}, dict.fromkeys(blocks, [0, 0.25, 0.5]), "search", budget=0.9)
    measured = [came_of(cell) for cell in search.cells if sum(cell.set.values()) < 0.3]
    best = SweepBestFound(measured[-1].number, dict(measured[-1].set), 100.0, 900_000, len(measured), 20)
    folder = begin(search, tmp_path / "search")
    tell(folder, SweepStarted(search.plain(), len(search.cells), 0, 0, "0"), *measured, best, RunFinished())
    state = open_sweep(folder)
    for fields in ((), (blocks[2], blocks[0])):
        figure = cells_figure(state, fields)
        places = {(one.set[(fields or blocks)[0]], one.set[(fields or blocks)[1]]) for one in measured}
        filled = {
            (x, float(row.name.removesuffix("\u00a0%")) / 100): note
            for row in figure.series
            for x, y, note in zip(row.x, row.y, row.notes, strict=True)
            if math.isfinite(y)
        }
        assert filled.keys() == places and filled[0, 0] == "2/3" and set(filled.values()) == {"1/3", "2/3"}
        assert "3 of 9 places are measured" in cells_words(state, fields) and "4 of 27 recipes" in cells_words(state, fields)
    assert missing_words(state) == "not needed by the search" and missing_words(swept(TWO, 3)) == "not measured yet"


def test_which_two_fields_the_map_has_can_be_said() -> None:
    """The first two otherwise, and where a field is named that the sweep has not."""
    state = swept(CUBE, 5)
    assert [cells_figure(state).x_label, cells_figure(state).y_label] == ["Criterion", "Compensation"]
    figure = cells_figure(state, ("neurons.level", "compensation"))
    assert [figure.x_label, figure.y_label, figure.series[0].x] == ["Neurons removed", "Compensation", (0.25, 0.5)]
    assert cells_figure(state, ("neurons.level", "rounds")) == cells_figure(state)
    there = standing_for(state, CUBE.cells[0].number, ("neurons.level", "compensation"))
    assert there in {cell for row in figure.series for cell in row.cells}


def test_the_protocol_of_the_cells_is_told_and_where_they_have_several_that_they_cannot_be_compared() -> None:
    """By what was measured, and not what was asked for; nothing while nothing was."""
    assert protocol_words(swept(TWO, 0)) == ""
    assert protocol_words(swept(TWO)) == "Measured on wikipedia-sample, evaluation split, 1,000 tokens in blocks of 256."
    lengths = Sweep({}, {"evaluation.sequence_length": [128, 256]})
    assert "do not compare" in protocol_words(swept(lengths))


def test_shares_are_told_in_hundredths() -> None:
    """On either axis of a map, and along a curve."""
    rows = Sweep({}, {"neurons.level": SHARES, "heads.level": [0, 0.5]})
    figure = cells_figure(swept(rows))
    assert figure.shares and [row.name for row in figure.series] == ["0\u00a0%", "50\u00a0%"]
    assert cells_figure(swept(ONE)).shares and not cells_figure(swept(WORDS)).shares
