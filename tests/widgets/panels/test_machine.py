"""The list of the other runs: what stands in it, what is asked by its buttons, and a question before anything is deleted."""

from dataclasses import replace

import pytest

from engine.record.run_list import LiveRun
from engine.record.state import RunState
from widgets.panels import machine, runs
from widgets.requests import ChooseRun, DiscardRun, KeepRun, OpenRun, Request, ResumeRun, StopRun
from widgets.roster import Runs
from widgets.theme import LIGHT
from widgets.view import View

LEFT = LiveRun("20250101T120000Z-gpt2-tiny-00aa11", "interrupted in Tune, step 3 of 9", "busy", "gpt2-tiny", None, False, None,
               "/home/<b>", "Tune", 3, 9)  # fmt: skip
OTHER = replace(LEFT, name="<i>other</i>", status="failed", state="failed: <script>", doing="", step=None)


class Panel:
    """The panel with what it has asked for."""

    def __init__(self):
        self.asked: list[Request] = []
        self.drawn = machine.build(LIGHT, self.asked.append)
        self.list, beside = self.drawn.widget.children
        self.says, self.row, self.sure = beside.children

    def show(self, **changes: object) -> None:
        """Draw these runs."""
        self.drawn.draw(View(RunState(), None, LIGHT, runs=replace(Runs((LEFT, OTHER), LEFT.name), **changes)))


@pytest.fixture
def panel() -> Panel:
    """A panel that shows two runs."""
    panel = Panel()
    panel.show()
    return panel


def test_each_run_is_listed_with_what_it_is_doing(panel):
    """In words; the step of the chosen one beside the list, whose lines would change too often with it."""
    assert [name for _, name in panel.list.options] == [LEFT.name, OTHER.name] and panel.list.value == LEFT.name
    assert panel.list.options[0][0].endswith(": left in the middle: recovering")
    assert "recovering, step 3 of 9; asleep" in panel.says.value and "/home/&lt;b&gt;" in panel.says.value
    panel.show(chosen=OTHER.name)
    assert "&lt;i&gt;other" in panel.says.value and "failed: &lt;script&gt;" in panel.says.value


def test_only_a_hand_chooses(panel):
    """New lines in the list leave the choice where it is and ask for nothing."""
    panel.show(chosen=OTHER.name)
    panel.show(found=(replace(LEFT, status="idle"), OTHER), chosen=OTHER.name)
    assert panel.list.value == OTHER.name and panel.asked == []
    panel.list.value = LEFT.name
    assert panel.asked == [ChooseRun(LEFT.name)]


def test_every_button_asks_for_the_run_that_is_chosen(panel):
    """By its name."""
    for button in panel.row.children:
        button.click()
    assert panel.asked == [each(LEFT.name) for each in (OpenRun, ResumeRun, StopRun, DiscardRun)]


def test_before_a_run_is_deleted_there_is_a_question(panel):
    """With two answers, which are not there at any other time."""
    assert panel.sure.layout.display == "none"
    panel.show(doubt=True)
    assert panel.sure.layout.display is None and 'role="alert"' in panel.says.value and "Delete gpt2-tiny" in panel.says.value
    for button in panel.sure.children:
        button.click()
    assert panel.asked == [DiscardRun(LEFT.name, sure=True), KeepRun()]
    panel.show(said="No <b>.", refused=True)
    assert panel.sure.layout.display == "none" and "No &lt;b&gt;." in panel.says.value and "esp-refusal" in panel.says.value


def test_without_other_runs_nothing_can_be_pressed(panel):
    """And nothing is asked for if it is."""
    panel.show(found=(), chosen=None, doubt=True)
    assert panel.list.disabled and panel.list.options == () and all(button.disabled for button in panel.row.children)
    panel.row.children[3].click()
    assert panel.asked == [] and panel.sure.layout.display == "none" and "There is no other run" in panel.says.value


def test_the_card_of_this_run_has_a_word_on_the_others():
    """How many are at work, and how many were left."""
    assert runs.others(()) == "There is no other run yet."
    assert runs.others((OTHER,)) == "Other runs: none at work (all are listed below)."
    assert runs.others((LEFT, OTHER, replace(LEFT, awake=True))) == "Other runs: 1 at work, 1 unfinished (all are listed below)."
