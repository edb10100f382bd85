"""Tests of engine/progress.py: the same events on a terminal and in a log."""

import io
import random
from dataclasses import replace

import pytest

from engine.progress import Progress
from engine.record.events import EVENTS, Compensated, Evaluated, ModelSaved, PlanMade, Residual, StepTrained, SuggestionMeasured
from engine.record.lifecycle import Degraded, MemoryEstimated, MemorySampled, Progressed, RunFinished, RunPaused
from tests.engine.record.examples import example


class Terminal(io.StringIO):
    """A stream that says of itself that somebody looks."""

    def isatty(self) -> bool:
        """Always."""
        return True


STORY = [
    Progressed("calibration", 1000, 2000, "tokens"),
    StepTrained("tuned", 3, 200, 2.5, 1e-3),
    Evaluated("tuned", 12.345, 100.0, 4000, "text", 32, "float32"),
    RunPaused(),
    Degraded("cuda", "cpu", "it broke"),
    StepTrained("tuned", 4, 200, 2.4, 1e-3),
]
LINES = ["perplexity tuned: 12.35   (text, 4,000 tokens, length 32, float32)", "instead of cuda: cpu, because it broke"]


def shown(stream: io.StringIO) -> str:
    """The story, shown to a stream."""
    progress = Progress(stream)
    for event in STORY:
        progress.show(event)
    progress.close()
    progress.close()
    return stream.getvalue()


def test_a_log_has_one_line_for_what_is_worth_one():
    """Nothing that passes, and no control characters."""
    assert shown(io.StringIO()).splitlines() == LINES


def test_a_terminal_has_one_line_that_is_overwritten():
    """Each passing number in place of the last; before a line that stays it is wiped, and at the end."""
    wipe = "\r\033[K"
    passing = [f"{wipe}  calibration 1,000 of 2,000 tokens", f"{wipe}  tuned step 3 of 200, loss 2.500"]
    wanted = "".join([*passing, wipe, LINES[0], "\n", LINES[1], "\n", f"{wipe}  tuned step 4 of 200, loss 2.400", wipe])
    assert shown(Terminal()) == wanted


@pytest.mark.parametrize("name", EVENTS)
def test_any_event_can_be_shown(name):
    """On one line or on none."""
    stream, draw = io.StringIO(), random.Random(name)
    event = example(EVENTS[name], draw)
    if name == "PlanMade":
        event = EVENTS[name]((), (1,), (2,), (0.1,), (0.1,), 1000, 800, "random")
    Progress(stream).show(event)
    assert stream.getvalue().count("\n") <= 1 + str(event).count("\\n")


def test_what_compensation_did_is_told_with_its_notes():
    """On one line."""
    stream = io.StringIO()
    residuals = (Residual(0, "attention", 1.0, 0.5, 2.0), Residual(0, "mlp", 1.0, 0.5, 2.0))
    Progress(stream).show(Compensated("sequential", 16384, residuals, ("2 had no bias.",)))
    assert stream.getvalue() == "compensated by sequential: 2 output projections fitted on 16,384 tokens. 2 had no bias.\n"


def test_what_does_not_fit_is_told_and_what_fits_is_not():
    """In gigabytes, before the command that needs them."""
    stream = io.StringIO()
    Progress(stream).show(MemoryEstimated("Tune", 5_100_000_000, 10**9, 6 * 10**9))
    assert stream.getvalue() == ""
    Progress(stream).show(MemoryEstimated("Tune", 5_100_000_000, 10**9, 3_200_000_000))
    assert stream.getvalue() == "Tune is expected to hold 5.1 GB of memory, and 3.2 GB is all there is\n"


def test_what_a_command_held_is_set_beside_what_was_expected():
    """Once for each command; a sample that follows no estimate, or that knows no peak, says nothing."""
    stream, sample = Terminal(), MemorySampled(10**8, 10**9, 2 * 10**9, None, None, 90_400_000)
    progress = Progress(stream)
    for event in (sample, MemoryEstimated("Score", 84_000_000, 10**7, 10**9), replace(sample, peak=None), sample, sample):
        progress.show(event)
    progress.close()
    before, after = "  Score: 84 MB of memory are expected", "  Score: 90 MB held at most, 84 were expected\n"
    assert stream.getvalue() == f"\r\033[K{before}\r\033[K{after}"


def test_sizes_are_told_with_thousands_apart():
    """What was saved, in bytes."""
    stream = io.StringIO()
    Progress(stream).show(ModelSaved("model", 1234567))
    assert stream.getvalue() == "saved: 1,234,567 bytes\n"


def test_a_round_and_what_was_promised_are_told_in_a_line():
    """Which round of how many, what groups made of the shares, and the promise beside what came of it."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.show(PlanMade((), (1,), (2,), (0.1,), (0.1,), 1000, 800, "random", notes=("So it is.",), round=1, rounds=3))
    progress.show(SuggestionMeasured(0.1, 0.1234))
    assert stream.getvalue().splitlines() == [
        "pruned by random, round 1 of 3: 1 head and 2 neurons closed, 80.0% of the parameters left. So it is.",
        "the loss rose by 0.123 nats per token; promised were 0.100",
    ]


def test_the_end_of_a_sweep_tells_why_cells_have_failed():
    """All reasons, each with its number of cells; a single one is told without."""
    stream = io.StringIO()
    progress = Progress(stream)
    failed = example(EVENTS["SweepCellDone"], random.Random(0))
    for reasons in (["No such file."] * 2, ["No such file.", "Too large.", "No such file."]):
        progress.show(replace(example(EVENTS["SweepStarted"], random.Random(0)), cells=4))
        for why in reasons:
            progress.show(replace(failed, error=why))
        progress.show(RunFinished())
    ends = [line for line in stream.getvalue().splitlines() if line.startswith(("2 of", "3 of"))]
    assert ends[0] == "2 of 4 cells failed: No such file."
    assert ends[1] == "3 of 4 cells failed: 2 cells: No such file. 1 cell: Too large."
