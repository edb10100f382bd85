"""Runs side by side on the page: a table of what differs, curves of the chosen runs in one chart, and both as files."""

import json
from dataclasses import replace

import bqplot
import ipywidgets
import pytest

from engine.record.state import RunState
from tests.widgets.charts.states import folded, gates, loaded, measured, trained
from tests.widgets.sweeps.swept import button, inside, view_of, words
from widgets import export
from widgets.comparer import Compared, Ran, cells_of
from widgets.requests import ChooseRuns, Download
from widgets.sweeps.compare import build
from widgets.theme import LIGHT
from widgets.view import Drawn

HEADS = (4,) * 4
NAMES = ("20250101T120000Z-gpt2-tiny-00aa11", "20250101T120000Z-gpt2-tiny-00aa22", "20250101T120000Z-gpt2-tiny-00aa33")


def ran(name: str, criterion: str, perplexity: float | None = None, *facts: object) -> Ran:
    """A run of that criterion, pruned to that perplexity."""
    pruned = (gates(HEADS, ((0, 0),)), measured("pruned", perplexity)) if perplexity else ()
    state = folded(loaded(HEADS), measured("baseline", 40.0), *pruned, *facts)
    return Ran(name, {"criterion": criterion, "seed": 0, "neurons.layers": None}, state)


RUNS = (ran(NAMES[0], "taylor", 50.0, *trained("tuned")), ran(NAMES[1], "<b>random</b>", 90.0), ran(NAMES[2], "taylor"))


@pytest.fixture
def asked() -> list:
    """What the panel has asked for."""
    return []


@pytest.fixture
def panel(asked) -> Drawn:
    """The panel with three runs, none chosen."""
    panel = build(LIGHT, asked.append)
    show(panel, Compared(RUNS))
    return panel


def show(panel: Drawn, compared: Compared) -> None:
    """Draw these runs."""
    panel.draw(replace(view_of(None), compared=compared))


def joined(panel: Drawn) -> list[bqplot.Lines]:
    """The lines of series that have points."""
    (figure,) = [each for each in inside(panel.widget) if isinstance(each, bqplot.Figure)]
    return [mark for mark in figure.marks if isinstance(mark, bqplot.Lines) and mark.stroke_width == 1.8 and mark.x.size]


def test_the_table_has_what_differs_and_what_came_of_it(panel) -> None:
    """Only runs that were pruned while none is chosen; their own words are escaped."""
    said = words(panel)
    assert "<th>Criterion</th>" in said and "Seed" not in said and "&lt;b&gt;random" in said
    assert "<td>40</td><td>50</td>" in said and "<td>3,100,000</td>" in said and said.count("<tr>") == 3


def test_runs_are_chosen_and_their_curves_lie_in_one_chart(panel, asked) -> None:
    """Losses first, perplexities by the menu; what has none is said not to be drawn."""
    assert len(joined(panel)) == 1 and "1 of 2 runs" in words(panel)
    (chart,) = [each for each in inside(panel.widget) if isinstance(each, ipywidgets.Dropdown)]
    chart.value = "perplexity"
    assert "2 of 2 runs: perplexities." in words(panel)
    (listed,) = [each for each in inside(panel.widget) if isinstance(each, ipywidgets.SelectMultiple)]
    assert [name for _, name in listed.options] == list(NAMES) and "perplexity 40 → 50" in listed.options[0][0]
    listed.value = NAMES[:1] + NAMES[2:]
    assert asked == [ChooseRuns((NAMES[0], NAMES[2]))]
    show(panel, Compared(RUNS, (NAMES[0], NAMES[2])))
    assert "Their recipes do not differ." in words(panel) and "<td>–</td>" in words(panel)
    assert asked == [ChooseRuns((NAMES[0], NAMES[2]))], "a drawing is no choice"


def test_runs_that_were_measured_otherwise_are_said_not_to_be_comparable(panel) -> None:
    """On another text, or on less of it; alike ones need no word."""
    assert "measured alike" not in words(panel)
    state = folded(loaded(HEADS), measured("baseline", 60.0, tokens=1024))
    less = Ran("20250101T120000Z-gpt2-tiny-00aa44", {"criterion": "taylor"}, state)
    show(panel, Compared((*RUNS, less), (NAMES[0], less.name)))
    assert "not measured alike (wikipedia-sample, 1,024 tokens in blocks of 256, float32 and" in words(panel)


def test_without_a_run_nothing_can_be_taken_away(asked) -> None:
    """And it is said what to do first."""
    panel = build(LIGHT, asked.append)
    show(panel, Compared())
    assert "No run has been pruned yet" in words(panel) and button(panel, "Chart (PNG)").disabled
    show(panel, Compared(RUNS))
    for name in ("Table (CSV)", "Table (JSON)", "Chart (PNG)"):
        button(panel, name).click()
    assert asked == [Download("runs-csv"), Download("runs-json"), Download("runs-charts")]


def test_the_table_comes_as_csv_and_as_json() -> None:
    """With what was not measured left out or null."""
    head, rows = cells_of((RUNS[0], RUNS[1], Ran("new", {"criterion": "taylor"}, RunState())))
    table = export.table(head, rows, "csv").decode().splitlines()
    assert table[0] == "run,criterion,seed,perplexity baseline,perplexity pruned,parameters before,parameters after"
    assert table[3] == "new,taylor,,,,,"
    plain = json.loads(export.table(head, rows, "json"))
    assert plain[0]["perplexity pruned"] == 50.0 and plain[2]["parameters after"] is None
