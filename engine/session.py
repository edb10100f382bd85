"""Drives a workbench through what is asked of a run, one command after another, answering pause, step and stop in between.

Whatever the workbench yields is passed on as it is. `serve` goes on for as long as somebody asks; `run` carries out one
recipe from start to end. Knows nothing of processes and of what the commands do.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch

from engine.failures import Shortage, first_fatal, in_a_line, is_fatal, telling_shortage
from engine.inbox import Inbox
from engine.record import commands as ask
from engine.record.bookmark_names import release
from engine.record.catalogue import version
from engine.record.claim import Claim
from engine.record.disk import Unwritten, telling_full
from engine.record.errors import AcceleratorLost, Away, BadInput, PeerLost
from engine.record.events import ENDS, Event, TrainingResumed
from engine.record.folder import Writer
from engine.record.lifecycle import (
    SHELTER,
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    Degraded,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
)
from engine.record.line import Unreadable
from engine.record.recipe import Recipe
from engine.record.whole_runs import begin, end_of
from engine.recovery.ranks import left_alone, ranks
from engine.recovery.stepper import Diverged
from engine.watching import watched
from engine.workbench import Workbench

NAP = 0.02  # seconds between two looks at an empty inbox: a held run answers within this
FIRST, LAST = 1.0, 60.0  # seconds between two tries where the disk takes no more: twice as long after each
# Events that are no step of their own when a held run is asked for one.
PASSING = ("Progressed", "Validated", "MemoryEstimated", "Degraded", "TuningStarted", "TrainingResumed")


def carry_out(bench: Workbench, line: int, command: ask.Command, inbox: Inbox, nap: Callable[[float], None]) -> Iterator[Event]:
    """One command from start to end; holds are answered between any two of its events.

    What another process had begun hears no hold before it is where that one was: a recovery that is stopped keeps the steps that
    its bookmark has. A preview gives way to whatever is asked after it. Raises `Unwritten` where the disk takes no more in a run
    that is one recipe and that lasts, and `Away` where what it began with cannot be read again: it can go on once that is mended.
    """
    name, inbox.in_hand = type(command).__name__, command
    yield CommandStarted(line, name)
    events, held, steps = bench.handle(command), inbox.is_held(line), 0
    finds_its_place = isinstance(command, ask.Tune) and inbox.is_taken_up(line)
    if held:
        yield RunPaused()
    try:
        while True:
            inbox.look()
            match None if finds_its_place else inbox.hold(line):
                case ask.Stop():
                    events.close()
                    yield from _after_end(bench, command, "stopped")
                    yield CommandStopped(line, name)
                    return
                case ask.Pause() if not held:
                    held, steps = True, 0
                    yield RunPaused()
                case ask.Resume() if held:
                    held = False
                    yield RunResumed()
                case ask.Step() if held:
                    steps += 1
                case _ if isinstance(command, ask.Preview) and inbox.waiting:
                    yield CommandStopped(line, name)
                    return
            if held and not steps:
                nap(NAP)
                continue
            with telling_shortage(name), telling_full(f"What {name} makes"):
                event = next(events)
            yield event
            finds_its_place = finds_its_place and type(event).__name__ in PASSING and not isinstance(event, TrainingResumed)
            if held and type(event).__name__ not in PASSING:
                steps -= 1
    except StopIteration:
        yield CommandFinished(line, name)
    except Unwritten as error:
        if inbox.whole and inbox.lasts:
            raise
        yield CommandRefused(line, name, error.field, str(error))
    except BadInput as error:
        if isinstance(error, Away) and inbox.whole and inbox.lasts:
            raise
        how = "out of memory" if isinstance(error, Shortage) else "diverged" if isinstance(error, Diverged) else "failed"
        yield from _after_end(bench, command, how)
        yield CommandRefused(line, name, error.field, str(error))
    finally:
        events.close()


def _after_end(bench: Workbench, command: ask.Command, how: str) -> Iterator[Event]:
    try:
        yield from bench.after_end(command, how)
    except Unwritten as error:  # bookmarks stay: asked again, a recovery goes on from them
        yield Degraded("a checkpoint of what was learnt", "the model as it was before", error.why)


def serve(
    bench: Workbench,
    inbox: Inbox,
    stay: Callable[[], bool],
    *,
    waits: bool = False,
    nap: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Carry out what is asked until `Finish` comes, or until nothing waits and `stay()` says that nobody needs this any more.

    In a run that is one recipe a refused command fails the run and a stopped one ends it. Where the disk takes no more there, or
    the model's files are away, what was in hand is done again until that is over, or until the run is stopped, if this `waits`;
    else `Unwritten` or `Away` is raised, and another process can go on.
    """
    short, pause = -1, FIRST  # the line of the command that waits
    while True:
        stamped = inbox.next()
        while inbox.dropped and not (stamped is not None and inbox.is_taken_up(stamped.seq)):
            gone = inbox.dropped.popleft()
            yield CommandStopped(gone.seq, type(gone.fact).__name__)
            if inbox.whole:
                yield RunStopped()
                return
        if stamped is None:
            if not stay():
                return
            nap(NAP)
            continue
        if isinstance(stamped.fact, Unreadable):
            refused = CommandRefused(stamped.seq, stamped.fact.name, stamped.fact.field, stamped.fact.reason)
            yield refused
            if inbox.whole:
                yield end_of(refused)
                return
            continue
        if isinstance(stamped.fact, ask.Finish):
            yield RunFinished()
            return
        try:
            for event in carry_out(bench, stamped.seq, stamped.fact, inbox, nap):
                yield event
                if inbox.whole and (end := end_of(event)) is not None:
                    yield end
                    return
        except (Unwritten, Away) as error:
            if short != stamped.seq:
                did = f"a wait for {error.awaits}" if waits else "nothing until it is resumed"
                yield Degraded(f"going on with {type(stamped.fact).__name__}", did, error.why)
                short, pause = stamped.seq, FIRST
            if not waits:
                raise
            inbox.waiting.appendleft(stamped)
            for _ in range(round(pause / NAP)):
                nap(NAP)
                inbox.look()
                if inbox.dropped:
                    break
            pause = min(2 * pause, LAST)


