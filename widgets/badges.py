"""What was done otherwise than asked, as badges beside the buttons: HTML from events, and nothing that is not in them."""

from collections.abc import Sequence
from html import escape

from engine.record.lifecycle import Degraded

SHOWN = 2  # badges; the others are behind one more


def badges_html(degraded: Sequence[Degraded]) -> str:
    """A badge for each of the last of them, newest first, that unfolds to what was asked, what was done and why; one more has
    the others. Empty where everything was done as asked."""
    each = list(dict.fromkeys(reversed(degraded)))
    shown, others = each[:SHOWN], each[SHOWN:]
    html = "".join(_badge(one.did, _sentence(one), _told(one)) for one in shown)
    if others:
        what = f"{len(others)} more that were done otherwise than asked"
        html += _badge(f"+{len(others)}", what, "".join(map(_told, others)))
    return f'<div class="esp-badge-row" role="group" aria-label="Done otherwise than asked">{html}</div>' if html else ""


def _badge(short: str, name: str, told: str) -> str:
    name = escape(name)
    summary = f'<summary title="{name}" aria-label="{name}"><span>{escape(short)}</span></summary>'
    return f'<details class="esp-badge" name="esp-badge">{summary}<div>{told}</div></details>'


def _told(one: Degraded) -> str:
    words = (("Asked", one.asked), ("Done", one.did), ("Why", one.why))
    return "<dl>" + "".join(f"<dt>{word}</dt><dd>{escape(said)}</dd>" for word, said in words) + "</dl>"


def _sentence(one: Degraded) -> str:
    return f"{one.did[:1].upper()}{one.did[1:]} instead of {one.asked}: {one.why}."
