"""Has the criteria compared on one model, how alike they rank its units, in a run of its own; makes nothing of the numbers.

The text and its tokens are those of the experiment `criteria`, which says what each of them chooses is worth, and the seeds
are among its seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.provenance import machine, versions
from engine.record.agreement_file import KINDS, Agreed
from engine.record.catalogue import CRITERIA
from engine.record.client import open_run
from engine.record.commands import Agree, Command, Load
from engine.record.errors import BadInput, shorten
from engine.record.events import CriteriaCompared, Event
from engine.record.experiments.criteria import ORACLE
from engine.record.folder import read_events
from engine.record.recipe import Recipe
from engine.record.scale import CHANCE, Form, scale_of


@dataclass(frozen=True)
class Comparison:
    """What is to be compared: these criteria on the model, text and calibration of a recipe, by each seed anew, since `random`
    draws. `form` is that of the experiment."""

    form: Form
    recipe: Recipe
    criteria: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def commands(self) -> tuple[Command, ...]:
        """What is asked of the run."""
        recipe = self.recipe
        load = Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, recipe.seed)
        return (load, *(Agree(self.criteria, recipe.calibration, seed) for seed in self.seeds))


def comparison(model: str, form: Form, oracle: bool = True) -> Comparison:
    """All criteria, but for those of many passes where the form affords none or no `oracle` is wanted."""
    scale = scale_of(model, form)
    facts = {name: CRITERIA.entry(name).facts for name in CRITERIA.names()}
    criteria = tuple(name for name in facts if facts[name]["COST"] != ORACLE or (oracle and scale.oracle))
    return Comparison(form, Recipe.model_validate(scale.recipe), criteria, scale.seeds)


def agreeing(asked: Comparison, folder: Path) -> Iterator[Event]:
    """Compare, in a run that any page can follow. Nothing happens where the folder holds a run that has come to its end; raises
    `BadInput` for one that has not."""
    if (folder / "recipe.json").exists():
        _check_finished(folder)
        return
    from engine.session import run_commands  # which brings in torch

    yield from run_commands(asked.recipe, asked.commands, folder)


def agreed(asked: Comparison, folder: Path) -> Agreed:
    """What such a run has found; raises `BadInput` for a folder that holds another run, or one that did not come to its end."""
    _check_finished(folder)
    events, recipe = read_events(folder), asked.recipe
    told = [stamped.fact for stamped in events if isinstance(stamped.fact, CriteriaCompared)]
    state = open_run(folder)
    same = state.model is not None and state.recipe == recipe.model_dump(mode="json")
    if not same or [each.criteria for each in told] != [asked.criteria] * len(asked.seeds):
        raise BadInput(f"folder {shorten(str(folder))} holds another run than this comparison; delete it.")
    found = {}
    for seed, each in zip(asked.seeds, told, strict=True):  # but for random, another seed says the same again
        found[seed] = tuple(one for one in each.correlations if not found or CHANCE in (one.one, one.other))
    return Agreed(
        model=recipe.model,
        form=asked.form,
        at=f"{datetime.fromtimestamp(events[-1].at, UTC):%Y-%m-%d}",
        versions=versions(),
        machine=machine(),
        corpus=str(recipe.corpus),
        tokens=told[0].tokens,
        sequence_length=recipe.calibration.sequence_length,
        seconds=round(events[-1].at - events[0].at, 1),
        units={kind: max(getattr(state.model, kind)) for kind in KINDS},
        criteria=asked.criteria,
        found=found,
    )


def _check_finished(folder: Path) -> None:
    status = open_run(folder).status
    if status != "finished":
        how = "python -m engine runs --resume goes on with what was interrupted, --discard deletes it"
        raise BadInput(f"The run in {shorten(str(folder))} did not come to its end, it is {status}; {how}.")
