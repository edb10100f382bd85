"""The command line: models, run, sweep, experiment, runs, show, export; from what was typed to recipes, from events to words.

Exit status: 0 finished, 1 failed or stopped (one line says why), 2 a bad recipe or a bad argument.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from engine.progress import Progress
from engine.record.beforehand import check_beforehand
from engine.record.by_name import discard, folder_of, resume, stop
from engine.record.catalogue import EXPERIMENTS, check_model, models
from engine.record.claim import is_held
from engine.record.client import Client, is_waiting, open_run
from engine.record.disk import Unwritten, telling_full
from engine.record.errors import AcceleratorLost, Away, BadInput, PeerLost, shorten
from engine.record.events import Event
from engine.record.experiment_folder import default_folder
from engine.record.folder import home, is_over, name_for
from engine.record.lifecycle import CommandRefused, CommandStarted, RunFailed, RunFinished
from engine.record.live import live_runs, live_sweeps
from engine.record.lock import stopped_process
from engine.record.memory import keep_freed
from engine.record.recipe_file import read_recipe, read_text
from engine.record.scale import FORMS, durations
from engine.record.sweep import parse_sweep
from engine.record.sweep_folder import is_sweep, open_sweep
from engine.summary import as_table, in_words, summary, sweep_summary
from engine.watching import suit


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say and return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        does = {"models": list_models, "run": run_recipe, "sweep": run_sweep, "runs": list_live, "show": show_run}
        does |= {"experiment": run_experiment, "export": export_run}
        return does[given.command](given)
    except BadInput as error:
        return fail(str(error), 2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine", description="Prune a transformer, see what it costs, train it back."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listed = commands.add_parser("models", help="the catalogue: name, family, parameters, source, ready offline?")
    listed.add_argument("--json", action="store_true", help="as one JSON list")
    ran = commands.add_parser("run", help="carry out a recipe to its end; progress goes to stderr")
    ran.add_argument("recipe", metavar="RECIPE.json", help="a recipe; - reads it from standard input")
    ran.add_argument("--folder", type=Path, help="the run folder to make (default: a new one under ESPALIER_HOME/runs or runs/)")
    ran.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="change fields: neurons.level=0.5"
    )
    swept = commands.add_parser("sweep", help="carry out many recipes that differ in a few fields; progress goes to stderr")
    swept.add_argument("sweep", metavar="SWEEP.json", help="a recipe, axes, a mode and seeds; - reads them from standard input")
    swept.add_argument("--folder", type=Path, help="the folder to make, or one in which this sweep was begun: it goes on")
    swept.add_argument(
        "--memory", type=int, metavar="MB", help="the most to keep of what cells share (a quarter of what is free, at most 4000)"
    )
    tried = commands.add_parser("experiment", help="answer a question about pruning by measuring; without NAME: which there are")
    tried.add_argument("name", metavar="NAME", nargs="?", help="one of those that are listed without it")
    tried.add_argument("--model", default="gpt2-tiny", help="a catalogue name, a hub id or a folder (default: gpt2-tiny)")
    tried.add_argument("--form", choices=FORMS, default="short", help=f"{durations()} with a built-in model")
    tried.add_argument("--folder", type=Path, help="the folder to make, or one in which it was begun: it goes on")
    for doing in (swept, tried):
        doing.add_argument(
            "--scheduler",
            metavar="WHERE",
            help="do the cells in a Dask cluster: local:2 for two processes here, or tcp://HOST:PORT",
        )
    living = commands.add_parser("runs", help="the runs and sweeps that are not over: state, model, since when, awake?, where")
    living.add_argument("--json", action="store_true", help="as one JSON list")
    living.add_argument("--all", action="store_true", help="those that are over as well")
    told = living.add_mutually_exclusive_group()
    told.add_argument(
        "--stop", metavar="NAME", help="give up what this run or sweep is doing and what waits in it (a name, or a folder)"
    )
    told.add_argument("--resume", metavar="NAME", help="have this run or sweep go on: paused, or left before it was done")
    told.add_argument(
        "--discard", metavar="NAME", help="delete this run or sweep and its folder for good, once that is confirmed"
    )
    living.add_argument("--yes", action="store_true", help="confirm --discard without being asked")
    shown = commands.add_parser("show", help="what a run or a sweep did")
    shown.add_argument("folder", type=Path, metavar="DIR")
    shown.add_argument("--json", action="store_true", help="as one JSON object")
    taken = commands.add_parser("export", help="write the smaller model of a run for other programs")
    taken.add_argument("run", type=Path, metavar="DIR", help="a run folder")
    taken.add_argument("folder", type=Path, metavar="OUT", help="the folder to make")
    taken.add_argument(
        "--dense", action="store_true", help="in the shapes of the dense model, zeros where units went, for plain transformers"
    )
    return parser


def list_models(given: argparse.Namespace) -> int:
    """Print the catalogue."""
    if given.json:
        print(json.dumps([asdict(model) for model in models()], indent=2))
        return 0
    print(f"{'name':<24} {'family':<10} {'parameters':>12}  {'heads':<14} {'source':<9} ready offline")
    for model in models():
        heads = f"{model.heads}" if model.groups == model.heads else f"{model.heads} in {model.groups} groups"
        ready = "yes" if model.ready else f"needs {model.needs}"
        print(f"{model.name:<24} {model.family:<10} {model.parameters:>12,}  {heads:<14} {model.source:<9} {ready}")
    return 0


def run_recipe(given: argparse.Namespace) -> int:
    """Carry a recipe out in this process."""
    recipe = read_recipe(given.recipe, given.set)
    check_beforehand(recipe)
    from engine.recovery.ranks import ranks  # these bring in torch, which a bad recipe need not wait for
    from engine.session import run

    folder = given.folder or home() / name_for(recipe)
    events = run(recipe, folder) if ranks().count > 1 else _sheltered(run(recipe, folder), folder)
    return follow(events, folder, says=ranks().number == 0, lasts=True)  # of several processes one speaks


def _sheltered(events: Iterator[Event], folder: Path) -> Iterator[Event]:
    """The events of a run, and where its accelerator fails those of a worker that goes on with it on the CPU."""
    try:
        yield from events
    except AcceleratorLost:
        yield from Client(folder).follow()


def run_sweep(given: argparse.Namespace) -> int:
    """Carry a sweep out in this process, or go on with it."""
    asked = parse_sweep(read_text(given.sweep, "sweep"))
    from engine.sweeps.sweeping import sweep

    folder = given.folder or home() / name_for(next(cell.recipe for cell in asked.cells if cell.recipe is not None))
    memory = None if given.memory is None else given.memory * 10**6
    return follow(sweep(asked, folder, memory, given.scheduler), folder)


def run_experiment(given: argparse.Namespace) -> int:
    """Carry an experiment out in this process, or go on with it; print its answer, its table, and where its files are."""
    from engine.experimenting import experimenting, gathered
    from engine.results.outcome import in_words, keep, title_of

    if given.name is None:
        for name in EXPERIMENTS.names():
            print(f"{name:<20} {title_of(name)}")
        return 0
    EXPERIMENTS.entry(given.name)
    asked = given.name, check_model(given.model), given.form
    folder = given.folder or default_folder(*asked)
    status = follow(experimenting(*asked, folder, given.scheduler), folder)
    result = gathered(*asked, folder)
    if result.done:
        print(f"\n{in_words(result)}\n")
        try:
            with telling_full("The result"):
                files, lacking = keep(result, folder)
        except Unwritten as error:
            return fail(str(error), 1)
        print(*files, sep="\n")
        if lacking:
            print(lacking, file=sys.stderr)
    return status


def follow(events: Iterator[Event], folder: Path, says: bool = True, lasts: bool = False) -> int:
    """Have events happen to their end, show them on stderr, print the folder, and return the exit status. `lasts`: what is
    interrupted is a run that a worker can go on with.

    A recovery is given up by all processes at once. The status is the first one's then: another one that failed before that has
    written down why would have their launcher stop it.
    """
    if not lasts:  # of a run it is told what each command will take
        keep_freed()
    progress, last, refused = Progress(sys.stderr), None, ""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an end that is asked for is the same, whoever asks
    try:
        for last in events:
            match last:
                case CommandStarted() if lasts:
                    suit(last)
                case CommandRefused():
                    refused = last.name
            if says:
                progress.show(last)
    except KeyboardInterrupt:
        last = None
    except (Unwritten, Away, PeerLost, AcceleratorLost) as error:
        how = f"The run goes on from its last checkpoint or bookmark with runs --resume {folder}."
        again = f"What is done is in {folder}; the same command goes on from there, with --folder {folder}."
        return fail(f"{error} {how if lasts else again}", 1)
    except Exception:
        if not isinstance(last, RunFailed):  # else the run has said what it was, and that is said below
            raise
    finally:
        progress.close()
        events.close()
    if isinstance(last, RunFinished):
        if says:
            print(folder)
        return 0
    if not says and refused == "Tune":
        return 0
    if isinstance(last, RunFailed):
        return fail(last.reason, 2 if last.field else 1)
    if lasts and not is_over(folder):
        where = "The run goes on from its last checkpoint or bookmark"
        return fail(f"Interrupted. {where} with runs --resume {folder}; runs --stop {folder} ends it.", 1)
    return fail(f"Stopped; what was done so far is in {folder}.", 1)


def list_live(given: argparse.Namespace) -> int:
    """Print the runs and sweeps that are not over; or stop one, have one go on or delete one, and say what came of it."""
    if given.discard is not None and not given.yes:
        folder = folder_of(given.discard)
        try:
            sure = input(f"Delete {folder} and all that is in it? [y/N] ")
        except EOFError:
            raise BadInput(f"run {given.discard!r} was not deleted: nobody is there to confirm it; say --yes.") from None
        if sure.strip().lower() not in ("y", "yes"):
            return fail(f"{given.discard} was not deleted.", 1)
    for name, does in ((given.stop, stop), (given.resume, resume), (given.discard, discard)):
        if name is not None:
            said = does(name)
            print(json.dumps({"said": said}) if given.json else said)
            return 0
    runs = [*live_runs(over=given.all), *live_sweeps(over=given.all)]
    if given.json:
        print(json.dumps([asdict(run) for run in runs], indent=2))
        return 0
    wide = max((len(run.name) for run in runs), default=4)
    print(f"{'name':<{wide}}  {'since':<20}  {'worker':<8}  {'model':<24}  {'state':<28}  where")
    for run in runs:
        worker, since = str(run.worker or "awake") if run.awake else "asleep", run.since or "not begun"
        print(f"{run.name:<{wide}}  {since:<20}  {worker:<8}  {run.model or '?':<24}  {run.state:<28}  {run.folder}")
    return 0


def show_run(given: argparse.Namespace) -> int:
    """Print what a run or a sweep did."""
    if is_sweep(given.folder):
        swept = open_sweep(given.folder)
        print(json.dumps(sweep_summary(swept), indent=2, allow_nan=False) if given.json else as_table(swept))
        return 0
    state = open_run(given.folder)
    stands = {
        "asleep": not is_held(given.folder),
        "waiting": is_waiting(given.folder),
        "stopped": stopped_process(given.folder, state.worker),
    }
    print(json.dumps(summary(state, **stands), indent=2, allow_nan=False) if given.json else in_words(state, **stands))
    return 0


def export_run(given: argparse.Namespace) -> int:
    """Write the smaller model of a run to a new folder, and say what lies there."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is half written then is taken away
    open_run(given.run)  # a folder that holds no run is refused before torch is brought in
    from engine.exports import export
    from engine.pruning.export import check_new

    check_new(given.folder)
    try:
        with telling_full(shorten(str(given.folder))):
            handed = export(given.run, given.folder, dense=given.dense)
    except BadInput as error:
        return fail(str(error), 1)
    except OSError as error:
        return fail(f"{shorten(str(given.folder))} cannot be written: {error.strerror}.", 1)
    for line in handed.says:
        print(line, file=sys.stderr)
    print(handed.folder)
    return 0


def fail(why: str, status: int) -> int:
    """Say why in one line on stderr."""
    print(f"espalier: {' '.join(why.split())[:1000]}", file=sys.stderr)
    return status


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read along has read enough; what Python still holds would fail once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt:  # before anything was begun, or in an export, which is there whole or not at all
        status = fail("Interrupted; nothing is left of what was not finished.", 1)
    sys.exit(status)
