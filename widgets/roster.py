"""The other runs of this machine as the page has them: read on now and then, one of them chosen, stopped, resumed or deleted.

Draws nothing. A press that can do nothing any more, since the run has gone on meanwhile, changes nothing and is answered by a
sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.record import live
from engine.record.errors import BadInput
from engine.record.run_list import LiveRun, RunList
from widgets.requests import ChooseRun, DiscardRun, KeepRun, OfRuns, ResumeRun, StopRun

PAUSE = 2.0  # seconds between two looks at what the other runs are doing
BUTTONS = {
    "Open run": "Show it on this page, as it stands.",
    "Resume run": "Have it go on, there where it was left or paused; it need not be on a page for that.",
    "Stop run": "Give up what it is doing and what waits in it; a recovery keeps the steps it has made.",
    "Discard run": "Delete it and its folder; you are asked first.",
}
DOUBT = 30.0  # and after which nobody is asked any more whether a run is to be deleted


@dataclass(frozen=True)
class Runs:
    """The other runs, newest first; the name of the one that is spoken of, whether it is asked if that one is to be deleted, and
    what came of the last press: a sentence, and whether it refuses something."""

    found: tuple[LiveRun, ...] = ()
    chosen: str | None = None
    doubt: bool = False
    said: str = ""
    refused: bool = False

    @property
    def run(self) -> LiveRun | None:
        """The one that is spoken of."""
        return next((run for run in self.found if run.name == self.chosen), None)


def refusals(run: LiveRun | None) -> dict[str, str]:
    """Why each button of the list can do nothing for a run now; an empty sentence for one that can."""
    if run is None:
        return dict.fromkeys(BUTTONS, "There is no other run yet.")
    lost = "That run cannot be read." if run.status == "unreadable" else ""
    over = lost or ("That run is over." if run.is_over else "")
    goes = "It goes on already." if run.awake and run.status != "paused" else ""
    discard = "It is on another page, or was within the last half minute." if run.watched else ""
    if run.awake:
        discard = (
            "It is being carried out; stop it first." if run.is_busy else "Its process has not ended yet; wait half a minute."
        )
    return {
        "Open run": lost,
        "Resume run": over or goes or ("" if run.is_busy else "It has nothing to go on with; open it to ask for more."),
        "Stop run": over or ("" if run.is_busy else "It is doing nothing."),
        "Discard run": discard,
    }


class Roster:
    """Remembers what has been read of the other runs, and what was pressed about them."""

    def __init__(self, clock: Callable[[], float]):
        self._list, self._clock = RunList(), clock
        self._runs = Runs()
        self._looked, self._doubted = clock() - PAUSE / 2, -1e9  # the page is painted before anything is read for this

    def look(self, here: str) -> Runs:
        """The runs but for the one on the page, `here`; read on every two seconds, and sooner until all are read."""
        clock = self._clock()
        if clock - self._looked >= PAUSE or not self._list.is_read:
            self._looked = clock
            found = self._list.look(besides=here)
            names = [run.name for run in found]
            chosen = self._runs.chosen if self._runs.chosen in names else next(iter(names), None)
            self._runs = replace(self._runs, found=found, chosen=chosen, doubt=self._runs.doubt and chosen == self._runs.chosen)
        if self._runs.doubt and clock - self._doubted >= DOUBT:
            self._runs = replace(self._runs, doubt=False)
        return self._runs

    def obey(self, asked: OfRuns) -> None:
        """Do what was pressed; what comes of it is in the next look."""
        runs = replace(self._runs, doubt=False, said="", refused=False)
        try:
            match asked:
                case ChooseRun(name=name):
                    runs = replace(runs, chosen=name)
                case ResumeRun(name=name):
                    runs = replace(runs, said=live.resume(live.find(name)))
                case StopRun(name=name):
                    runs = replace(runs, said=live.stop(live.find(name), patience=0.0))
                case DiscardRun(name=name, sure=False) if name == runs.chosen:
                    runs, self._doubted = replace(runs, doubt=True), self._clock()
                case DiscardRun(name=name, sure=True) if self._runs.doubt and name == self._runs.chosen:
                    runs = replace(runs, said=live.discard(name))
                case DiscardRun() | KeepRun():
                    pass
        except BadInput as error:
            runs = replace(runs, said=f"{str(error)[0].upper()}{str(error)[1:]}", refused=True)
        except OSError as error:  # the folder is gone, or takes no files
            runs = replace(runs, said=f"The folder of that run cannot be used: {error.strerror}.", refused=True)
        self._runs = runs
        if not isinstance(asked, ChooseRun):
            self._looked = -1e9
