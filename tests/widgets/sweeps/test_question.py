"""An experiment on the page: its question, the answer so far, one chart at a time, the table, and the line that does it again."""

from dataclasses import replace

import bqplot
import ipywidgets
import pytest

from engine.record.catalogue import EXPERIMENTS
from engine.record.figure import Figure, Place, Series, Table, Verdict
from tests.widgets.sweeps.swept import button, inside, view_of, words
from widgets.experimenter import NOTHING, Tried
from widgets.followed import Pace
from widgets.requests import ChooseExperiment, Download, StartExperiment, StopExperiment
from widgets.sweeps.question import INSTEAD, build, is_wanted
from widgets.theme import LIGHT
from widgets.view import Drawn

NAME = EXPERIMENTS.names()[0]
FIGURES = tuple(
    Figure(kind, kind, f"By {kind}", "across", "up", (Series("one", x, (1.0, 2.0), cells=(Place("a", 0), Place("a", 1))),))
    for kind, x in (("curves", (1, 2)), ("heat", (1, 2)), ("bars", ("x", "y")))
)
SAID = (Verdict("It <b>cannot</b> be told", "1.2 (<i>1</i> to 2)"),)
SOME = Tried(NAME, "gpt2-tiny", "short", 10, 4, 1, answer=SAID, figures=FIGURES,
             table=Table(("what", "how much"), (("<i>this</i>", 1.5), ("that", None))))  # fmt: skip


@pytest.fixture
def asked() -> list:
    """What the panel has asked for."""
    return []


@pytest.fixture
def panel(asked) -> Drawn:
    """The panel with an experiment that is half done."""
    panel = build(LIGHT, asked.append)
    show(panel, SOME)
    return panel


def show(panel: Drawn, tried: Tried) -> None:
    """Draw an experiment."""
    panel.draw(replace(view_of(None), tried=tried))


def menu(panel: Drawn, label: str) -> ipywidgets.Widget:
    """A menu or a field by its label."""
    return next(each for each in inside(panel.widget) if getattr(each, "description", "") == label)


def test_the_question_the_answer_and_the_table_are_there_as_text(panel) -> None:
    """Escaped, with how it is judged and the line that does it again."""
    said = words(panel)
    assert "4 of 10 cells done, 1 failed" in said and "<b>It &lt;b&gt;cannot&lt;/b&gt; be told.</b>" in said
    assert '<span class="esp-behind">1.2 (&lt;i&gt;1&lt;/i&gt; to 2).</span>' in said and "interval of 95 %" in said
    assert "&lt;i&gt;this&lt;/i&gt;" in said and "<td>1.5</td>" in said and "<td>–</td>" in said
    assert f"python -m engine experiment {NAME} --model gpt2-tiny --form short" in said


def test_a_process_that_was_stopped_is_named(panel) -> None:
    """In place of how long it will take."""
    show(panel, replace(SOME, going=True, halted=4711, pace=Pace(4, 30.0)))
    assert "process 4711, which carries this experiment out, is stopped." in words(panel) and "about" not in words(panel)


def test_one_chart_is_shown_and_another_one_by_the_menu(panel) -> None:
    """Of whatever kind; what is chosen stays while cells come. Where there is none, the last one does not stay."""
    assert "esp-marked" in " ".join(name for each in inside(panel.widget) for name in each._dom_classes)
    menu(panel, "Chart").value = 1
    assert "esp-heat" in " ".join(name for each in inside(panel.widget) for name in each._dom_classes)
    show(panel, replace(SOME, done=5, figures=FIGURES[:2]))
    assert menu(panel, "Chart").value == 1
    show(panel, replace(SOME, done=0, figures=(), table=None))
    assert not any(isinstance(each, bqplot.Figure) for each in inside(panel.widget)), "another question's chart"
    (row,) = [each for each in inside(panel.widget) if menu(panel, "Chart") in getattr(each, "children", ())]
    assert row.layout.display == "none" and button(panel, "Its table (CSV)") in row.children
    show(panel, SOME)
    assert row.layout.display is None and any(isinstance(each, bqplot.Figure) for each in inside(panel.widget))


def test_what_is_chosen_and_pressed_is_told_and_a_drawing_is_not(panel, asked) -> None:
    """The buttons say why they are grey."""
    assert asked == [] and button(panel, "Stop it").disabled
    menu(panel, "On the model").value = " opt-tiny "
    forms = ["short (a minute or two)", "medium (ten minutes)", "full (a night)"]
    assert [words for words, _ in menu(panel, "Form").options] == forms
    menu(panel, "Form").value = "full"
    button(panel, "Start the experiment").click()
    show(panel, replace(SOME, going=True))
    assert button(panel, "Start the experiment").tooltip == "It goes on already."
    assert "At work: 4 of 10 cells done, 1 failed; how long the others take is not known yet." in words(panel)
    show(panel, replace(SOME, going=True, pace=Pace(4, 6.0)))
    assert "about 10 s left, if the others take as long as the last 4 did" in words(panel)
    button(panel, "Stop it").click()
    button(panel, "Its table (CSV)").click()
    assert asked[-3:] == [StartExperiment(), StopExperiment(), Download("experiment-csv")]
    assert asked[0] == ChooseExperiment(NAME, "opt-tiny", "short") and isinstance(asked[1], ChooseExperiment)


def test_it_is_left_out_where_there_is_no_experiment() -> None:
    """Or before the part of the page is opened."""
    assert not is_wanted(view_of(None)) and is_wanted(replace(view_of(None), tried=SOME))


def test_the_result_that_ships_is_offered_where_there_is_none(panel, asked) -> None:
    """By a button that names it, which is not there otherwise."""
    (offer,) = [each for each in inside(panel.widget) if getattr(each, "tooltip", "") == INSTEAD]
    assert offer.layout.display == "none"
    show(panel, Tried(NAME, "opt-tiny", "full", 10, answer=(NOTHING,), instead=("gpt2-tiny", "short")))
    assert offer.layout.display is None and offer.description == "Show gpt2-tiny, short"
    offer.click()
    assert asked == [ChooseExperiment(NAME, "gpt2-tiny", "short")]
