"""A sweep as figures: a map, a curve or bars of its cells, and the front; what is not measured is no number."""

import math

import pytest

from engine.record.sweep import Sweep
from tests.widgets.sweeps.swept import ONE, SHARES, TWO, WORDS, swept
from widgets.figures import cells_figure, cells_words, failed, front_figure, place_of, standing_for


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
    assert pruned.y[0] == 100.5 and (pruned.low[0], pruned.high[0]) == (100.0, 101.0)
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
    assert "each the mean of up to 2 seeds" in cells_words(swept(ONE))
