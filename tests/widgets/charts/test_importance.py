"""The map of heads: what a shade, a cross and a frame say, and what a click and the keyboard do."""

from dataclasses import replace

import bqplot
import ipywidgets
import numpy as np
import pytest

from engine.record.commands import SetGate
from engine.record.events import UnitsScored
from tests.widgets.charts.states import drafted, folded, gates, loaded, scored
from tests.widgets.charts.test_charts import built, inside, words
from widgets.charts.importance import between, shades, shared
from widgets.theme import LIGHT
from widgets.view import View

HEADS = (4, 2, 4)


def parts(drawn, kind: type, described: str = "") -> list:
    """The widgets of one kind, of those with that description where one is given."""
    return [each for each in inside(drawn.widget) if type(each) is kind and (not described or each.description == described)]


@pytest.fixture
def asked() -> list:
    """The commands that the chart posted."""
    return []


@pytest.fixture
def drawn(asked: list):
    """A map of three layers, the second with fewer heads, of which (0, 1) and (1, 0) are closed."""
    made = built("importance", asked)
    made.draw(View(folded(loaded(HEADS), scored(HEADS), gates(HEADS, ((0, 1), (1, 0)))), None, LIGHT))
    return made


def click(drawn, layer: int, head: int) -> None:
    """What the browser sends for a click on a cell."""
    cells = next(each for each in inside(drawn.widget) if type(each).__name__ == "GridHeatMap")
    data = {"rowNum": layer, "columnNum": head, "row": layer, "column": head, "cellNum": 0, "color": 0.5}
    cells._handle_custom_msgs(None, {"event": "element_click", "data": data})


def test_a_click_closes_an_open_head_and_opens_a_closed_one(drawn, asked):
    """A click asks for the other position of that head's gate, and changes nothing on the page by itself."""
    click(drawn, 2, 3)
    click(drawn, 0, 1)
    assert asked == [SetGate(2, 3, open=False), SetGate(0, 1, open=True)]


def test_a_click_where_no_head_is_asks_nothing(drawn, asked):
    """The cells that only fill up a short layer cannot be pressed."""
    click(drawn, 1, 3)
    assert asked == []


def test_a_click_before_a_model_is_loaded_asks_nothing(asked):
    """An empty map has cells behind it that nobody sees."""
    made = built("importance", asked)
    click(made, 0, 0)
    assert asked == []


def test_the_keyboard_does_what_a_click_does(drawn, asked):
    """Layer, Head and the button post the same command, and a line of words follows the boxes."""
    layer, head = (parts(drawn, ipywidgets.BoundedIntText, label)[0] for label in ("Layer", "Head"))
    button = parts(drawn, ipywidgets.Button)[0]
    layer.value, head.value = 1, 0
    assert "Layer 1, head 0 is closed" in words(drawn) and button.description == "Open this head"
    button.click()
    layer.value, head.value = 2, 2
    assert "Layer 2, head 2 is open" in words(drawn) and button.description == "Close this head"
    button.click()
    assert asked == [SetGate(1, 0, open=True), SetGate(2, 2, open=False)]
    layer.value, head.value = 1, 3
    assert "There is no head 3 in layer 1." in words(drawn) and button.disabled
    assert (layer.max, head.max) == (2, 3)


def test_the_words_count_what_is_closed_and_what_would_go(asked):
    """A head that is closed already is not counted again among those that would go."""
    made = built("importance", asked)
    draft = drafted(HEADS)  # the last two heads of each layer; both of layer 1
    made.draw(View(folded(loaded(HEADS), scored(HEADS), gates(HEADS, ((0, 1), (1, 0)))), draft, LIGHT))
    assert "2 of 10 heads closed, 5 more would go" in words(made)


def test_marks_lie_on_the_heads_that_they_mean(asked):
    """Two strokes of a cross for each closed head and a frame for each that would go, inside their cells, layer 0 on top."""
    made = built("importance", asked)
    made.draw(View(folded(loaded(HEADS), gates(HEADS, ((2, 3),))), drafted((4, 0, 0)), LIGHT))
    lines = [each for each in inside(made.widget) if type(each).__name__ == "Lines" and each.colors == [LIGHT.gone]]
    frames, crosses = lines
    assert frames.line_style == "dashed" and crosses.line_style == "solid"
    assert (np.nanmin(crosses.x), np.nanmax(crosses.x)) == (3.25, 3.75) and (np.nanmin(crosses.y), np.nanmax(crosses.y)) == (
        2.25,
        2.75,
    )
    assert np.nanmin(frames.x) > 2 and np.nanmax(frames.x) < 4 and np.nanmax(frames.y) < 1
    assert crosses.scales["y"].reverse


def test_what_goes_first_in_a_layer_is_the_palest_of_it_whatever_other_layers_score():
    """The order of a layer's shades is that of its scores, and each layer has its own pale and dark ones; an outlier does not
    press the others together."""
    scores = (tuple(float(score) for score in range(20)), tuple(1000.0 + score for score in range(20)), (*range(19), 1e6))
    matrix = shades(scores, 3, 20)
    assert (np.diff(matrix, axis=1) >= 0).all() and (matrix.min(), matrix.max()) == (0.0, 1.0)
    assert matrix[0] == pytest.approx(matrix[1])
    assert matrix[1, 0] < 0.1 < 0.9 < matrix[0, 19]


