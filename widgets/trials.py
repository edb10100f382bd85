"""What the parts of the page beside the laboratory remember: sweeps, an experiment, runs side by side; draws nothing."""

from collections.abc import Callable

from engine.record.recipe import Recipe
from widgets.comparer import Compared, Comparer
from widgets.experimenter import Experimenter, Tried
from widgets.requests import ChooseRuns, LoadCell, OfExperiments, OfSweeps, OfTrials, Part, Turn
from widgets.sweeper import Sweeper, Sweeps


class Trials:
    """Leaves each request to who it is for. Of each part something is read only while it is the one that is shown."""

    def __init__(self, clock: Callable[[], float]):
        self.part: Part = "laboratory"
        self._sweeper, self._experimenter, self._comparer = Sweeper(clock), Experimenter(clock), Comparer(clock)

    def look(self, recipe: Recipe) -> tuple[Sweeps, Tried, Compared]:
        """How things stand; `recipe` is what the controls say."""
        return (
            self._sweeper.look(recipe, self.part == "sweeps"),
            self._experimenter.look(self.part == "experiments"),
            self._comparer.look(self.part == "runs"),
        )

    def obey(self, asked: OfTrials) -> Recipe | None:
        """Do what was pressed; returns the recipe that the controls are to say now, if any. Raises `BadInput` for a cell that is
        not there."""
        match asked:
            case Turn(to=part):
                self.part = part
            case LoadCell(number=number):
                return self._sweeper.load(number)
            case ChooseRuns(names=names):
                self._comparer.choose(names)
            case of_experiments if isinstance(of_experiments, OfExperiments):
                return self._experimenter.obey(of_experiments)
            case of_sweeps if isinstance(of_sweeps, OfSweeps):
                self._sweeper.obey(of_sweeps)
        return None

    def refuse(self, sentence: str) -> None:
        """Say beside what was pressed last why it came to nothing."""
        (self._experimenter if self.part == "experiments" else self._sweeper).refuse(sentence)
