"""What happens in a run, as it happens, in lines on a terminal or in a log; keeps nothing but the line it may overwrite."""

from typing import TextIO

from engine.record import events as tell
from engine.record.errors import counted, every_reason
from engine.record.lifecycle import Degraded, MemoryEstimated, MemorySampled, Progressed, RunFinished
from engine.record.spread import as_perplexity


class Progress:
    """Prints events to a stream; on a terminal, passing numbers overwrite one line, in a log they are left out."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.live = stream.isatty()
        self.dirty = False
        self._expected: MemoryEstimated | None = None  # of the command in hand
        self._cells, self._failed = 0, []  # of the sweep in hand: how many there are, and what those that failed did so for

    def show(self, event: tell.Event) -> None:
        """Print what an event says, if it is worth a line."""
        match event:
            case Progressed():
                self._pass(f"  {event.what} {event.done:,} of {event.total:,} {event.unit}")
            case tell.StepTrained():
                self._pass(f"  {event.arm} step {event.step} of {event.steps}, loss {event.loss:.3f}")
            case MemoryEstimated() if event.fits:
                self._expected = event
                self._pass(f"  {event.command}: {event.total / 1e6:,.0f} MB of memory are expected")
            case MemorySampled(peak=int(most)) if self._expected is not None:
                expected, self._expected = self._expected, None
                self._print(f"  {expected.command}: {most / 1e6:,.0f} MB held at most, {expected.total / 1e6:,.0f} were expected")
            case RunFinished() if self._failed:
                self._print(f"{len(self._failed):,} of {counted(self._cells, 'cell')} failed: {every_reason(self._failed)}")
            case _ if line := _line(event):
                self._print(line)
        match event:
            case tell.SweepStarted():
                self._cells, self._failed = event.cells, []
            case tell.SweepCellDone(error=str(why)):
                self._failed.append(why)

    def close(self) -> None:
        """Leave the line that was being overwritten."""
        if self.dirty:
            print("\r\033[K", end="", file=self.stream, flush=True)
        self.dirty = False

    def _print(self, line: str) -> None:
        self.close()
        print(line, file=self.stream, flush=True)

    def _pass(self, text: str) -> None:
        if self.live:
            print(f"\r\033[K{text}", end="", file=self.stream, flush=True)
            self.dirty = True


def _line(event: tell.Event) -> str | None:
    match event:
        case tell.ModelLoaded():
            units = f"{counted(sum(event.heads), 'head')}, {counted(sum(event.neurons), 'neuron')}"
            return f"{event.model}: {event.parameters:,} parameters, {units}, on {event.device}"
        case tell.CorpusLoaded():
            return (
                f"{event.corpus}: {event.calibration_tokens:,} tokens to calibrate on, {event.evaluation_tokens:,} to evaluate on"
            )
        case tell.SweepStarted():
            left = f"{event.done:,} of {event.cells:,} cells are done" if event.done else f"{event.cells:,} cells"
            return f"{left}; at most {event.memory / 1e6:,.0f} MB are kept of what they share"
        case tell.SweepCellDone():
            what = ", ".join(f"{name}={value}" for name, value in {**event.set, "seed": event.seed}.items())
            came = f"perplexity {as_perplexity(event.perplexity)}" if event.error is None else f"failed: {event.error}"
            return f"{what}: {came}   ({event.seconds:.1f} s)"
        case tell.SweepBestFound():
            what = ", ".join(f"{name}={value}" for name, value in event.set.items())
            found = f"perplexity {as_perplexity(event.perplexity)} with {event.parameters:,} parameters"
            return f"best of {event.fit:,} cells that fit, after {event.measured:,} measurements: {what}: {found}"
        case tell.RoundBegan():
            return f"round {event.round} of {event.rounds}: {event.level:.1%} of the level"
        case tell.TrainingResumed():
            return f"  {event.arm} goes on after {counted(event.step, 'step')}, from a bookmark"
        case tell.RoundRefused():
            above = f"validation perplexity {as_perplexity(event.perplexity)}, above {as_perplexity(event.guard)}"
            return f"round {event.round} of {event.rounds} is undone: {above}"
        case tell.WentBack():
            return f"  {event.arm} ends as it was after {event.step} of {counted(event.made, 'step')}: {event.why}"
        case tell.PlanMade():
            gone = f"{counted(sum(event.head_counts), 'head')} and {counted(sum(event.neuron_counts), 'neuron')}"
            left = f"{event.parameters_after / event.parameters_before:.1%} of the parameters left"
            when = f", round {event.round} of {event.rounds}" if event.rounds > 1 else ""
            return " ".join((f"pruned by {event.criterion}{when}: {gone} closed, {left}.", *event.notes))
        case tell.Suggested():
            rise = f"the loss should rise by {event.rise:.3f} nats per token, with uniform shares by {event.uniform:.3f}"
            return f"suggested by {event.by}, damage {event.damage}: {rise}"
        case tell.SuggestionMeasured():
            return f"the loss rose by {event.measured:.3f} nats per token; promised were {event.promised:.3f}"
        case tell.Compensated():
            projections = f"{counted(len(event.residuals), 'output projection')} fitted on {event.tokens:,} tokens"
            return " ".join((f"compensated by {event.method}: {projections}.", *event.notes))
        case tell.Evaluated():
            how = f"{event.corpus}, {event.tokens:,} tokens, length {event.sequence_length}, {event.dtype}"
            return f"perplexity {event.stage}: {as_perplexity(event.perplexity)}   ({how})"
        case tell.Validated():
            return f"  {event.arm} after {counted(event.step, 'step')}: validation loss {event.loss:.3f}"
        case tell.ModelCut():
            return f"cut: {event.parameters_before:,} → {event.parameters_after:,} parameters"
        case tell.ModelSaved():
            return f"saved: {event.size:,} bytes"
        case MemoryEstimated() if not event.fits:
            needed, there = event.total / 1e9, event.available / 1e9
            return f"{event.command} is expected to hold {needed:,.1f} GB of memory, and {there:,.1f} GB is all there is"
        case Degraded():
            return f"instead of {event.asked}: {event.did}, because {event.why}"
    return None
