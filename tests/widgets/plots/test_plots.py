"""Every kind of figure has a plot that draws it, draws it once, tells which cell was clicked, and needs no number to be there."""

import math
import operator
from itertools import combinations
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


def test_a_front_goes_by_steps() -> None:
    """Between two of its points there is no model that a straight line could promise."""
    plot = built("scatter")
    front = Series("front", (1.0, 2.0, 4.0), (30.0, 20.0, 10.0))
    plot.draw(Shown(Figure("f", "scatter", "", "", "", (front,), fronts=("front",))))
    (line,) = [mark for mark in marks(plot, bqplot.Lines) if mark.stroke_width == 1.8]
    assert list(zip(line.x, line.y, strict=True)) == [(1, 30), (2, 30), (2, 20), (4, 20), (4, 10)]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    "names",
    [["abcdefghij"], ["pruned", "recovered", "abcdefgh"], ["heads", "recovered", "neurons", "middle", "abcdef"]],
    ids=["names of their own", "names of the page", "names of one colour"],
)
def test_no_two_of_ten_curves_are_alike(names: list[str], theme) -> None:
    """By their colours alone, which differ clearly from one another and from the card; the legend has the same ones."""
    *known, others = names
    names = [*known, *others]
    plot = built("curves", theme=theme)
    plot.draw(Shown(Figure("f", "curves", "", "", "", tuple(Series(name, (1, 2), (1.0, 2.0)) for name in names))))
    colours = [mark.colors[0] for mark in marks(plot, bqplot.Lines) if mark.stroke_width == 1.8]
    assert len(colours) == 10 and all(f'fill="{colour}"' in legend(plot) for colour in colours)
    for one, other in combinations([*colours, theme.card], 2):
        assert math.dist(lab(one), lab(other)) > 15


