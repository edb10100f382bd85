"""How the parts of a page stand in a window, asked of the browser; knows no part by its name."""

from pathlib import Path

from playwright.sync_api import Page

VIEWS = {
    "1440 light": (1440, 900, "light"), "1440 dark": (1440, 900, "dark"), "1024 light": (1024, 768, "light"),
    "1024 dark": (1024, 768, "dark"),
}  # fmt: skip
QUESTIONS = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")


def ask(page: Page, question: str) -> list:
    """The answer of one of the functions in layout.js."""
    return page.evaluate(f"{QUESTIONS}.{question}()")


def overlapping(boxes: list[list]) -> list[tuple[str, str]]:
    """The names of the boxes [name, left, top, right, bottom] that lie over each other, but for those inside another."""
    return [(a[0], b[0]) for number, a in enumerate(boxes) for b in boxes[number + 1 :] if _overlap(a, b)]


def _overlap(a: list, b: list) -> bool:
    """Whether two boxes overlap by more than a pixel and neither lies within the other."""
    wide, high = min(a[3], b[3]) - max(a[1], b[1]), min(a[4], b[4]) - max(a[2], b[2])
    return wide > 1 and high > 1 and not _inside(a, b) and not _inside(b, a)


def _inside(a: list, b: list) -> bool:
    return a[1] >= b[1] - 1 and a[2] >= b[2] - 1 and a[3] <= b[3] + 1 and a[4] <= b[4] + 1
