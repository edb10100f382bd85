"""What every card of the experiments does: it is built without a sweep, draws one as it grows, and draws nothing twice."""

import pytest

from tests.widgets.sweeps.swept import CUBE, ONE, TWO, WORDS, inside, swept, view_of, words
from widgets.sweeps import SWEEPS
from widgets.theme import DARK, LIGHT
from widgets.view import Drawn

NAMES = [name for name in SWEEPS.names() if name != "question"]  # which shows no sweep


def listen(drawn: Drawn) -> list:
    """What is sent to the browser from now on."""
    sent = []
    for each in inside(drawn.widget):
        each.comm.publish_msg = lambda *args, of=each, **parts: sent.append((type(of).__name__, parts.get("data")))
    return sent


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_a_card_draws_a_sweep_as_it_grows(name: str, theme) -> None:
    """And another one after it, with other fields; an equal view sends the browser nothing."""
    module = SWEEPS.load(name)
    drawn = module.build(theme, lambda request: None)
    drawn.draw(view_of(None))
    for state in (swept(TWO, 0), swept(TWO, 3, failing=1), swept(TWO), swept(ONE, 2), swept(WORDS), swept(CUBE, 5), swept(TWO)):
        view = view_of(state, loaded=1)
        assert module.is_wanted(view)
        drawn.draw(view)
        sent = listen(drawn)
        drawn.draw(view)
        assert sent == []


@pytest.mark.parametrize("name", NAMES)
def test_a_card_has_a_title_and_a_help_text(name: str) -> None:
    """For whoever has never seen it."""
    entry = SWEEPS.entry(name)
    assert entry.facts["TITLE"] and len(entry.help) > 100


@pytest.mark.parametrize("name", NAMES)
def test_words_of_others_are_text_and_not_markup(name: str) -> None:
    """A reason for a failure may quote anything."""
    drawn = SWEEPS.load(name).build(LIGHT, lambda request: None)
    drawn.draw(view_of(swept(TWO, failing=0), loaded=0, said="<b>no</b>", trouble="<b>no</b>"))
    assert "<b>too</b>" not in words(drawn) and "<b>no</b>" not in words(drawn)
