"""Drives the dashboard by the words that are on it, as a person would; knows no widget, no command and no test."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psutil
from playwright.sync_api import Locator, Page, expect

from engine.record.folder import list_runs
from engine.record.lock import is_alive, read_lock
from engine.record.recipe import Recipe
from tests.browser.harness import PATIENCE, ROOT, Server, serve

# Everything as the page has it, on little text and few steps.
SMALL = Recipe.model_validate(
    {
        "heads": {"level": 0.3},
        "neurons": {"level": 0.3, "shape": "uniform"},
        "calibration": {"tokens": 1024, "sequence_length": 128},
        "evaluation": {"tokens": 1024, "sequence_length": 128},
        "tuning": {"steps": 12, "batch_size": 2, "sequence_length": 64},
    }
)
CROSS = "stroke: rgb(213, 94, 0)"  # the colour that marks what is closed, or would be
READY, PRUNED, RECOVERED = "Ready.", "Pruned: perplexity went", "Recovered"


@dataclass(frozen=True)
class Dashboard:
    """One open page of the dashboard."""

    page: Page

    @property
    def status(self) -> Locator:
        """The line that says what is being done."""
        return self.page.get_by_role("status")

    @property
    def draft(self) -> Locator:
        """The line that says what the controls would do."""
        return self.page.locator(".esp-draft")

    @property
    def run(self) -> str:
        """The name of the run on the page, as its address gives it."""
        return parse_qs(urlsplit(self.page.url).query)["run"][0]

    def card(self, name: str) -> Locator:
        """The card of a chart or a panel, by its heading."""
        return self.page.locator(".esp-card", has=self.page.get_by_role("heading", name=name, exact=True))

    def button(self, name: str) -> Locator:
        """A button by its words."""
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, name: str) -> None:
        """Press a button, as soon as it can be pressed."""
        self.button(name).click()

    def slider(self, label: str) -> Locator:
        """A slider with its label and its number."""
        return self.page.locator(".widget-slider", has=self.page.get_by_text(label, exact=True))

    def value(self, label: str) -> float:
        """The number beside a slider."""
        return float(self.slider(label).locator(".widget-readout").inner_text())

    def move(self, label: str, value: float) -> None:
        """Set a slider by writing the number beside it."""
        number = self.slider(label).locator(".widget-readout")
        number.fill(str(value))
        number.press("Enter")

    def choose(self, label: str, option: str) -> None:
        """Choose an entry of a menu."""
        self.page.get_by_label(label, exact=True).select_option(option)

    def write(self, label: str, text: str, within: Locator | None = None) -> None:
        """Fill in a field and leave it; `within` a card, where its label is on the page twice."""
        field = (within or self.page).get_by_label(label, exact=True)
        field.fill(text)
        field.press("Enter")

    def says(self, words: str) -> None:
        """Wait until the status line says these words."""
        expect(self.status).to_contain_text(words, timeout=PATIENCE)

    def said(self, name: str) -> str:
        """What a card says, its white space made plain."""
        return " ".join(self.card(name).inner_text().split())

    def shows(self, name: str, pattern: str) -> None:
        """Wait until a card says words that match a regular expression, in whatever case."""
        self.until(lambda: re.search(pattern, self.said(name), re.IGNORECASE) is not None, f"{name} to say {pattern}")

    def counts(self) -> tuple[int, int]:
        """The heads and neurons that Prune would take, as the line under the status says; (0, 0) where it says nothing."""
        found = re.search(r"take ([\d,]+) of [\d,]+ heads and ([\d,]+) of", self.draft.inner_text())
        return (_number(found[1]), _number(found[2])) if found else (0, 0)

    def closed(self) -> int:
        """How many heads the map says are closed."""
        return int(re.search(r"(\d+) of \d+ heads? closed", self.card("Importance of heads").inner_text())[1])

    def steps(self, of: str = "the pruned model") -> int:
        """The step of the recovery that the status line names, of one of its two models; -1 where it names none."""
        found = re.search(rf"{of}[^:]*: step ([\d,]+) of", self.status.inner_text())
        return _number(found[1]) if found else -1

    def crosses(self) -> int:
        """How many heads the map has crossed out: a cross is two strokes."""
        styled = [(path, path.get_attribute("style") or "") for path in self.page.locator(".esp-importance path.line").all()]
        crosses = [path for path, style in styled if CROSS in style and "dasharray: none" in style]  # frames are dashed
        return sum((path.get_attribute("d") or "").count("M") for path in crosses) // 2

    def perplexities(self) -> dict[str, float | None]:
        """The perplexity that the chart's line of words gives for each stage; None for "not measured"."""
        words = self.card("Perplexity by stage").locator(".esp-says").inner_text().lower()
        found = re.findall(r"(baseline|pruned|recovered|control|cut) (not measured|[\d.,]+\d)", words)
        return {stage: None if value == "not measured" else float(value.replace(",", "")) for stage, value in found}

    def until(self, true: Callable[[], bool], what: str, seconds: float = PATIENCE / 1000) -> float:
        """Ask the page again and again until `true()`; the seconds it took. The page goes on meanwhile."""
        start = time.monotonic()
        while not true():
            assert time.monotonic() - start < seconds, f"waited {seconds} s for {what}; the page says: {self.status.inner_text()}"
            self.page.wait_for_timeout(30)
        return time.monotonic() - start

    def words(self) -> dict[str, list[str]]:
        """The words of every card, sorted, since the browser keeps an axis's in no order; and of the lines above them.

        Not those of what changes by itself: the memory in use, and the runs that there are.
        """
        names = [heading.inner_text() for heading in self.page.get_by_role("heading", level=2).all()]
        said = {name: sorted(self.said(name).split()) for name in names if name not in ("Memory", "Runs", "All runs")}
        return said | {"status": [self.status.inner_text()], "draft": [self.draft.inner_text()]}

    def controls(self) -> dict[str, object]:
        """What the sliders, menus and fields of the form say."""
        sliders = ("Heads", "Neurons", "Steepness", "Front", "Middle", "Back")
        fields = ("Model", "Text", "Criterion", "Shape", "Recovery steps", "Prompt")
        found = {label: self.page.get_by_label(label, exact=True).input_value() for label in fields}
        return {**{label: self.value(label) for label in sliders}, **found}


def address(server: Server, recipe: Recipe = SMALL, **more: str) -> str:
    """The page's address with a recipe in it, and whatever else."""
    return f"{server.address}?" + "&".join(
        f"{name}={quote(text)}" for name, text in {"recipe": recipe.model_dump_json(), **more}.items()
    )


def supervisor(run: Path) -> psutil.Process | None:
    """The process that holds a run, if one does; None for a run that stands still, which the tests hold themselves."""
    holder = read_lock(run)
    if holder is None or holder["pid"] == os.getpid() or not is_alive(holder):
        return None
    return psutil.Process(holder["pid"])


@contextmanager
def serve_dashboard(scratch: Path, threads: int | None = 1) -> Iterator[Server]:
    """The dashboard as `make dashboard` serves it. Its workers, which outlive pages and server by design, end after it."""
    try:
        with serve(ROOT, scratch, threads=threads) as server:
            yield server
    finally:  # not sooner: a page that is being closed would wake them again
        for process in map(supervisor, list_runs(scratch / "espalier_home" / "runs")):
            if process is not None:
                process.terminate()
                process.wait(30)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
