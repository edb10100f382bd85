"""Recovers the cells of a sweep one after another, as events; knows no folder's files, no sweep and nobody who watches.

What comes of a cell is what comes of its recipe when that is run alone, to the bit. Cells of one model and text follow one
another on one workbench, which goes back to the model as it was loaded: that, its perplexity and its statistics are there for the
next cell. Nothing is sampled, and validated is what training hangs on: a cell is its numbers. Cells share the control.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from engine.record import commands as ask
from engine.record.cells import SweepCellDone, at_end
from engine.record.events import Evaluated, Event, StepTrained
from engine.record.lifecycle import Progressed
from engine.record.line import Stamped
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from engine.record.sweep import Cell
from engine.session import carried_out
from engine.sweeps.measuring import FAILURES, failed, named, reason
from engine.workbench import Workbench

BARE = ("model", "corpus", "device", "precision", "evaluation")  # what the model as it was loaded, and its perplexity, hang on


def recovered(cells: Sequence[Cell]) -> Iterator[Event]:
    """Carry out each cell's recipe, its training and its control with it, in this process."""
    trainer = CellTrainer()
    try:
        yield from trainer.recovered(cells)
    finally:
        trainer.close()


class CellTrainer:
    """Recovers cells: one workbench, on which one model with one text stands at a time, and the perplexities of the controls.
    `close` lets go of the model."""

    def __init__(self) -> None:
        self._bench = Workbench(curves=False)
        self._controls: dict[str, float] = {}
        self._stands = ""  # what is loaded
        self._loading: list[Event] = []  # what was told of that, up to its perplexity

    def close(self) -> None:
        """Let go of the model."""
        self._bench.close()
        self._stands, self._loading = "", []

    def recovered(self, cells: Sequence[Cell]) -> Iterator[Event]:
        """Carry out each cell's recipe. Whatever one fails for is its own reason: the others go on."""
        yield from (failed(cell, cell.error) for cell in cells if cell.recipe is None)
        for cell in together(cell for cell in cells if cell.recipe is not None):
            yield from self._recovered(cell)

    def _recovered(self, cell: Cell) -> Iterator[Event]:
        start, failure, recipe = time.perf_counter(), None, cell.recipe
        trains = of_control(recipe)
        if trains in self._controls:  # a control that an earlier cell has trained just so is not trained again
            recipe = recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"control": False})})
        told = list(self._loading) if (stands := _of_loading(recipe)) == self._stands else []
        try:
            with closing(carried_out(self._bench, self._commands(recipe, bool(told)))) as events:
                for event in events:
                    told.append(event)
                    if isinstance(event, Progressed | StepTrained):
                        yield event
                    if isinstance(event, Evaluated) and event.stage == "baseline":
                        self._stands, self._loading = stands, list(told)
        except FAILURES as error:
            failure = reason(error)
        except BaseException:  # whoever leaves in the middle of a training leaves weights that nobody has kept
            self.close()
            raise
        # Folded as the record of any run is: what a guard has undone, and all that was measured of it, is not the cell's.
        state = fold(RunState(), [Stamped(seq, 0.0, event) for seq, event in enumerate(told)])
        seconds = time.perf_counter() - start
        if failure is None and state.failure is not None:
            failure = state.failure.reason
        if failure is not None or state.degraded:  # the next cell begins with a model of its own
            self.close()
        if failure is not None:
            yield replace(failed(cell, failure, seconds), degraded=state.degraded)
            return
        standing, last = state.standing, at_end(state.standing.perplexity)
        perplexities = {stage: one.perplexity for stage, one in standing.perplexity.items()}
        if trains in self._controls:
            perplexities["control"] = self._controls[trains]
        elif trains and "control" in perplexities and not state.degraded:
            self._controls[trains] = perplexities["control"]
        yield SweepCellDone(
            **named(cell),
            status="done",
            perplexity=last.perplexity,
            parameters=standing.gates.parameters_after,
            seconds=seconds,
            perplexities=perplexities,
            tokens=last.tokens,
            latency=standing.cut.latency if standing.cut is not None else (),
            degraded=state.degraded,
        )

    def _commands(self, recipe: Recipe, is_loaded: bool) -> list[ask.Command]:
        """What is still to be done of a recipe, where its model may be loaded and measured already."""
        asked = [each for each in ask.commands_of(recipe) if not isinstance(each, ask.Sample | ask.Save)]
        if not is_loaded:
            return asked
        known = ask.Evaluate("baseline", recipe.evaluation)
        return [ask.Reset(), *(each for each in asked if not isinstance(each, ask.Load) and each != known)]


def together(cells: Iterable[Cell]) -> list[Cell]:
    """The cells stage by stage, of a stage those that need the same loaded beside one another, as they are met; all have a
    recipe."""
    needed = [(cell.stage, _of_loading(cell.recipe), cell) for cell in cells]
    met = {needs: place for place, needs in enumerate(dict.fromkeys(needs for _, needs, _ in needed))}
    return [cell for _, _, cell in sorted(needed, key=lambda each: (each[0], met[each[1]]))]


def of_control(recipe: Recipe) -> str | None:
    """All that the control of a recipe hangs on, as one text that is alike where that is; None for one that has none, and for one
    trained in rounds, of which the model it stands beside says how many it goes through."""
    if not recipe.tuning.control or (recipe.recover == "rounds" and recipe.rounds > 1):
        return None
    named = ("model", "corpus", "device", "precision", "seed", "tuning", "evaluation")
    return recipe.model_dump_json(include=set(named))


def _of_loading(recipe: Recipe) -> str:
    return recipe.model_dump_json(include=set(BARE))
