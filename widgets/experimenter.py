"""The experiments that ship, as the page has them: one of them chosen, begun, read on, stopped; draws nothing.

An experiment is a question with several sweeps behind it, which `python -m engine experiment` carries out one after another in a
process of its own. What the page makes of its cells, the answer, the figures and the table, it works out itself.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.record import running_sweeps
from engine.record.catalogue import EXPERIMENTS, check_model, models
from engine.record.claim import is_held
from engine.record.detached import start_apart
from engine.record.errors import BadInput
from engine.record.experiment_folder import default_folder, folder_of
from engine.record.figure import Figure, Table, Verdict
from engine.record.lock import stopped_process
from engine.record.recipe import Recipe
from engine.record.result import Result, shipped, shipped_for
from engine.record.scale import FORMS
from engine.record.sweep import Sweep
from engine.record.sweep_folder import FILE, SweepState
from widgets.followed import Followed, Pace
from widgets.grid import recipe_of_cell, told
from widgets.requests import ChooseExperiment, OfExperiments, PickCell, StartExperiment, StopExperiment

PAUSE = 1.0  # seconds between two looks
LOG = "worker.log"
NOTHING = Verdict("Nothing was measured yet")


@dataclass(frozen=True)
class Question:
    """An experiment as its docstring tells it: a title, the question, and how it is judged."""

    name: str
    title: str
    question: str
    how: str


@dataclass(frozen=True)
class Tried:
    """The experiment that is spoken of, on a model, in a form, and what has come of it: `done` and `failed` of so many `cells`,
    at that `pace` where a process carries it out; `halted` is which, where that one was stopped (SIGSTOP).

    `answer`, `figures` and `table` are worked out from its sweeps' `states`, and empty while nothing is done; where nothing was
    measured here, from the result that ships, and `shipped` says what that is. Where none ships either, `instead` is a model and
    a form of which one does, None for an experiment that ships nowhere. `picked` is what came of a click on a point,
    `said` what came of the last press, or why the experiment cannot be.
    """

    name: str = ""
    model: str = "gpt2-tiny"
    form: str = "short"
    cells: int = 0
    done: int = 0
    failed: int = 0
    going: bool = False
    halted: int | None = None
    pace: Pace = Pace()
    answer: tuple[Verdict, ...] = ()
    shipped: str = ""
    instead: tuple[str, str] | None = None
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    states: Mapping[str, SweepState] = field(default_factory=dict)
    picked: str = ""
    said: str = ""
    refused: bool = False


def questions() -> tuple[Question, ...]:
    """The experiments that ship, read without running them."""
    found = []
    for name, entry in EXPERIMENTS.entries.items():
        title, *paragraphs = [" ".join(part.split()) for part in entry.help.split("\n\n")]
        found.append(Question(name, title.rstrip("."), *[*paragraphs[:2], "", ""][:2]))
    return tuple(found)


class Experimenter:
    """Remembers which experiment is spoken of, and what was read of its sweeps."""

    def __init__(self, clock: Callable[[], float]):
        self._clock, self._looked = clock, -1e9
        self._tried = Tried()
        self._sweeps: Mapping[str, Sweep] = {}
        self._kept: Result | None = None  # what ships of it
        self._followed: dict[str, Followed] = {}
        self._started: dict[tuple[str, str, str], subprocess.Popen] = {}  # by this page

    def look(self, is_open: bool) -> Tried:
        """The experiment as it stands; nothing is read while the part of the page that shows it is not open."""
        if is_open and not self._tried.name and EXPERIMENTS.names():
            self.obey(_newest())
        clock = self._clock()
        if is_open and clock - self._looked >= PAUSE:
            self._looked = clock
            self._read()
        return self._tried

    def obey(self, asked: OfExperiments) -> Recipe | None:
        """Do what was pressed; returns the recipe that the controls are to say now, if any."""
        self._tried = replace(self._tried, said="", refused=False, picked="")
        self._looked = -1e9
        try:
            match asked:
                case ChooseExperiment():
                    self._choose(asked)
                case StartExperiment():
                    self._start()
                case StopExperiment():
                    self._tried = replace(self._tried, said=self._stop())
                case PickCell():
                    return self._pick(asked)
        except BadInput as error:
            self.refuse(f"{str(error)[0].upper()}{str(error)[1:]}")
        except OSError as error:
            self.refuse(f"The experiment's folder cannot be used: {error.strerror}.")
        return None

    def refuse(self, sentence: str) -> None:
        """Say why what was pressed last came to nothing."""
        self._tried = replace(self._tried, said=sentence, refused=True)

    @property
    def _key(self) -> tuple[str, str, str]:
        return self._tried.name, self._tried.model, self._tried.form

    def _choose(self, asked: ChooseExperiment) -> None:
        begun, told = default_folder(asked.name, asked.model, asked.form).is_dir(), ""
        self._kept = None if begun else shipped(asked.name, asked.model, asked.form)
        moved = self._tried.name not in ("", asked.name)
        if moved and not begun and self._kept is None and (there := next(shipped_for(asked.name), None)) is not None:
            ships = f"what ships is {there.model}, {there.form}, shown here"
            told = f"Nothing of it was measured on {asked.model}, {asked.form}; {ships}."
            self._kept, asked = there, ChooseExperiment(asked.name, there.model, there.form)
        self._sweeps, self._followed = {}, {}
        self._tried = Tried(asked.name, asked.model, asked.form, said=told)
        check_model(asked.model)
        self._sweeps = EXPERIMENTS.load(asked.name).sweeps(asked.model, asked.form)
        self._tried = replace(self._tried, cells=sum(len(sweep.cells) for sweep in self._sweeps.values()))

    def _start(self) -> None:
        if self._is_going():
            raise BadInput("It goes on already.")
        name, model, form = self._key
        folder = default_folder(name, model, form)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        asked = ["-m", "engine", "experiment", name, "--model", model, "--form", form, "--folder", str(folder)]
        self._started[self._key] = running_sweeps.reaped(start_apart(asked, folder / LOG, "The experiment's log"))

    def _stop(self) -> str:
        process, held = self._started.get(self._key), [folder for folder in self._folders() if is_held(folder)]
        if held:
            running_sweeps.stop(held[0])
        elif process is not None and process.poll() is None:  # it was started just now, and holds nothing yet
            process.terminate()
        else:
            raise BadInput("No process carries it out just now.")
        return "It was told to stop; the cells that are done are kept."

    def _pick(self, asked: PickCell) -> Recipe:
        shown = self._tried.states.get(asked.sweep)  # what ships may have fewer seeds than would be measured here
        sweep = shown.sweep if shown else self._sweeps.get(asked.sweep)
        cell = next((cell for cell in sweep.cells if cell.number == asked.number), None) if sweep is not None else None
        recipe = recipe_of_cell(sweep, cell) if cell is not None else None
        if recipe is None:
            raise BadInput("That point has no recipe; choose another one.")
        said = f"In the controls now: {told(cell, len(sweep.seeds))}. Turn to the laboratory to prune with it."
        self._tried = replace(self._tried, picked=said)
        return recipe

    def _folders(self) -> list[Path]:
        """What a process that carries it out holds: its folder all the time, and that of the sweep in hand, which somebody may
        carry out alone."""
        folder = default_folder(*self._key)
        return [folder, *(folder_of(folder, called) for called in self._sweeps)]

    def _is_going(self) -> bool:
        process = self._started.get(self._key)
        return (process is not None and process.poll() is None) or any(map(is_held, self._folders()))

    def _pace(self) -> Pace:
        """How fast cells have come, all sweeps of the experiment together; loading and scoring between sweeps is not in it."""
        paces = [one.pace for one in self._followed.values() if one.pace.cells > 1]
        return Pace(1 + sum(pace.cells - 1 for pace in paces), sum(pace.seconds for pace in paces)) if paces else Pace()

    def _read(self) -> None:
        if not self._sweeps:
            return
        try:
            going, before = self._is_going(), {called: one.state for called, one in self._followed.items()}
            for called, folder in zip(self._sweeps, self._folders()[1:], strict=True):
                if called not in self._followed and (folder / FILE).is_file():
                    one = Followed(folder)
                    if one.state.sweep != self._sweeps[called]:
                        raise BadInput(f"The folder {folder} holds another sweep; delete it to do this experiment anew.")
                    self._followed[called] = one
                if called in self._followed:
                    self._followed[called].read(is_held(folder))
        except BadInput as error:
            self.refuse(str(error))
            return
        states = {called: one.state for called, one in self._followed.items()}
        if states != before or not self._tried.answer:
            self._tell(states)
        halted = next(filter(None, map(stopped_process, self._folders())), None) if going else None
        self._tried = replace(self._tried, going=going, halted=halted, pace=self._pace() if going else Pace())

    def _tell(self, states: Mapping[str, SweepState]) -> None:
        experiment, found = EXPERIMENTS.load(self._tried.name), {called: state.done for called, state in states.items()}
        cells = [cell for done in found.values() for cell in done.values()]
        good = sum(cell.status == "done" for cell in cells)
        kept = self._kept or shipped(*self._key) if not cells else None
        if kept is not None:
            on = ", ".join(f"{name} {kept.versions[name]}" for name in ("espalier", "torch") if name in kept.versions)
            told = (
                f"This ships with the program, and was not measured here: {kept.done:,} cells of {kept.at}, {kept.machine}, {on}."
            )
            states = {called: SweepState(sweep, done=kept.found.get(called, {})) for called, sweep in kept.sweeps.items()}
            more = {"figures": experiment.figures(kept.found), "table": experiment.table(kept.found), "states": states}
            answer = experiment.answer(kept.found)
            self._tried = replace(self._tried, done=0, failed=0, shipped=told, answer=answer, **more)
            return
        there = next(shipped_for(self._tried.name), None) if not cells else None
        instead = (there.model, there.form) if there else None
        answer = experiment.answer(found) if good else (NOTHING,)
        figures, table = (experiment.figures(found), experiment.table(found)) if good else ((), None)
        more = {"figures": figures, "table": table, "answer": answer, "states": states, "instead": instead}
        self._tried = replace(self._tried, done=good, failed=len(cells) - good, shipped="", **more)


def _newest() -> ChooseExperiment:
    """The experiment that was begun last on a model of the catalogue; else the first whose result ships, else the first."""
    every = [
        ChooseExperiment(name, model.name, form) for name in EXPERIMENTS.names() for model in models() for form in reversed(FORMS)
    ]
    begun = {one: default_folder(one.name, one.model, one.form) for one in every}
    begun = {one: folder.stat().st_mtime for one, folder in begun.items() if folder.is_dir()}
    if begun:
        return max(begun, key=begun.get)
    names = EXPERIMENTS.names()
    every = (ChooseExperiment(name, Tried.model, form) for name in names for form in reversed(FORMS))
    ships = (one for one in every if shipped(one.name, one.model, one.form) is not None)
    return next(ships, ChooseExperiment(names[0], Tried.model, Tried.form))
