"""Badges for what was done otherwise than asked: one each, the newest first, whatever is in their words."""

import re

from engine.record.lifecycle import Degraded
from widgets.badges import SHOWN, badges_html


def test_without_a_degradation_there_is_no_badge() -> None:
    """Not even an empty frame."""
    assert badges_html(()) == ""


def test_each_has_a_badge_that_says_what_was_asked_what_was_done_and_why() -> None:
    """The newest first, the same twice once, and no badge more than there is room for; all are there to be unfolded."""
    all_of_them = [Degraded(f"asked {n}", f"did {n}", f"because {n}") for n in range(5)]
    html = badges_html((*all_of_them, all_of_them[1]))
    assert html.count("<details") == SHOWN + 1 and html.index("did 1") < html.index("did 4") < html.index("did 3")
    assert "<span>+3</span>" in html and 'aria-label="3 more that were done otherwise than asked"' in html
    for n in range(5):
        assert html.count(f"<dd>asked {n}</dd>") == html.count(f"<dd>did {n}</dd>") == html.count(f"<dd>because {n}</dd>") == 1
    assert 'aria-label="Did 4 instead of asked 4: because 4."' in html


def test_what_happened_over_and_over_has_one_badge_that_counts() -> None:
    """The halvings of the learning rate are of a kind; each is inside, and the kinds stand in the order of their newest."""
    slower = [
        Degraded(f"step {step} of the recovery", f"made again with {pace} of the learning rate from there on", "it was too large")
        for step, pace in ((3, 0.5), (7, 0.25))
    ]
    fewer = Degraded("4 sequences at once", "2 at once from there on, their gradients added up", "memory ran out")
    html = badges_html((slower[0], fewer, slower[1]))
    assert re.findall("<span>([^<]+)</span>", html) == ["slower learning (2×)", "smaller pieces"]
    assert html.index("with 0.25") < html.index("with 0.5") < html.index("memory ran out")
    assert 'aria-label="Slower learning, 2 times"' in html


def test_what_a_badge_says_is_no_markup() -> None:
    """A reason may hold any text: a path, a message of a library."""
    html = badges_html((Degraded("<b>a</b>", "<img onerror=x>", '"quoted" & more'),))
    assert "<b>" not in html and "<img" not in html and "&quot;quoted&quot; &amp; more" in html
