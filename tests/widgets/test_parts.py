"""The parts of the page beside the laboratory: nothing of one is made before it is opened, and all of it then."""

from pathlib import Path

import ipywidgets
import pytest

from engine.record.claim import take_lock
from engine.record.sweep_folder import begin
from tests.widgets.page import RECIPE, asleep, opened, tell_run
from tests.widgets.sweeps.swept import TWO, inside
from widgets.address import Address
from widgets.dashboard import Dashboard
from widgets.parts import CARDS, PARTS
from widgets.requests import ChooseSweep, Download
from widgets.sweeps import SWEEPS


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """A page on a run; no worker is behind it."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    client = asleep(RECIPE)
    tell_run(client, *opened())
    page = Dashboard(Address(run=client.name))
    page.pump.tick()
    return page


def turn(page: Dashboard, to: str) -> None:
    """Press one of the buttons at the top."""
    choices = [each for each in inside(page.widget) if isinstance(each, ipywidgets.ToggleButtons)]
    next(each for each in choices if each.description == "Part of the page").value = to
    page.pump.tick()
    page.pump.tick()


def headings(page: Dashboard) -> str:
    """The headings that are on the page."""
    return " ".join(each.value for each in inside(page.widget) if isinstance(each, ipywidgets.HTML) and "<h2>" in each.value)


def test_every_card_stands_in_one_part() -> None:
    """And no part names one that is not there."""
    placed = [name for sides in CARDS.values() for side in sides for name in side]
    assert sorted(placed) == sorted(SWEEPS.names()) and set(PARTS.values()) == {"laboratory", *CARDS}


@pytest.mark.parametrize("part", CARDS)
def test_nothing_of_a_part_is_made_before_it_is_opened(page: Dashboard, part: str) -> None:
    """The page's first paint waits for none of it; then each of its cards is there once, with its help, and no other."""
    before, many = headings(page), len(inside(page.widget))
    turn(page, part)
    for name in SWEEPS.names():
        title = f"<h2>{SWEEPS.entry(name).facts['TITLE']}</h2>"
        assert headings(page).replace(before, "").count(title) == (name in sum(CARDS[part], ()))
    opened = len(inside(page.widget))
    assert opened > many + 10
    turn(page, "laboratory")
    turn(page, part)
    assert len(inside(page.widget)) == opened


def test_the_part_is_in_the_address_and_comes_from_it(page: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a page that is loaded again shows the same; the laboratory, the default, goes unsaid."""
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")
    again = Dashboard(Address(run=page.pump.session.client.name, part="runs"))
    again.pump.tick()
    assert "Runs side by side" in headings(again) and again.pump.part == "runs"
    said = []
    monkeypatch.setattr(again.pump, "_at_run", lambda name: said.append((name, again.pump.part)))
    turn(again, "sweeps")
    assert said == [(page.pump.session.client.name, "sweeps")]


def test_what_came_of_a_sweep_comes_out_of_the_page(page: Dashboard) -> None:
    """As files named after it, and its charts as pictures; before there is one a sentence says so."""
    turn(page, "sweeps")
    page.pump.act(Download("sweep-csv"))
    page.pump.tick()
    assert "no sweep on the page" in page.pump.transport._status.value
    folder = begin(TWO)
    assert take_lock(folder)
    page.pump.act(ChooseSweep(folder.name))
    page.pump.tick()
    for what, words in (
        ("csv", f"{folder.name}-cells.csv"),
        ("json", f"{folder.name}-sweep.json"),
        ("charts", '["cells", "front"]'),
    ):
        page.pump.tick()
        page.pump.act(Download(f"sweep-{what}"))
        page.pump.tick()
        assert words in page.widget.children[-1].children[-1].outputs[0]["data"]["application/javascript"]


def test_cards_without_anything_to_show_are_left_out(page: Dashboard) -> None:
    """Until there is a sweep."""
    turn(page, "sweeps")
    hidden = [each for each in inside(page.widget) if each.layout.display == "none" and "esp-card" in each._dom_classes]
    left_out = {name for each in hidden for name in SWEEPS.names() if f"esp-at-{name}" in each._dom_classes}
    assert left_out == {"cells", "front", "cell"}
