"""Runs side by side: what each was asked for, as later commands changed it, and only the fields in which they differ."""

import json

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.folder import post
from engine.record.recipe import Recipe, Schedule
from tests.widgets.page import Clock, asleep, gates, measured, opened, tell_run
from widgets.comparer import Compared, Comparer, Ran, differing

HALF = Recipe(neurons=Schedule(level=0.5))


def two_runs() -> list[str]:
    """The names of two runs: one was pruned as its recipe says, the other with the criterion random and more heads."""
    names = []
    for prune in (
        ask.prune_of(HALF),
        ask.prune_of(HALF.model_copy(update={"criterion": "random", "heads": Schedule(level=0.6)})),
    ):
        client = asleep(HALF)
        post(client.folder, prune)
        post(client.folder, ask.preview_of(Recipe(criterion="taylor")))
        tell_run(client, *opened(), gates(), measured("pruned", 60.0))
        names.append(client.name)
    return sorted(names, reverse=True)


def test_nothing_is_read_before_somebody_looks(home) -> None:
    """And from then on every two seconds; what has not changed is the very same."""
    names, clock = two_runs(), Clock()
    comparer = Comparer(clock)
    assert comparer.look(False) == Compared()
    found = comparer.look(True).found
    assert sorted((ran.name for ran in found), reverse=True) == names and all(ran.is_pruned for ran in found)
    clock.now += 5
    assert comparer.look(True).found is found


def test_only_what_differs_is_told_and_a_preview_changes_nothing(home) -> None:
    """By dotted fields, as the commands that were carried out have it."""
    two_runs()
    found = Comparer(Clock()).look(True).found
    assert differing(found) == ("criterion", "heads.level")
    assert {(ran.recipe["criterion"], ran.recipe["heads.level"]) for ran in found} == {("activation", 0.3), ("random", 0.6)}
    assert differing(found[:1]) == ()


def test_the_chosen_runs_are_shown_and_else_those_that_were_pruned(home) -> None:
    """A run that is gone is shown no more."""
    one, other = two_runs()
    bare = asleep(Recipe())
    tell_run(bare, *opened())
    comparer = Comparer(Clock())
    assert sorted((ran.name for ran in comparer.look(True).shown), reverse=True) == [one, other]
    comparer.choose((bare.name, "gone"))
    assert [ran.name for ran in comparer.look(True).shown] == [bare.name]


def test_a_recipe_of_another_version_is_shown_as_it_is_written(home) -> None:
    """Its run is listed all the same."""
    client = asleep(Recipe())
    (client.folder / "recipe.json").write_text(json.dumps({"model": "m", "heads": {"depth": 3}}), encoding="utf-8")
    tell_run(client, tell.RunStarted({"model": "m", "heads": {"depth": 3}}, "9"), tell.WorkerStarted(1, 1))
    (ran,) = Comparer(Clock()).look(True).found
    assert isinstance(ran, Ran) and ran.recipe == {"model": "m", "heads.depth": 3} and not ran.is_pruned
