"""Tests of engine/results/drawing.py: every kind of figure becomes an SVG that says what the figure says."""

import math
import re
import xml.etree.ElementTree as xml

import pytest

from engine.record.figure import Figure, Line, Series

CURVE = Series("front", (0.1, 0.5, 0.9), (1.0, 2.0, 40.0), (0.9, 1.8, 30.0), (1.1, 2.2, 50.0))
BARS = Series("pruned", ("random", "taylor"), (1.5, 1.2), (1.4, 1.2), (1.6, 1.2))
ROWS = (Series("layer 0", (0.1, 0.5), (0.0, 0.3)), Series("layer 1", (0.1, 0.5), (0.1, 0.9)))
PAIRS = (Series("energy", ("energy", "obs"), (1.0, -0.2)), Series("obs", ("energy", "obs"), (-0.2, math.nan)))
POINTS = (Series("pruned", (0.5, 1.0), (9.0, 8.0)), Series("front, pruned", (0.5, 1.0), (9.0, 8.0)))
FIGURES = (
    Figure("a", "curves", "Some curves", "share", "ratio", (CURVE,), log_y=True, log_x=True, lines=(Line("the control", 1.2),)),
    Figure("b", "bars", "Some bars", "criterion", "ratio", (BARS,)),
    Figure("c", "heat", "A map", "share", "layer", ROWS, value_label="nats"),
    Figure("e", "heat", "A map of words", "criterion", "criterion", PAIRS, value_label="correlation", ends=(-1, 1)),
    Figure("d", "scatter", "A front", "parameters", "perplexity", POINTS, fronts=("front, pruned",)),
)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.title)
def test_a_chart_says_its_title_its_axes_and_its_series(figure, tmp_path):
    """As letters, not as outlines; a panel for each model, and the same file for the same figure."""
    from engine.results.drawing import draw

    for name in ("one.svg", "two.svg"):
        draw({"gpt2-tiny": figure, "opt-tiny": figure}, tmp_path / name)
    text = (tmp_path / "one.svg").read_text()
    assert (tmp_path / "two.svg").read_text() == text and "<dc:date>" not in text
    said = {"".join(each.itertext()).strip() for each in xml.fromstring(text).iter() if each.tag.endswith("}text")}
    names = {series.name for series in figure.series if figure.kind != "heat"}
    assert {
        figure.title,
        figure.x_label,
        figure.y_label,
        "gpt2-tiny",
        "opt-tiny",
        *names,
        *(line.name for line in figure.lines),
    } <= said
    assert not re.search(r"nan|inf\b", text)


def test_a_map_of_words_names_its_columns_and_has_the_ends_that_were_asked_for(tmp_path):
    """Whatever its values are, so that the panels of a chart can be compared."""
    from engine.results.drawing import draw

    (figure,) = (figure for figure in FIGURES if figure.ends)
    draw({"gpt2-tiny": figure}, tmp_path / "map.svg")
    texts = ["".join(each.itertext()).strip() for each in xml.parse(tmp_path / "map.svg").iter() if each.tag.endswith("}text")]
    assert texts.count("energy") == texts.count("obs") == 2 and {"−1.0", "1.0"} <= set(texts)
