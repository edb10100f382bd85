"""What was done otherwise than asked, as badges beside the buttons: HTML from events, and nothing that is not in them."""

from collections.abc import Sequence
from html import escape

from engine.record.lifecycle import Degraded

SHOWN = 2  # badges; the others are behind one more
# A part of what was done → a name for all of that kind, short enough for a badge.
SHORT = (
    ("of the learning rate", "slower learning"), ("at once from there on", "smaller pieces"),
    ("computed again on the way back", "recomputed"), ("the CPU", "on the CPU"),
    ("a fit on", "little text"), ("steps since the last", "no bookmark"),
)  # fmt: skip


def badges_html(degraded: Sequence[Degraded]) -> str:
    """A badge for each kind of them, with the newest first, that unfolds to what was asked, what was done and why; one more has
    the other kinds. Empty where everything was done as asked. What is new is read out: the status line does not say it again."""
    kinds: dict[str, list[Degraded]] = {}
    for one in dict.fromkeys(reversed(degraded)):
        kinds.setdefault(short(one), []).append(one)
    of_kinds = list(kinds.items())
    html = "".join(_of_kind(*kind) for kind in of_kinds[:SHOWN])
    others = [one for _, of_kind in of_kinds[SHOWN:] for one in of_kind]
    if others:
        what = f"{len(others)} more that were done otherwise than asked"
        html += _badge(f"+{len(others)}", what, "".join(map(_told, others)))
    row = 'class="esp-badge-row" role="group" aria-label="Done otherwise than asked" aria-live="polite"'
    return f"<div {row}>{html}</div>" if html else ""


def short(one: Degraded) -> str:
    """A name for what was done, the same for all of its kind; in full where it is of none that is known."""
    return next((name for part, name in SHORT if part in one.did), one.did)


def _of_kind(name: str, of_kind: Sequence[Degraded]) -> str:
    many = len(of_kind)
    counted, what = (name, sentence_of(of_kind[0])) if many == 1 else (f"{name} ({many}×)", f"{name.capitalize()}, {many} times")
    return _badge(counted, what, "".join(map(_told, of_kind)))


def sentence_of(one: Degraded) -> str:
    """What was done, what was asked and why, in a sentence."""
    return f"{one.did[:1].upper()}{one.did[1:]} instead of {one.asked}: {one.why}."


def _badge(short: str, name: str, told: str) -> str:
    name = escape(name)
    summary = f'<summary title="{name}" aria-label="{name}"><span>{escape(short)}</span></summary>'
    return f'<details class="esp-badge" name="esp-badge">{summary}<div>{told}</div></details>'


def _told(one: Degraded) -> str:
    words = (("Asked", one.asked), ("Done", one.did), ("Why", one.why))
    return "<dl>" + "".join(f"<dt>{word}</dt><dd>{escape(said)}</dd>" for word, said in words) + "</dl>"