def test_equal_scores_get_the_middle_shade():
    """A criterion that tells no heads apart is drawn as just that, in one layer or in all."""
    assert (shades(((2.0, 2.0), (0.1 + 0.2, 0.3)), 2, 2) == 0.5).all()
    of_all = shades(((7.0, 7.0, 7.0), (1.0, 2.0, 3.0)), 2, 3)
    assert of_all[0, 0] == of_all[0, 2] == pytest.approx(of_all[1, 1]) and of_all[1, 0] < of_all[1, 1] < of_all[1, 2]


def test_a_map_never_has_a_single_row_or_column():
    """bqplot squeezes a single row or column away, and then draws nothing."""
    matrix = shades(((3.0,),), 1, 1)
    assert matrix.shape == (2, 2) and np.isfinite(matrix).all()


def test_a_model_without_scores_can_be_pressed(asked):
    """Gates can be closed by hand before any criterion has run."""
    made = built("importance", asked)
    made.draw(View(folded(loaded(HEADS)), None, LIGHT))
    click(made, 0, 0)
    assert asked == [SetGate(0, 0, open=False)] and "Not scored yet" in words(made)


def test_the_legend_says_in_words_what_a_shade_means(drawn):
    """Against what a shade is to be read, and what goes first."""
    flat = UnitsScored("magnitude", ((1.0, 2.0, 3.0, 4.0), (5.0, 6.0), (7.0, 8.0, 9.0, 10.0)), 0, None)
    drawn.draw(View(folded(loaded(HEADS), flat), None, LIGHT))
    assert "low to high in its layer" in words(drawn)
    assert "scored by magnitude, in each layer the lowest go first" in words(drawn)


def test_pointing_at_a_head_tells_its_score_and_what_a_click_does(drawn):
    """And that there is none, in the cells that only fill up a short layer."""
    cells = parts(drawn, bqplot.GridHeatMap)[0]
    for layer, head, told in ((0, 1, "Click to open it"), (2, 3, "Click to close it"), (1, 3, "No head")):
        cells._handle_custom_msgs(None, {"event": "hover", "data": {"rowNum": layer, "columnNum": head}})
        assert told in cells.tooltip.value
        assert f"Layer {layer}, head {head} is" in cells.tooltip.value or told == "No head"
    score = scored(HEADS).heads[2][3]
    cells._handle_custom_msgs(None, {"event": "hover", "data": {"rowNum": 2, "columnNum": 3}})
    assert f"score {score:.3g}" in cells.tooltip.value


def test_a_deep_model_has_rows_high_enough_for_their_marks(asked):
    """The map grows with its layers; a cross is about as wide as it is high, also where a cell is flat."""
    made = built("importance", asked)
    figure = parts(made, bqplot.Figure)[0]
    made.draw(View(folded(loaded((9,) * 6)), None, LIGHT))
    low = figure.layout.height
    made.draw(View(folded(loaded((9,) * 30), gates((9,) * 30, ((2, 3),))), None, LIGHT))
    assert low == LIGHT.chart_height and figure.layout.height == "382px"
    crosses = [each for each in parts(made, bqplot.Lines) if each.colors == [LIGHT.gone] and each.line_style == "solid"][0]
    assert 0.2 < np.nanmax(crosses.x) - np.nanmin(crosses.x) < 0.4


def test_groups_of_heads_that_share_a_key_stand_apart(asked):
    """A gap after every third head, and a word on it in the legend; none where every head has a key of its own."""
    model = replace(loaded((9,) * 2), groups=(3, 9))
    assert between(model) == [[(3, 0), (3, 1)], [(6, 0), (6, 1)]]
    made = built("importance", asked)
    made.draw(View(folded(loaded((9,) * 2)), None, LIGHT))
    assert "gap" not in words(made)
    made.draw(View(folded(model), None, LIGHT))
    assert "gap: between keys" in words(made)


def test_heads_that_share_a_key_are_told_of():
    """How many go together, and in which layers none can go; nothing where every head has a key of its own."""
    model = loaded((6,) * 3)
    assert shared(model) == ""
    assert shared(replace(model, groups=(3,) * 3)) == "Heads that share a key go together, 2 at a time."
    some = replace(model, groups=(1, 6, 1), keeps_heads=(True, False, True))
    assert shared(some).endswith("No head of layer 0, 2 can go: all of them share the only key.")
    every = replace(model, groups=(1,) * 3, keeps_heads=(True,) * 3)
    assert shared(every) == "No head can go: in every layer all heads share the only key."
    drawn = built("importance")
    drawn.draw(View(folded(every), None, LIGHT))
    assert "0 of 18 heads closed. Not scored yet. No head can go" in words(drawn)
