"""Every kind of figure has a plot that draws it, draws it once, tells which cell was clicked, and needs no number to be there."""

from typing import get_args

import bqplot
import ipywidgets
import numpy as np
import pytest

from engine.record.figure import Figure, Kind, Line, Place, Series
from tests.widgets.sweeps.swept import inside
from widgets.plots import PLOTS, Plot, Shown
from widgets.theme import DARK, LIGHT

NAN = float("nan")
CELLS = tuple(Place("a", number) for number in range(6))
XS = {"heat": (0, 0.5, 1), "curves": (1, 10, 100), "scatter": (1e6, 2e6, 3e6), "bars": ("one", "two", "three")}


def figure(kind: str, **changes: object) -> Figure:
    """A figure of two series with a gap, and a cell behind each point."""
    x = XS[kind]
    series = (
        Series("front", x, (10.0, 20.0, 300.0), (9.0, 20.0, 250.0), (11.0, 20.0, 350.0), CELLS[:3]),
        Series("one & other", x, (12.0, NAN, 40.0), cells=CELLS[3:]),
    )
    more = {"log_y": True, "fronts": ("front",) if kind == "scatter" else (), "value_label": "perplexity"}
    return Figure("f", kind, "A figure", "across", "up", series, **(more | changes))


def built(kind: str, picked: list | None = None, theme=LIGHT) -> Plot:
    """The plot of a kind."""
    return PLOTS.load(kind).build(theme, (picked if picked is not None else []).append)


def marks(plot: Plot, kind: type) -> list:
    """The marks of one class on the plot's only figure."""
    (drawn,) = [each for each in inside(plot.widget) if isinstance(each, bqplot.Figure)]
    return [mark for mark in drawn.marks if isinstance(mark, kind)]


def said(plot: Plot) -> list[str]:
    """The words in the chart."""
    return [str(text) for mark in marks(plot, bqplot.Label) for text in mark.text if text]


def legend(plot: Plot) -> str:
    """The words under the chart."""
    (text,) = [each.value for each in inside(plot.widget) if isinstance(each, ipywidgets.HTML)]
    return text


def test_every_kind_of_figure_has_a_plot() -> None:
    """And no plot is of another kind."""
    assert set(PLOTS.names()) == set(get_args(Kind))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
def test_a_figure_is_drawn_and_drawn_again_without_a_message(kind: str, log: bool, theme) -> None:
    """With a gap, lines across, a failed cell and a chosen one; an equal figure sends the browser nothing."""
    plot = built(kind, theme=theme)
    shown = Shown(figure(kind, log_y=log, lines=(Line("unpruned", 15.0),)), frozenset(CELLS[4:5]), CELLS[2])
    plot.draw(shown)
    assert said(plot) == [] or kind == "heat"
    sent = []
    for each in [*inside(plot.widget), *marks(plot, bqplot.Mark)]:
        each.comm.publish_msg = lambda *args, **parts: sent.append(parts.get("data"))
    plot.draw(shown)
    assert sent == []
    for mark in marks(plot, bqplot.GridHeatMap):
        assert np.isfinite(mark.color).all()


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_figure_without_a_point_says_so_and_one_after_it_is_drawn(kind: str) -> None:
    """The two lines of words are those that are given."""
    plot = built(kind)
    plot.draw(Shown(Figure("f", kind, "", "", "", ()), empty=("No data yet", "Wait")))
    assert said(plot) == ["No data yet", "Wait"]
    plot.draw(Shown(figure(kind)))
    assert "No data yet" not in said(plot)
    plot.draw(Shown(Figure("f", kind, "", "", "", ()), empty=("No data yet", "Wait")))
    assert said(plot) == ["No data yet", "Wait"]
    assert all(mark.x.size == 0 for mark in marks(plot, bqplot.Scatter))


def test_a_click_on_a_point_tells_its_cell() -> None:
    """Also where a point before it has no number, and none where there is no cell."""
    picked = []
    plot = built("curves", picked)
    plot.draw(Shown(figure("curves")))
    points = [mark for mark in marks(plot, bqplot.Scatter) if mark.fill]
    for mark, index in ((points[0], 1), (points[1], 1), (points[1], 7)):
        mark._handle_custom_msgs(None, {"event": "element_click", "data": {"index": index}})
    assert picked == [CELLS[1], CELLS[5]]


def test_a_click_on_a_cell_of_a_map_tells_it() -> None:
    """A cell that is not measured too: its recipe can be tried."""
    picked = []
    plot = built("heat", picked)
    plot.draw(Shown(figure("heat")))
    (cells,) = marks(plot, bqplot.GridHeatMap)
    for row, column in ((0, 2), (1, 1), (5, 5)):
        cells._handle_custom_msgs(None, {"event": "element_click", "data": {"rowNum": row, "columnNum": column}})
    assert picked == [CELLS[2], CELLS[4]]


def test_only_the_front_of_a_scatter_is_joined() -> None:
    """Curves are all joined."""
    for kind, many in (("scatter", 1), ("curves", 2)):
        plot = built(kind)
        plot.draw(Shown(figure(kind)))
        series = [mark for mark in marks(plot, bqplot.Lines) if mark.stroke_width == 1.8]
        assert sum(mark.x.size > 0 for mark in series) == many


def test_a_map_writes_its_numbers_and_marks_what_is_missing() -> None:
    """A map of one row too, which bqplot would squeeze away."""
    plot = built("heat")
    plot.draw(Shown(figure("heat"), frozenset({CELLS[4]})))
    assert sorted(said(plot)) == ["10", "12", "20", "300", "40"]
    assert "failed" in legend(plot) and "not measured yet" not in legend(plot)
    plot.draw(Shown(figure("heat")))
    assert "failed" not in legend(plot) and "not measured yet" in legend(plot)
    one = Figure("f", "heat", "", "", "", (Series("only", (1,), (2.0,)),))
    plot.draw(Shown(one))
    assert marks(plot, bqplot.GridHeatMap)[0].color.shape == (2, 2) and said(plot) == ["2"]


def test_the_legend_names_the_series_and_escapes_them() -> None:
    """With what the strokes mean where there are any."""
    plot = built("curves")
    plot.draw(Shown(figure("curves", lines=(Line("unpruned", 15.0),))))
    text = legend(plot)
    assert "one &amp; other" in text and "lowest to highest" in text and "unpruned 15" in text


def test_numbers_beside_an_axis_differ() -> None:
    """However narrow the range; parameters are in millions."""
    plot = built("curves")
    for low, high, words in ((4.91, 4.93, ("4.91", "4.92", "4.93")), (1e6, 2e6, ("1M", "1.5M", "2M"))):
        plot.draw(Shown(Figure("f", "curves", "", "", "", (Series("one", (1, 2), (low, high)),))))
        (drawn,) = [each for each in inside(plot.widget) if isinstance(each, bqplot.Figure)]
        named = list(drawn.axes[1].tick_labels.values())
        assert len(set(named)) == len(named) and set(named) >= set(words)
