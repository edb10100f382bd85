"""What every chart owes: the contract of `widgets.charts`, held against each file of the folder."""

from collections.abc import Iterator

import bqplot
import ipywidgets
import numpy as np
import pytest

from engine.record.state import RunState
from tests.widgets.charts.states import RECIPE, drafted, everything, folded, loaded, previewed, remembered, trained
from widgets.charts import CHARTS
from widgets.charts.importance import TITLE as IMPORTANCE
from widgets.drawing import POINTS
from widgets.theme import DARK, LIGHT
from widgets.view import Drawn, View

SHAPES = {
    "small": (6,) * 6,
    "one head": (1,),
    "one layer": (12,),
    "one head a layer": (1,) * 5,
    "large": (32,) * 48,
    "ragged": (6, 4, 0, 6, 5, 2),
    "seven layers": (3,) * 7,
}


def built(name: str, asked: list | None = None) -> Drawn:
    """A chart of its own; `asked` collects the commands that it posts."""
    return CHARTS.load(name).build(LIGHT, (asked if asked is not None else []).append)


def inside(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """A widget and all that it is made of: children, marks, axes and scales."""
    yield widget
    if isinstance(widget, ipywidgets.Box):
        parts = list(widget.children)
    elif isinstance(widget, bqplot.Figure):
        parts = [*widget.marks, *widget.axes]
    elif isinstance(widget, bqplot.marks.Mark):
        parts = list(widget.scales.values())
    else:
        parts = [widget.scale] if isinstance(widget, bqplot.Axis) else []
    for part in parts:
        yield from inside(part)


def full(heads: tuple[int, ...]) -> View:
    """All that a run can have, and controls that ask for more."""
    draft = drafted(heads)
    return View(folded(*everything(heads), *remembered(20, accelerator=True), previewed(draft)), draft, LIGHT, RECIPE)


def words(drawn: Drawn) -> str:
    """The HTML of a chart, as one text."""
    return " ".join(each.value for each in inside(drawn.widget) if isinstance(each, ipywidgets.HTML))


@pytest.fixture(params=CHARTS.names())
def name(request: pytest.FixtureRequest) -> str:
    """Each chart of the folder in turn."""
    return request.param


def test_the_folder_is_read_without_running_it():
    """The menu of charts is there, with headings and help, from the sources alone."""
    assert {"importance", "loss", "memory", "perplexity", "shares"} <= set(CHARTS.names())
    assert CHARTS.entry("importance").facts["TITLE"] == IMPORTANCE


def test_a_chart_says_what_it_is(name: str):
    """The heading is short and the help is two to five sentences for people."""
    entry = CHARTS.entry(name)
    assert 0 < len(entry.facts["TITLE"]) < 40
    told = entry.help.partition("\n\n")[0]
    assert 2 <= told.count(". ") + told.count(".\n") + 1 <= 5


def test_an_empty_run_shows_axes_and_says_that_nothing_is_there(name: str):
    """Before anything has happened there are axes, the words "No data yet" and what to do next, and no number."""
    drawn = built(name)
    drawn.draw(View(RunState(), None, LIGHT))
    figures = [each for each in inside(drawn.widget) if isinstance(each, bqplot.Figure)]
    labels = [text for each in inside(drawn.widget) if isinstance(each, bqplot.Label) for text in each.text]
    assert len(figures) == 1 and len(figures[0].axes) == 2
    assert "No data yet" in labels and len([text for text in labels if text]) == 2


@pytest.mark.parametrize("heads", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_of_model_is_drawn_without_a_gap_in_a_map(name: str, heads: tuple[int, ...]):
    """A full run of any shape is drawn; a heat map is a matrix without NaN, and its edges fit it."""
    drawn = built(name)
    drawn.draw(full(heads))
    for each in inside(drawn.widget):
        if isinstance(each, bqplot.GridHeatMap):
            assert each.color.ndim == 2 and np.isfinite(each.color).all()
            assert each.color.shape == (len(each.row) - 1, len(each.column) - 1)
        elif isinstance(each, bqplot.Bars):
            assert np.isfinite(each.y).all() and (each.y >= 0).all() and (each.y <= 1).all()
        elif isinstance(each, bqplot.LogScale):
            assert 0 < each.min < each.max


def test_nothing_is_sent_for_a_view_that_is_shown_already(name: str):
    """Drawing an equal view again sends the browser no message at all."""
    drawn = built(name)
    drawn.draw(full((6, 4, 0, 6)))
    sent = []
    for each in inside(drawn.widget):
        each.comm.publish_msg = lambda *args, of=each, **parts: sent.append((type(of).__name__, parts.get("data")))
    drawn.draw(full((6, 4, 0, 6)))
    assert sent == []
    drawn.draw(View(RunState(), None, LIGHT))
    assert sent, "the probe sees messages when there are some"


def test_a_full_run_can_be_cleared_again(name: str):
    """Where a page turns to another run, nothing of the first one stays on the chart."""
    first, second = built(name), built(name)
    first.draw(full((6,) * 4))
    first.draw(View(RunState(), None, LIGHT))
    second.draw(View(RunState(), None, LIGHT))
    assert words(first) == words(second)
    shown = [[mark for mark in each.marks if mark.visible] for each in inside(first.widget) if isinstance(each, bqplot.Figure)]
    for mark in shown[0]:
        if isinstance(mark, bqplot.Lines | bqplot.Scatter):
            assert mark.x.size == 0


def test_a_full_run_is_said_in_words(name: str):
    """What the chart shows is also there as text with a number in it."""
    drawn = built(name)
    drawn.draw(full((6,) * 6))
    assert "esp-says" in words(drawn) and any(character.isdigit() for character in words(drawn).split("esp-says")[-1])


def test_a_long_run_is_thinned_to_what_a_browser_can_draw(name: str):
    """No line gets more points than the limit, however long the run."""
    drawn = built(name)
    drawn.draw(View(folded(loaded(), *remembered(5000), *trained("tuned", 5000)), None, LIGHT))
    assert max((each.x.size for each in inside(drawn.widget) if isinstance(each, bqplot.Lines)), default=0) <= POINTS


def test_figures_redraw_at_once_and_marks_never_select_by_themselves(name: str):
    """No transition can queue up, and bqplot's own selection by click, which raises, is not in use."""
    for each in inside(built(name).widget):
        if isinstance(each, bqplot.Figure):
            assert each.animation_duration == 0
        if isinstance(each, bqplot.marks.Mark):
            assert "select" not in each.interactions.values()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_come_from_the_theme(name: str, theme):
    """Every colour of a mark is one of the theme's."""
    drawn = CHARTS.load(name).build(theme, lambda command: None)
    drawn.draw(full((6,) * 6))
    known = {theme.card, theme.text, theme.muted, theme.line, theme.gone, theme.heads, theme.neurons, theme.baseline}
    known |= {*theme.blocks, *theme.stages.values(), *theme.ramp}
    for each in inside(drawn.widget):
        if isinstance(each, bqplot.Lines | bqplot.Scatter | bqplot.Bars | bqplot.Label):
            drawn_in = each.colors if not isinstance(each, bqplot.Bars) or each.fill else [each.stroke]
            assert set(drawn_in) <= known
