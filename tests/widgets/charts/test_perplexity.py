"""Perplexity by stage: a point where it was measured and only there, and the protocol in words."""

import bqplot
import numpy as np
import pytest

from tests.widgets.charts.states import RECIPE, drafted, folded, loaded, measured, previewed
from tests.widgets.charts.test_charts import built, inside, words
from widgets.charts.perplexity import span
from widgets.theme import LIGHT
from widgets.view import View


def points(drawn) -> dict[str, bqplot.Scatter]:
    """The marks of the stages by their colour's stage, and of the preview."""
    found = [each for each in inside(drawn.widget) if isinstance(each, bqplot.Scatter)]
    return dict(zip(("baseline", "pruned", "tuned", "control", "cut", "preview"), found, strict=True))


def written(drawn) -> list[str]:
    """The words in the chart."""
    return [str(text) for each in inside(drawn.widget) if isinstance(each, bqplot.Label) for text in each.text if text]


def test_a_stage_that_was_not_measured_has_no_point():
    """Only what was measured is drawn; the rest is said to be missing, in the chart and under it."""
    drawn = built("perplexity")
    drawn.draw(View(folded(measured("baseline", 31.4), measured("pruned", 118.2)), None, LIGHT))
    marks = points(drawn)
    assert marks["baseline"].x.tolist() == [31.4] and marks["pruned"].x.tolist() == [118.2]
    assert not any(marks[stage].x.size for stage in ("tuned", "control", "cut", "preview"))
    assert sorted(written(drawn)) == ["118", "31.4", "not measured", "not measured"]
    assert "Baseline 31.4, pruned 118, recovered not measured, control not measured." in words(drawn)


def named(rows: bqplot.Axis) -> list[str]:
    """The rows that have a tick, by their names."""
    return [rows.tick_labels[str(number)] for number in rows.tick_values]


def test_cut_has_a_row_only_once_it_is_measured():
    """Four rows are always there; the fifth appears with its number."""
    drawn = built("perplexity")
    drawn.draw(View(folded(measured("baseline", 30.0)), None, LIGHT))
    rows = next(each for each in inside(drawn.widget) if isinstance(each, bqplot.Axis) and each.side == "left")
    assert named(rows) == ["baseline", "pruned", "recovered", "control"]
    drawn.draw(View(folded(measured("baseline", 30.0), measured("cut", 60.0)), None, LIGHT))
    assert named(rows)[-1] == "cut" and points(drawn)["cut"].y.tolist() == [4.0]


def test_a_preview_is_hollow_and_only_that_of_this_draft():
    """The measurement of another draft is not shown as this one's."""
    draft = drafted()
    state = folded(loaded(), measured("baseline", 30.0), previewed(draft, 87.0))
    drawn = built("perplexity")
    drawn.draw(View(state, draft, LIGHT, RECIPE))
    hollow = points(drawn)["preview"]
    assert 1.3 < hollow.y[0] < 1.6, "between the row of the pruned stage, where it says that nothing was measured, and the next"
    assert hollow.x.tolist() == [87.0] and not hollow.fill and "(87)" in written(drawn)
    drawn.draw(View(state, draft, LIGHT, RECIPE.model_copy(update={"criterion": "random"})))
    assert hollow.x.size == 0 and "(" not in " ".join(written(drawn))
    drawn.draw(View(state, None, LIGHT, RECIPE))
    assert hollow.x.size == 0


def test_the_protocol_is_said_and_one_alone():
    """Corpus, tokens, length and type are there; what was measured otherwise before is not shown beside what was measured now."""
    drawn = built("perplexity")
    drawn.draw(View(folded(measured("baseline", 30.0), measured("pruned", 90.0)), None, LIGHT))
    assert "wikipedia-sample, evaluation split, 16,384 tokens in blocks of 256, float32." in words(drawn)
    drawn.draw(View(folded(measured("baseline", 30.0), measured("pruned", 90.0, tokens=512)), None, LIGHT))
    assert "512 tokens in blocks of 256, float32." in words(drawn) and "Baseline not measured, pruned 90" in words(drawn)


def test_a_corpus_name_is_text_and_not_markup():
    """The name of a file is somebody else's text."""
    drawn = built("perplexity")
    drawn.draw(View(folded(measured("baseline", 30.0, corpus="file:<img src=x>")), None, LIGHT))
    assert "<img" not in words(drawn) and "&lt;img" in words(drawn)


@pytest.mark.parametrize("values", [[], [1.0], [30.0], [29.9, 30.1], [20.0, 3e4], [5.0, 1e30], [1.0, 1.7e308 / 1e10]])
def test_the_axis_has_ends_above_zero_and_a_few_ticks_between(values: list[float]):
    """All values lie on the axis, room for the last number included, and no more than a handful of ticks."""
    low, high, ticks = span(values)
    assert 0 < low < high and all(low <= value <= high for value in values)
    assert (2 if max(values, default=1) < 1e299 else 1) <= len(ticks) <= 6 and all(low <= tick <= high for tick in ticks)


def test_points_close_together_fill_their_axis_which_is_said_to_be_narrow():
    """So that a mild pruning can be seen, and nobody takes it for a severe one."""
    low, high, ticks = span([139.0, 144.0, 148.0, 153.0])
    places = np.log(np.array([139.0, 153.0]) / low) / np.log(high / low)
    assert places[1] - places[0] > 0.25 and len(ticks) >= 3
    drawn = built("perplexity")
    (along,) = (each for each in inside(drawn.widget) if isinstance(each, bqplot.Axis) and each.label)
    for pruned, said in ((153.0, "Perplexity (log scale, narrow: ×1.4 in all)"), (353.0, "Perplexity (log scale)")):
        drawn.draw(View(folded(measured("baseline", 148.0), measured("pruned", pruned)), None, LIGHT))
        assert along.label == said


def test_a_number_stands_on_no_line():
    """One below the baseline is right of its stem, which ends at the baseline."""
    drawn = built("perplexity")
    drawn.draw(View(folded(measured("baseline", 148.0), measured("control", 139.0), measured("pruned", 153.0)), None, LIGHT))
    values = next(each for each in inside(drawn.widget) if isinstance(each, bqplot.Label) and "139" in each.text)
    placed = dict(zip(values.text, values.x, strict=True))
    assert placed == {"148": 148.0, "153": 153.0, "139": 148.0} and values.x_offset > 0
