"""Runs that stand still, for tests of how a page looks: their events are written by hand, and this process holds their locks."""

from pathlib import Path

import pytest

from engine.record import events as tell
from engine.record.recipe import Recipe
from tests.widgets.charts.states import folded, loaded, measured, previewed, sampled, scored
from tests.widgets.page import asleep, tell_run
from widgets.view import draft_of

RECIPE = Recipe.model_validate({"heads": {"level": 0.3}, "neurons": {"level": 0.3, "shape": "uniform"}})
HEADS = (6,) * 6
BEGUN = (tell.RunStarted({}, "0"), tell.WorkerStarted(1, 1))
READY = (
    *BEGUN, tell.CommandStarted(0, "Load"), loaded(HEADS, 576), tell.CommandFinished(0, "Load"), measured("baseline", 153.2),
    sampled("baseline"), scored(HEADS), tell.CommandFinished(3, "Score"),
)  # fmt: skip


def still(home: Path, *facts: object) -> str:
    """The name of a new run in `home` in which these things happened, and in which nothing more will."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESPALIER_HOME", str(home))
        client = asleep(RECIPE)
        tell_run(client, *facts)
        client.leave()
    return client.name


def with_preview(perplexity: float, *facts: object) -> tuple[object, ...]:
    """A run that stands ready, and whose controls were measured to cost so much."""
    return (*READY, *facts, previewed(draft_of(RECIPE, folded(*READY, *facts)), perplexity, RECIPE))