def lab(colour: str) -> tuple[float, float, float]:
    """A colour in CIE L*a*b*, where a distance of 2 is just seen; by IEC 61966-2-1 and the white point D65."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    to = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [sum(map(operator.mul, row, linear)) / white for row, white in zip(to, (0.9505, 1.0, 1.089), strict=True)]
    x, y, z = (each ** (1 / 3) if each > 0.008856 else 7.787 * each + 16 / 116 for each in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_a_map_writes_its_numbers_and_marks_what_is_missing() -> None:
    """A map of one row too, which bqplot would squeeze away."""
    plot = built("heat")
    plot.draw(Shown(figure("heat"), frozenset({CELLS[4]})))
    assert sorted(said(plot)) == ["10", "12", "20", "300", "40"]
    assert "failed" in legend(plot) and "not measured yet" not in legend(plot)
    plot.draw(Shown(figure("heat")))
    assert "failed" not in legend(plot) and "not measured yet" in legend(plot)
    drawn = (
        Series("a", (1, 2), (3.0, math.nan), cells=(CELLS[0], None)),
        Series("b", (1, 2), (math.nan, 5.0), cells=(None, CELLS[1])),
    )
    plot.draw(Shown(Figure("f", "heat", "", "", "", drawn)))
    assert "not measured yet" not in legend(plot), "where there is no cell none is waited for"
    one = Figure("f", "heat", "", "", "", (Series("only", (1,), (2.0,)),))
    plot.draw(Shown(one))
    assert marks(plot, bqplot.GridHeatMap)[0].color.shape == (2, 2) and said(plot) == ["2.000"]


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
        named = ticks(plot, Figure("f", "curves", "", "", "", (Series("one", (1, 2), (low, high)),)), 1)
        assert len(set(named)) == len(named) and set(named) >= set(words)


def ticks(plot: Plot, figure: Figure, side: int) -> list[str]:
    """The words along the lower axis (0) or beside the left one (1) of a figure."""
    plot.draw(Shown(figure))
    (drawn,) = [each for each in inside(plot.widget) if isinstance(each, bqplot.Figure)]
    return [words for _, words in sorted(drawn.axes[side].tick_labels.items(), key=lambda each: float(each[0]))]


def test_a_number_beside_an_axis_has_its_own_unit_and_the_title_stands_beyond_the_longest() -> None:
    """Ratios from a thousandth to ten thousand are no thousands; a minus is one, and a short axis has its title near."""
    plot, offsets = built("curves"), []
    wide = Figure("f", "curves", "", "", "up", (Series("one", (1, 2), (0.002, 9000.0)),), log_y=True)
    small = Figure("f", "curves", "", "", "up", (Series("one", (1, 2), (-1.0, 1.0)),))
    for figure, words in ((wide, ["0.001", "0.1", "10", "1,000"]), (small, ["−1", "−0.5", "0", "0.5", "1"])):
        assert ticks(plot, figure, 1) == words
        (drawn,) = [each for each in inside(plot.widget) if isinstance(each, bqplot.Figure)]
        offsets.append(float(drawn.axes[1].label_offset.removesuffix("px")))
    assert offsets[0] > offsets[1] >= 36 and drawn.fig_margin["left"] > offsets[0] + 15


def test_ticks_stand_at_the_points_where_these_are_few() -> None:
    """Shares in hundredths; many points, or crowded ones, have round numbers."""
    plot = built("curves")
    shares = Series("one", (0.15, 0.3, 0.45), (1.0, 2.0, 3.0))
    assert ticks(plot, Figure("f", "curves", "", "", "", (shares,), shares=True), 0) == ["15\u00a0%", "30\u00a0%", "45\u00a0%"]
    crowded = Series("one", (0.10, 0.11, 0.9), (1.0, 2.0, 3.0))
    assert ticks(plot, Figure("f", "curves", "", "", "", (crowded,)), 0) == ["0.2", "0.4", "0.6", "0.8"]
    sizes = Series("one", (1_067_904.0, 1_816_992.0), (1.0, 2.0))
    assert ticks(plot, Figure("f", "curves", "", "", "", (sizes,)), 0) == ["1.2M", "1.4M", "1.6M", "1.8M"]


def test_stems_begin_at_the_base_of_a_figure_and_without_one_there_are_none() -> None:
    """What is below it hangs; on a logarithmic axis the lowest end would be any number."""
    plot = built("bars")
    series = (Series("one", ("better", "worse"), (0.5, 4.0)),)
    for base, stems in ((1.0, [(0, math.log10(0.5)), (0, math.log10(4))]), (None, [])):
        plot.draw(Shown(Figure("f", "bars", "", "", "", series, log_y=True, base=base)))
        (line,) = [mark for mark in marks(plot, bqplot.Lines) if mark.stroke_width == 4.0]
        ends = [tuple(line.y[at : at + 2]) for at in range(0, len(line.y), 3)]
        assert ends == [pytest.approx(each) for each in stems]


def test_strokes_from_lowest_to_highest_lie_over_the_stems() -> None:
    """And can be seen: a thin one under its stem could not."""
    plot = built("bars")
    plot.draw(Shown(figure("bars", base=1.0)))
    lines = marks(plot, bqplot.Lines)
    (span,) = [at for at, mark in enumerate(lines) if mark.stroke_width == 2 and mark.x.size]
    stems = [at for at, mark in enumerate(lines) if mark.stroke_width == 4]
    assert max(stems) < span and lines[span].opacities in ([], [1.0]) and lines[stems[0]].opacities[0] < 0.6


def test_a_front_has_rings_around_its_points_and_a_line_in_the_legend() -> None:
    """What it goes through stays to be seen, and what lies on one place has different sizes."""
    plot = built("scatter")
    series = (Series("the front", (1.0, 2.0), (3.0, 2.0)), *(Series(name, (1.0, 2.0), (3.0, 2.0)) for name in "abc"))
    plot.draw(Shown(Figure("f", "scatter", "", "", "", series, fronts=("the front",))))
    front, *points = [mark for mark in marks(plot, bqplot.Scatter) if mark.x.size]
    assert not front.fill and front.stroke == LIGHT.text and all(mark.fill for mark in points)
    sizes = [mark.default_size for mark in (front, *points)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4
    assert len({mark.marker for mark in points}) == 3 and "M0 6H8" in legend(plot)


def test_what_is_of_a_stage_has_its_colour_and_differs_by_mark_and_dash() -> None:
    """Of whichever criterion; criteria alone have no stage's colour."""
    plot = built("curves")
    staged = [f"{by}, {stage}" for by in ("taylor", "random") for stage in ("pruned", "recovered")]
    for names in (staged, ["random", "magnitude", "activation", "taylor", "energy", "fisher", "obs", "entropy"]):
        plot.draw(Shown(Figure("f", "curves", "", "", "", tuple(Series(name, (1, 2), (1.0, 2.0)) for name in names))))
        lines = [mark for mark in marks(plot, bqplot.Lines) if mark.stroke_width == 1.8 and mark.x.size]
        stages = LIGHT.stages
        if len(names) == 4:
            assert [mark.colors[0] for mark in lines] == [stages["pruned"], stages["tuned"]] * 2
            assert [mark.line_style for mark in lines] == ["solid", "solid", "dashed", "dashed"]
            assert len({mark.marker for mark in marks(plot, bqplot.Scatter) if mark.x.size}) == 4
            assert "6 3" in legend(plot)
        else:
            assert not {mark.colors[0] for mark in lines} & set(stages.values())


def test_differences_in_a_map_have_as_many_decimals_each() -> None:
    """With a minus, and no power of ten; columns that are shares are hundredths."""
    plot = built("heat")
    row = Series("layer 0", (0.1, 0.9), (-0.00069, 2.114))
    assert ticks(plot, Figure("f", "heat", "", "", "", (row,), shares=True), 1) == ["10\u00a0%", "90\u00a0%"]
    assert sorted(said(plot)) == ["2.114", "−0.001"]
