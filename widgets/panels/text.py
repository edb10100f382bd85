"""The same prompt continued before and after, token by token. The stronger the shade and the thicker the line under a token, the
more it surprised the model that wrote it; point at a token for the number. Look where the sense is lost first: in facts, in
grammar, or in whole words.

The panel shows texts as they came, escaped, and knows nothing of how they were drawn.
"""

from collections.abc import Mapping
from html import escape

import ipywidgets

from engine.record.events import TextSampled
from widgets.drawing import line, put
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Text before and after"
STAGES = {"baseline": "baseline", "pruned": "pruned", "tuned": "recovered", "control": "control", "cut": "cut"}
NEWEST = ("tuned", "cut", "pruned")  # the first of these that there is stands for "after"
AUTOMATIC = "automatic"
OWN = "How much its own continuation surprised each model, on average"
LOW = "Low is not good here: a model that repeats itself is not surprised."
SHOWN = 60  # characters of a prompt that a sentence names
# A token's surprise in nats is −log of its probability: each level is a range of probabilities that can be said in words.
LEVELS = ((0.693, "expected: 1 in 2 or likelier"), (2.303, "to 1 in 10"), (4.605, "to 1 in 100"),
          (6.908, "to 1 in 1,000"), (float("inf"), "surprising: rarer"))  # fmt: skip


def build(theme: Theme, act: Act) -> Drawn:
    """Two columns with a choice of stage each, and the legend."""
    panel = _Text(theme)
    return Drawn(panel.widget, panel.draw)


class _Text:
    """The widgets of the panel, and the samples that they show, which a choice of stage needs."""

    def __init__(self, theme: Theme):
        self.theme = theme
        self.samples: Mapping[str, TextSampled] = {}
        options = [(AUTOMATIC, AUTOMATIC), *((words, stage) for stage, words in STAGES.items())]
        choice = {"options": options, "value": AUTOMATIC, "layout": {"width": "180px"}, "style": {"description_width": "46px"}}
        self.before, self.after = (ipywidgets.Dropdown(description=words, **choice) for words in ("Before", "After"))
        self.left, self.right, self.says, self.other = (ipywidgets.HTML() for _ in range(4))
        for each in (self.before, self.after):
            each.observe(lambda _: self._show(), "value")
        sides = [
            ipywidgets.VBox([choice, text], layout={"flex": "1 1 0", "min_width": "0"})
            for choice, text in ((self.before, self.left), (self.after, self.right))
        ]
        self.widget = ipywidgets.VBox([self.other, ipywidgets.HBox(sides), ipywidgets.HTML(_legend(theme)), self.says])
        self.widget.add_class("esp-text")

    def draw(self, view: View) -> None:
        """Show the samples that stand."""
        if view.state.standing.samples is not self.samples or not self.left.value:
            self.samples = view.state.standing.samples
            self._show()

    def _show(self) -> None:
        before = "baseline" if self.before.value == AUTOMATIC else self.before.value
        newest = next((stage for stage in NEWEST if stage in self.samples), None)
        after = newest if self.after.value == AUTOMATIC else self.after.value
        put(self.left, value=_column(self.theme, before, self.samples.get(before)))
        put(self.right, value=_column(self.theme, after, self.samples.get(after)))
        found = [self.samples[stage] for stage in (before, after) if stage in self.samples]
        told = "; ".join(f"{STAGES.get(each.stage, each.stage)}: {_mean(each)}" for each in found)
        words = f"{OWN}: {told}. {LOW}" if told else "No text has been sampled yet."
        put(self.says, value=line(words, "says"))
        warning = _warning(*found) if len(found) == 2 else ""
        put(self.other, value=f'<div role="note" class="esp-other">{escape(warning)}</div>' if warning else "")


def _warning(before: TextSampled, after: TextSampled) -> str:
    """Why two texts cannot be compared, and what to do about it; empty where they can."""
    if before.prompt != after.prompt:
        anew = " Only the unpruned model can write it anew, and does after Reset." if before.stage == "baseline" else ""
        prompt = before.prompt if len(before.prompt) <= SHOWN else f"{before.prompt[: SHOWN - 1]}…"
        return f"Not to be compared: the text on the left continues another prompt, “{prompt}”.{anew}"
    if before.seed != after.seed:
        return f"Not to be compared: the left text was drawn with seed {before.seed}, the right one with {after.seed}."
    return ""


def _column(theme: Theme, stage: str | None, sample: TextSampled | None) -> str:
    if sample is None:
        nothing = "Nothing yet: prune, and the model writes again."
        what = f"The {STAGES[stage]} model has written nothing yet." if stage else nothing
        return f'<div class="esp-words esp-none">{what}</div>'
    tokens = "".join(
        _token(theme, token, surprise, number < sample.prompt_tokens)
        for number, (token, surprise) in enumerate(zip(sample.tokens, sample.surprises, strict=True))
    )
    return f'<div class="esp-words"><b>{STAGES.get(stage, escape(stage))}</b> {tokens}</div>'


def _token(theme: Theme, text: str, surprise: float | None, prompt: bool) -> str:
    number = "nothing precedes it" if surprise is None else f"surprise {surprise:.2f} nats"
    title = f"prompt, {number}" if prompt else number
    level = 0 if surprise is None else level_of(surprise)
    kind = " esp-prompt" if prompt else ""
    return f'<span class="esp-token{kind}" style="{_style(theme, level)}" title="{title}">{visible(text)}</span>'


def _style(theme: Theme, level: int) -> str:
    return f"background:{theme.surprise[level]};border-bottom:{level}px solid {theme.muted}"


def level_of(surprise: float) -> int:
    """The level, 0 (expected) to 4 (surprising), of a surprise in nats."""
    return next(level for level, (most, _) in enumerate(LEVELS) if surprise <= most)


def visible(text: str) -> str:
    """A token as HTML that shows it and does nothing else: escaped, with signs for line breaks, tabs and control characters."""
    shown = "".join(_sign(character) for character in text)
    return escape(shown).replace("↵", "↵<br>")


def _sign(character: str) -> str:
    code = ord(character)
    signs = {"\n": "↵", "\t": "⇥", "\r": "␍", "\x7f": "␡"}
    return signs.get(character) or (chr(0x2400 + code) if code < 32 else character)


def _mean(sample: TextSampled) -> str:
    own = [surprise for surprise in sample.surprises[sample.prompt_tokens :] if surprise is not None]
    return f"{sum(own) / len(own):.2f} nats" if own else "no token of its own"


def _legend(theme: Theme) -> str:
    chips = " ".join(
        f'<span class="esp-token" style="{_style(theme, level)}">{words}</span>' for level, (_, words) in enumerate(LEVELS)
    )
    return line(f'Surprise: {chips} · <span class="esp-token esp-prompt">prompt</span>', "legend")