def run(recipe: Recipe, folder: Path | str | None = None) -> Iterator[Event]:
    """Carry out a recipe in this process, yielding each event as it happens.

    In a folder, when one is given, everything is written down as well, the smaller model too, and any page can follow, pause,
    step and stop the run.
    The last event is `RunFinished`, `RunStopped` or `RunFailed`; a recipe that turns out impossible (no such file, no causal
    language model) ends with the latter. Raises `BadInput` at once for a folder that holds a run already, `Unwritten` where the
    disk takes no more, `Away` where the model's files cannot be read again, and `AcceleratorLost`. The run in the folder is not
    over then, nor where whoever asks for the events leaves: it can be resumed from its last checkpoint, a training from its last
    bookmark.
    """
    others = ranks().others_here()
    if ranks().number:  # of several processes the first writes everything down; the others are needed for training alone
        recipe, folder = recipe.model_copy(update={"cut": False}), None
    commands = ask.commands_of(recipe)
    if folder is None:
        nowhere_to_save = (*(each for each in commands if not isinstance(each, ask.Save)), ask.Finish(whole=True))
        return _run(recipe, Workbench(None, recipe), Inbox(nowhere_to_save), len(nowhere_to_save))
    return run_commands(recipe, commands, Path(folder), others)


def run_commands(recipe: Recipe, commands: Iterable[ask.Command], folder: Path, others: Sequence[int] = ()) -> Iterator[Event]:
    """Carry out these commands in place of a recipe's own, and end the run, as `run` does in a folder; the page has the recipe in
    its controls. `others`: the process ids of those on this machine that train along with this one."""
    asked = (*commands, ask.Finish(whole=True))
    claim = begin(recipe, folder, asked)
    claim.beat(others=list(others))
    events = _run(recipe, Workbench(folder, recipe), Inbox(folder=folder), len(asked))
    return written(claim, watched(events, torch), lasts=True)


def carried_out(bench: Workbench, commands: Iterable[ask.Command]) -> Iterator[Event]:
    """Carry out these commands on a workbench that stays, as a run without a folder does; the last event is `RunFinished`, or
    `RunFailed` where one was refused. Errors that are nobody's refusal are raised."""
    yield from serve(bench, Inbox((*commands, ask.Finish(whole=True))), lambda: False)


def _run(recipe: Recipe, bench: Workbench, inbox: Inbox, asked: int) -> Iterator[Event]:
    failed = False
    try:
        yield RunStarted(recipe.model_dump(mode="json"), version(), asked, torch.get_num_threads())
        if (told := left_alone()) is not None:
            yield told
        yield from serve(bench, inbox, lambda: False)
    except (Unwritten, Away):
        raise
    except PeerLost:
        yield Degraded("going on with the training", "nothing until it is resumed", "another of its processes was lost")
        raise
    except Exception as error:
        # Whatever it was, the record of the run ends with it; the error itself goes on to whoever called.
        if is_fatal(error):
            why = first_fatal(error)
            if not inbox.lasts:
                yield RunFailed(f"The accelerator failed ({why}); run it again, or with device=cpu.")
                raise
            device = bench.desk.device if bench.desk is not None else recipe.device
            yield Degraded(device, SHELTER, f"the accelerator failed ({why})")
            failed = True  # nothing in this process may touch it any more
            raise AcceleratorLost(why) from error
        try:
            yield from _after_end(bench, inbox.in_hand, "failed")
        except (RuntimeError, MemoryError, OSError, ValueError) as further:  # as likely as not the same
            yield Degraded("the perplexity of what was kept", "none", in_a_line(further))
        yield RunFailed(in_a_line(error))
        raise
    finally:
        if not failed:
            bench.close()


def written(claim: Claim, events: Iterator[Event], passing: tuple[type, ...] = (), lasts: bool = False) -> Iterator[Event]:
    """The same events, each written into the claimed folder as it comes, but for the classes in `passing`; at the end the claim
    is given up. Whoever leaves before that, by Ctrl-C or by leaving the loop, has stopped what happens
    there, unless it `lasts`. Raises `Unwritten` where the disk takes no more."""
    writer, last, full = Writer(claim.folder / "events.jsonl"), None, False
    try:
        for last in events:
            claim.beat()
            try:
                with telling_full("What happens in the run"):
                    if not isinstance(last, passing):
                        writer.append(last)
            except Unwritten:
                full = True
                raise
            yield last
    finally:
        events.close()
        if not isinstance(last, ENDS) and not full and not lasts:
            writer.append(RunStopped())
        if isinstance(last, ENDS) and not full:
            release(claim.folder)
        writer.close()
        claim.release()
