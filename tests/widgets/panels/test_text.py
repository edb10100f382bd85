"""The text before and after: every character shown and none obeyed, and surprise by more than colour."""

from dataclasses import replace

import ipywidgets
import pytest

from engine.record.state import RunState
from tests.widgets.charts.states import folded, sampled
from tests.widgets.charts.test_charts import inside, words
from widgets.panels.text import LEVELS, build, level_of, visible
from widgets.theme import DARK, LIGHT
from widgets.view import Drawn, View


def drawn_from(*facts: object, theme=LIGHT) -> Drawn:
    """The panel with these facts shown."""
    made = build(theme, lambda command: None)
    made.draw(View(folded(*facts), None, theme))
    return made


def columns(drawn: Drawn) -> list[str]:
    """The HTML of the text before and of the text after."""
    return [each.value for each in inside(drawn.widget) if isinstance(each, ipywidgets.HTML) and "esp-words" in each.value]


def choose(drawn: Drawn, which: str, stage: str) -> None:
    """What somebody does who picks a stage."""
    next(
        each for each in inside(drawn.widget) if isinstance(each, ipywidgets.Dropdown) and each.description == which
    ).value = stage


def test_tokens_are_text_and_never_markup():
    """A model that writes a script has written a script, and nothing more happens."""
    nasty = ("<img src=x onerror=alert(1)>", "</span><script>", '" onmouseover="', "&amp;", "'")
    before, _ = columns(drawn_from(sampled("baseline", nasty, (None, 1.0, 1.0, 1.0, 1.0))))
    assert "<img" not in before and "<script" not in before and 'onmouseover="' not in before.replace("&quot;", "")
    assert "&lt;img src=x onerror=alert(1)&gt;" in before and "&amp;amp;" in before


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("\n", "↵<br>"),
        ("\t", "⇥"),
        ("\r", "␍"),
        ("\x00", "␀"),
        ("\x1b", "␛"),
        ("\x7f", "␡"),
        (" a", " a"),
        ("é漢", "é漢"),
        ("<", "&lt;"),
    ],
)
def test_what_cannot_be_seen_gets_a_sign(token: str, shown: str):
    """Line breaks break the line and are visible; control characters are shown, not sent."""
    assert visible(token) == shown


def test_the_newest_text_stands_beside_the_baseline():
    """Automatic takes the recovered text where there is one, else the pruned one, else says that there is none."""
    baseline, pruned, tuned = sampled("baseline"), sampled("pruned"), sampled("tuned")
    assert "Nothing yet" in columns(drawn_from(baseline))[1]
    assert "<b>pruned</b>" in columns(drawn_from(baseline, pruned))[1]
    before, after = columns(drawn_from(baseline, pruned, tuned))
    assert "<b>baseline</b>" in before and "<b>recovered</b>" in after


def test_any_two_stages_can_be_chosen():
    """A choice is answered at once, also for a stage that has no text yet."""
    drawn = drawn_from(sampled("baseline"), sampled("pruned"), sampled("tuned"))
    choose(drawn, "Before", "pruned")
    choose(drawn, "After", "control")
    before, after = columns(drawn)
    assert "<b>pruned</b>" in before and "The control model has written nothing yet." in after


def test_surprise_is_told_by_shade_line_and_number():
    """Each token has a background, a line that grows with surprise, and its number to point at; the prompt is marked."""
    before, _ = columns(drawn_from(sampled("baseline")))
    assert 'title="prompt, nothing precedes it"' in before and 'title="surprise 9.30 nats"' in before
    assert (
        f"background:{LIGHT.surprise[4]};border-bottom:4px" in before
        and f"background:{LIGHT.surprise[0]};border-bottom:0px" in before
    )
    assert before.count("esp-prompt") == 3


def test_levels_are_the_probabilities_that_their_words_say():
    """1 in 2, 10, 100 and 1,000; every surprise has a level."""
    assert [level_of(surprise) for surprise in (0, 0.69, 0.7, 2.3, 2.4, 4.6, 4.7, 6.9, 7, 1e9)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(LEVELS) == len(LIGHT.surprise) == len(DARK.surprise)


def test_the_mean_surprise_is_of_the_continuation_alone():
    """The prompt was not written by the model."""
    drawn = drawn_from(sampled("baseline", ("a", "b", "c", "d", "e"), (None, 9.0, 9.0, 1.0, 2.0)))
    assert "baseline: 1.50 nats" in words(drawn)
    assert "its own continuation surprised each model" in words(drawn)


def test_texts_that_cannot_be_compared_are_pointed_out():
    """Another seed or prompt makes another text."""
    drawn = drawn_from(sampled("baseline"), replace(sampled("pruned"), seed=7))
    assert "the left text was drawn with seed 0, the right one with 7" in words(drawn)
    drawn = drawn_from(sampled("baseline"), replace(sampled("pruned"), prompt="Another <b>"))
    assert "the text on the left continues another prompt, “The history of”" in words(drawn) and "Reset" in words(drawn)
    choose(drawn, "Before", "pruned")
    choose(drawn, "After", "baseline")
    assert "another prompt, “Another &lt;b&gt;”" in words(drawn) and "Reset" not in words(drawn)
    assert "Not to be compared" not in words(drawn_from(sampled("baseline"), sampled("pruned")))


def test_an_empty_run_says_so_and_a_second_drawing_sends_nothing():
    """Before any text there are words; an equal view costs no message."""
    drawn = build(LIGHT, lambda command: None)
    drawn.draw(View(RunState(), None, LIGHT))
    assert "No text has been sampled yet." in words(drawn)
    drawn.draw(View(folded(sampled("baseline")), None, LIGHT))
    sent = []
    for each in inside(drawn.widget):
        each.comm.publish_msg = lambda *args, **parts: sent.append(parts)
    drawn.draw(View(folded(sampled("baseline")), None, LIGHT))
    assert sent == []


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_shaded_text_can_be_read(theme):
    """The text on every shade has a contrast of at least 4.5 to 1 (WCAG 2, level AA)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for shade in theme.surprise:
        light, dark = sorted((luminance(theme.text), luminance(shade)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
