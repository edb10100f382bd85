"""The sweeps of this machine as the page has them: asked for, begun, read on, stopped, gone on with, deleted; draws nothing.

A sweep is a process of its own: a page that comes later finds it by its folder.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.record import running_sweeps
from engine.record.claim import is_held
from engine.record.errors import BadInput
from engine.record.lock import stopped_process
from engine.record.recipe import Recipe
from engine.record.sweep import sweep_of
from engine.record.sweep_folder import FILE, SweepState, begin
from widgets.axes import NONE, Asked, Planned, is_searched, planned, usual
from widgets.followed import Followed, Pace, title_of
from widgets.grid import recipe_of_cell, told
from widgets.requests import AskSweep, ChooseSweep, DiscardSweep, GoOnSweep, KeepSweep, OfSweeps, StartSweep, StopSweep

PAUSE, RARELY = 0.4, 2.0  # seconds between two looks at the sweep that is shown, and at which there are
DOUBT = 30.0  # and after which nobody is asked any more whether a sweep is to be deleted
MOST = 30  # of the newest sweeps the list has


@dataclass(frozen=True)
class Listed:
    """A sweep of the list: the name of its folder, what it goes over, and whether a process carries it out."""

    name: str
    title: str
    going: bool


@dataclass(frozen=True)
class Sweeps:
    """What the part of the page with the sweeps shows. `state` is the sweep that is spoken of, `going` whether a process
    carries it out, `halted` which, where that one was stopped (SIGSTOP), `trouble` what it printed last where it has ended
    without a word in the sweep's events. `loaded` is the cell whose recipe was put into the controls last, and `cell_said` what
    came of that."""

    found: tuple[Listed, ...] = ()
    chosen: str | None = None
    folder: Path | None = None
    state: SweepState | None = None
    going: bool = False
    halted: int | None = None
    pace: Pace = Pace()
    trouble: str = ""
    asked: Asked = Asked()
    planned: Planned = Planned()
    doubt: bool = False
    said: str = ""
    refused: bool = False
    loaded: int | None = None
    cell_said: str = ""
    cell_refused: bool = False


class Sweeper:
    """Remembers what has been read of the sweep on the page, and what was typed and pressed about sweeps."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._sweeps = Sweeps()
        self._shown: Followed | None = None
        self._started: dict[str, subprocess.Popen] = {}  # by this page
        self._recipe, self._planned = Recipe(), None  # what the controls say, and what the plan of the form was made from
        self._looked = self._listed = self._doubted = -1e9

    def look(self, recipe: Recipe, is_open: bool) -> Sweeps:
        """The sweeps as they stand; `recipe` is what the controls say. Nothing is read while the part of the page
        that shows them is not open."""
        if not is_open:
            return self._sweeps
        clock = self._clock()
        if clock - self._listed >= RARELY:
            self._listed = clock
            self._list()
        if clock - self._looked >= PAUSE:
            self._looked = clock
            self._read()
        self._recipe = recipe
        if self._planned != (self._sweeps.asked, recipe):
            self._planned = self._sweeps.asked, recipe
            self._set(planned=planned(self._sweeps.asked, recipe))
        if self._sweeps.doubt and clock - self._doubted >= DOUBT:
            self._set(doubt=False)
        return self._sweeps

    def obey(self, asked: OfSweeps) -> None:
        """Do what was pressed; what comes of it is in the next look."""
        if isinstance(asked, AskSweep):
            self._set(asked=_filled(self._sweeps.asked, asked.field, asked.text))
            return
        self._set(doubt=False, said="", refused=False)
        try:
            match asked:
                case ChooseSweep(name=name):
                    self._choose(name)
                case StartSweep():
                    self._start()
                case GoOnSweep(name=name):
                    self._started[name] = running_sweeps.carry_on(running_sweeps.find_sweep(name))
                case StopSweep(name=name):
                    self._set(said=running_sweeps.stop(running_sweeps.find_sweep(name)))
                case DiscardSweep(name=name, sure=False):
                    self._set(doubt=name == self._sweeps.chosen)
                    self._doubted = self._clock()
                case DiscardSweep(name=name, sure=True):
                    self._set(said=running_sweeps.discard(name))
                    self._choose(None)
                case KeepSweep():
                    pass
        except BadInput as error:
            self._set(said=f"{str(error)[0].upper()}{str(error)[1:]}", refused=True)
        except OSError as error:  # the folder is gone, or takes no files
            self._set(said=f"The folder of that sweep cannot be used: {error.strerror}.", refused=True)
        self._looked = self._listed = -1e9

    def load(self, number: int) -> Recipe:
        """The recipe of a cell of the sweep on the page, for the controls; raises `BadInput` where there is none."""
        state = self._sweeps.state
        cell = next((cell for cell in state.sweep.cells if cell.number == number), None) if state is not None else None
        if cell is None:
            raise BadInput("That cell is not there any more; choose another one.")
        recipe = recipe_of_cell(state.sweep, cell)
        if recipe is None:
            raise BadInput(f"This cell makes no recipe: {cell.error}")
        said = f"In the controls now: {told(cell, len(state.sweep.seeds))}. Turn to the laboratory to prune with it."
        self._set(loaded=number, cell_said=said, cell_refused=False)
        return recipe

    def refuse(self, sentence: str) -> None:
        """Say why no cell's recipe was put into the controls; beside the cell, since a line over the charts would move these away
        from the pointer."""
        self._set(cell_said=sentence, cell_refused=True, loaded=None)

    def _set(self, **changes: object) -> None:
        self._sweeps = replace(self._sweeps, **changes)

    def _start(self) -> None:
        plan = planned(self._sweeps.asked, self._recipe)  # what was typed last may have come with the press
        if plan.plain is None:
            raise BadInput("This is no sweep yet; put right first what is marked.")
        folder = begin(sweep_of(dict(plan.plain)))
        self._started[folder.name] = running_sweeps.carry_on(folder)
        self._choose(folder.name)

    def _choose(self, name: str | None) -> None:
        self._shown = None
        self._set(
            chosen=name, folder=None, state=None, going=False, halted=None, trouble="", pace=Pace(), loaded=None, cell_said=""
        )
        if name is not None:
            folder = running_sweeps.find_sweep(name)
            self._shown = Followed(folder)
            self._set(folder=folder)
            self._read()

    def _list(self) -> None:
        known = {one.name: one.title for one in self._sweeps.found}
        folders = running_sweeps.own_sweeps()[:MOST]
        found = tuple(
            Listed(folder.name, known.get(folder.name) or title_of(folder), self._is_going(folder)) for folder in folders
        )
        self._set(found=found)
        names = [one.name for one in found]
        if self._sweeps.chosen not in names:
            going = next((one.name for one in found if one.going), None)
            try:
                self._choose(going or next(iter(names), None))
            except BadInput as error:
                self._set(said=str(error), refused=True)

    def _read(self) -> None:
        shown = self._shown
        if shown is None:
            return
        if not (shown.folder / FILE).is_file():  # deleted by another page
            self._choose(None)
            return
        going = self._is_going(shown.folder)
        try:
            shown.read(going)
        except BadInput as error:
            self._set(said=str(error), refused=True)
            return
        quiet = not going and shown.state.status in ("new", "interrupted") and shown.folder.name in self._started
        trouble = running_sweeps.last_words(shown.folder) if quiet else ""
        halted = stopped_process(shown.folder) if going else None
        self._set(state=shown.state, going=going, halted=halted, pace=shown.pace, trouble=trouble)

    def _is_going(self, folder: Path) -> bool:
        """Whether a process carries out a sweep, or one that this page has started is about to."""
        process = self._started.get(folder.name)
        return is_held(folder) or (process is not None and process.poll() is None)


def _filled(asked: Asked, name: str, text: str) -> Asked:
    """The form after one field was filled in; another field to go over brings values of its own, and a search leaves
    a second field out that it cannot go over."""
    asked = replace(asked, **{name: text})
    if asked.mode == "search" and name == "mode" and not is_searched(asked.second):
        asked = replace(asked, second=NONE)
    if name in ("first", "second") and text:
        asked = replace(asked, **{f"{name}_values": usual(text)})
    return asked
