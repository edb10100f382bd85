"""Memory over time: in GiB, under its limits, with a gauge in words."""

from dataclasses import replace

import bqplot
import pytest

from engine.record.events import MemorySampled
from engine.record.lifecycle import CommandFinished, CommandStarted, MemoryEstimated
from tests.widgets.charts.states import GIB, folded, remembered
from tests.widgets.charts.test_charts import built, inside, words
from widgets.theme import LIGHT
from widgets.view import View


def lines(drawn) -> dict[str, bqplot.Lines]:
    """The limits, then what is used."""
    found = [each for each in inside(drawn.widget) if isinstance(each, bqplot.Lines)]
    return dict(zip(("system limit", "accelerator limit", "process", "system", "accelerator"), found, strict=True))


def test_samples_are_drawn_in_gibibytes_over_minutes():
    """Two samples a second apart, of one and two GiB."""
    drawn = built("memory")
    samples = [MemorySampled(GIB, 4 * GIB, 16 * GIB, None, None), MemorySampled(2 * GIB, 8 * GIB, 16 * GIB, None, None)]
    drawn.draw(View(folded(*samples), None, LIGHT))
    shown = lines(drawn)
    assert shown["process"].y.tolist() == [1, 2] and shown["process"].x.tolist() == pytest.approx([0, 1 / 60])
    assert shown["system limit"].y.tolist() == [16, 16]
    assert "Machine: 8.0 of 16.0 GiB, 50 % full" in words(drawn).replace("\u00a0", " ") and 'aria-valuenow="50"' in words(drawn)


def test_a_container_that_leaves_less_than_the_machine_is_called_one():
    """In the gauge and in the legend; a machine is one again where it has less left."""
    drawn = built("memory")
    for grouped, name in ((True, "Container"), (False, "Machine")):
        drawn.draw(View(folded(MemorySampled(GIB, 3 * GIB, 4 * GIB, None, None, grouped=grouped)), None, LIGHT))
        said = words(drawn).replace("\u00a0", " ")
        assert f"{name}: 3.0 of 4.0 GiB, 75 % full" in said
        assert ("container" in said, "machine" in said) == (grouped, not grouped), "in the legend"


def test_an_accelerator_is_there_only_where_there_is_one():
    """Without one there is no line, no limit, no entry in the legend and no gauge for it."""
    drawn = built("memory")
    drawn.draw(View(folded(*remembered(10)), None, LIGHT))
    shown = lines(drawn)
    assert shown["accelerator"].x.size == shown["accelerator limit"].x.size == 0
    assert "ccelerator" not in words(drawn)
    drawn.draw(View(folded(*remembered(10, accelerator=True)), None, LIGHT))
    assert shown["accelerator"].y.tolist() == [9] * 10 and shown["accelerator limit"].y.tolist() == [24, 24]
    assert "Accelerator: 9.0 of 24.0 GiB, 38 % full" in words(drawn).replace("\u00a0", " ")


def test_hours_of_samples_stay_a_few_hundred_points():
    """The peak is kept when points are thinned."""
    samples = remembered(9000)
    samples[4321] = MemorySampled(7 * GIB, 6 * GIB, 16 * GIB, None, None)
    drawn = built("memory")
    drawn.draw(View(folded(*samples), None, LIGHT))
    assert lines(drawn)["process"].x.size <= 300 and lines(drawn)["process"].y.max() == 7


def test_what_a_command_was_expected_to_hold_stands_beside_what_it_held():
    """While it runs what is expected, with a warning where there is less; afterwards both; a preview is no news."""
    drawn, tune = built("memory"), MemoryEstimated("Tune", 900_000_000, 400_000_000, 800_000_000)
    prune = MemoryEstimated("Prune", 500_000_000, 400_000_000, 8_000_000_000)
    begun = [CommandStarted(1, "Prune"), prune]
    drawn.draw(View(folded(*begun), None, LIGHT))
    assert "Pruning should hold 500.0 MB." in words(drawn)
    done = [*begun, MemorySampled(1, 4 * GIB, 16 * GIB, None, None, peak=480_000_000), CommandFinished(1, "Prune")]
    drawn.draw(View(folded(*done), None, LIGHT))
    assert "Pruning held 480.0 MB; expected: 500.0 MB." in words(drawn)
    look = [CommandStarted(2, "Preview"), replace(prune, command="Preview"), CommandFinished(2, "Preview")]
    drawn.draw(View(folded(*done, *look), None, LIGHT))
    assert "Pruning held" in words(drawn)
    drawn.draw(View(folded(*done, *look, CommandStarted(3, "Tune"), tune), None, LIGHT))
    assert "Recovering should hold 900.0 MB. <b>That is more than the 800.0 MB that are there.</b>" in words(drawn)
