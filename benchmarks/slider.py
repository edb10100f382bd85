"""How soon the page answers while a recovery runs at full speed: the time from a slider's movement to the counts of what would
go, as the browser shows them, at the 95th percentile; and how much that slows the recovery, in seconds a step by the run's own
events, with the slider moving and with it at rest, in turn: the median of the ratios of neighbours. The slider moves about three
times a second, as a hand does.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Row
from engine.record.events import StepTrained
from engine.record.folder import read_events
from engine.record.recipe import Tuning
from tests.browser import driving
from tests.browser.harness import chromium, find_chromium, visit

RECIPE = driving.SMALL.model_copy(update={"tuning": Tuning()})  # little to read beforehand; then the steps of the default recipe
ROUNDS = 10  # of so many seconds at rest and as many with the slider moving
SECONDS = 6.0
PAUSE = 0.25
# Moves the slider by one step of the keyboard again and again, all in the page: a question from outside would add its own way
# there and back, and its own work. It waits each time until the line about what would go has changed. The page tells of the
# change: looking at every frame would have the browser make frames, on the processor whose time is measured.
MOVE = """async ([label, seconds, pause]) => {
  const named = each => each.querySelector('.widget-label').innerText.trim() === label;
  const handle = [...document.querySelectorAll('.esp .widget-slider')].find(named).querySelector('.noUi-handle');
  const line = () => document.querySelector('.esp-draft')?.textContent;
  const move = key => new Promise(done => {
    const before = line(), start = performance.now();
    const change = new MutationObserver(() => {
      if (line() === before) return;
      change.disconnect();
      requestAnimationFrame(() => done((performance.now() - start) / 1000));
    });
    change.observe(document.querySelector('.esp-transport'), {childList: true, subtree: true, characterData: true});
    handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
  });
  const answers = [], end = performance.now() + 1000 * seconds;
  while (performance.now() < end) {
    answers.push(await move(answers.length < 10 ? 'ArrowRight' : 'ArrowLeft'));
    await new Promise(done => setTimeout(done, 1000 * pause));
  }
  return answers;
}"""


def measure() -> Iterator[Row]:
    """Seconds from a movement to the counts at the 95th percentile, and the recovery's step over one with nobody at the page."""
    with tempfile.TemporaryDirectory() as scratch, chromium(find_chromium()) as browser:
        with driving.serve_dashboard(Path(scratch), threads=None) as server:
            with visit(browser, driving.address(server, RECIPE)) as seen:
                board = driving.Dashboard(seen.page)
                board.says(driving.READY)
                board.press("Prune")
                board.says(driving.PRUNED)
                board.write("Recovery steps", "1000000")
                board.press("Recover")
                board.says("Recovering the pruned model: step")
                answers, spans = _alternate(board)
                steps = _steps(server.home / "runs" / board.run)
    answered = statistics.quantiles(answers, n=20)[-1]
    yield Row("Slider to preview counts while a recovery runs, 95th percentile", answered, "s", 0.25)
    rest, moving = ([_pace(steps, span) for each, span in spans if each == kind] for kind in ("at rest", "moving"))
    # Neighbours only are compared: over minutes the pace of a machine changes by more than what is measured here.
    slower = statistics.median(late / early for early, late in zip(rest, moving, strict=True))
    usual = statistics.median(rest)
    yield Row("A recovery's step while the slider moves", slower * usual, "s", 1.05, usual, "with the slider at rest")


def _alternate(board: driving.Dashboard) -> tuple[list[float], list[tuple[str, tuple[float, float]]]]:
    """How long each answer took, and when the slider was at rest and when it moved, in seconds since the epoch."""
    answers, spans = [], []
    for _ in range(ROUNDS):
        start = time.time()
        board.page.wait_for_timeout(1000 * SECONDS)
        spans.append(("at rest", (start, time.time())))
        start = time.time()
        answers += board.page.evaluate(MOVE, ["Neurons", SECONDS, PAUSE])
        spans.append(("moving", (start, time.time())))
    return answers, spans


def _steps(folder: Path) -> list[float]:
    """When each training step of a run was done."""
    return [line.at for line in read_events(folder) if isinstance(line.fact, StepTrained)]


def _pace(steps: list[float], span: tuple[float, float]) -> float:
    """The mean seconds between two steps within a span of time."""
    start, end = span
    within = [at for at in steps if start <= at <= end]
    return (within[-1] - within[0]) / (len(within) - 1)
