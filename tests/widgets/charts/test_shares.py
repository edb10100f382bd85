"""Shares by layer: what stands against counts by hand, in the colours of the blocks."""

import bqplot
import numpy as np

from engine.record.events import PlanMade, Residual
from engine.record.schedules import block_of_layers
from engine.record.suggestions import SuggestionMeasured
from tests.widgets.charts.states import drafted, folded, gates, loaded
from tests.widgets.charts.test_charts import built, inside, words
from widgets.charts import shares
from widgets.theme import LIGHT
from widgets.view import View


def bars(drawn) -> list[bqplot.Bars]:
    """What stands, then what would be."""
    return [each for each in inside(drawn.widget) if isinstance(each, bqplot.Bars)]


def test_bars_are_the_closed_units_over_all_units():
    """One of four heads and 128 of 512 neurons are a quarter each; a layer without heads has lost none."""
    heads = (4, 4, 0)
    drawn = built("shares")
    drawn.draw(View(folded(loaded(heads), gates(heads, ((0, 1), (1, 0), (1, 2)), neurons=128)), None, LIGHT))
    stands, hollow = bars(drawn)
    np.testing.assert_array_equal(stands.y, [[0.25, 0.5, 0.0], [0.25, 0.25, 0.25]])
    assert not hollow.visible


def test_hollow_bars_are_the_draft():
    """What the controls ask for is drawn beside what stands, without a fill."""
    heads = (4, 4, 4)
    drawn = built("shares")
    drawn.draw(View(folded(loaded(heads)), drafted(heads, neurons=256), LIGHT))
    stands, hollow = bars(drawn)
    assert not stands.y.any() and hollow.visible and not hollow.fill
    np.testing.assert_array_equal(hollow.y, [[0.5] * 3, [0.5] * 3])
    assert "Nothing is removed." in words(drawn)


def test_every_layer_has_its_blocks_colour_and_neurons_are_pale():
    """Seven layers split 2, 3, 2; both bars of a layer share a hue and differ in place and strength."""
    drawn = built("shares")
    drawn.draw(View(folded(loaded((3,) * 7), gates((3,) * 7, ())), None, LIGHT))
    stands = bars(drawn)[0]
    assert stands.colors[::2] == stands.colors[1::2] == [LIGHT.blocks[block] for block in block_of_layers(7)]
    assert set(stands.opacities[::2]) == {1.0} and max(stands.opacities[1::2]) < 1


def test_words_name_the_blocks():
    """A single layer is the middle block, and only blocks that exist are named."""
    drawn = built("shares")
    drawn.draw(View(folded(loaded((4,)), gates((4,), ((0, 0),), neurons=256)), None, LIGHT))
    assert "middle 25\u00a0% of heads, 50\u00a0% of neurons" in words(drawn) and "front 2" not in words(drawn)


def test_the_axis_runs_from_nothing_to_all():
    """The scale is fixed, so that two states can be compared by eye."""
    scale = bars(built("shares"))[0].scales["y"]
    assert (scale.min, scale.max) == (0, 1)


def test_what_compensation_leaves_and_what_a_suggestion_kept_is_said() -> None:
    """The worst output by its error over its variation, of the plan in force; one that never varies counts for nothing."""
    residuals = (Residual(0, "mlp", 9.0, 1.0, 10.0), Residual(4, "attention", 9.0, 2.5, 10.0), Residual(5, "mlp", 1.0, 1.0, 0.0))
    plan = PlanMade((), (0,) * 6, (9,) * 6, (0.0,) * 6, (0.1,) * 6, 10, 9, "activation", residuals)
    chart = shares.build(LIGHT, lambda _: None)
    chart.draw(View(folded(loaded(), plan, SuggestionMeasured(0.1, 0.25)), None, LIGHT))
    said = chart.widget.children[-1].value
    assert "at most 25" in said and "(attention, layer 4)" in said
    assert "promised a change of the loss by +0.100 nats per token, +0.250 were measured" in said
    chart.draw(View(folded(loaded()), None, LIGHT))
    assert "off by" not in chart.widget.children[-1].value and "promised" not in chart.widget.children[-1].value


def test_what_whole_groups_made_of_a_plan_is_said_while_it_stands():
    """Its notes, as text and not as markup; not while the controls ask for something else."""
    heads = (4, 4, 0)
    plan = PlanMade(
        (), (0,) * 3, (128,) * 3, (0.3,) * 3, (0.25,) * 3, 100, 90, "random", notes=("In 3 layers <no> head can go.",)
    )
    drawn = built("shares")
    drawn.draw(View(folded(loaded(heads), plan, gates(heads, ())), None, LIGHT))
    assert "In 3 layers &lt;no&gt; head can go." in words(drawn)
    drawn.draw(View(folded(loaded(heads), plan, gates(heads, ())), drafted(heads), LIGHT))
    assert "head can go" not in words(drawn)


def test_beyond_so_many_layers_the_draft_is_two_lines_and_not_a_fence() -> None:
    """Sixty hollow bars covered what they stood beside; the legend names the lines instead."""
    chart = shares.build(LIGHT, lambda _: None)
    lines = [each for each in inside(chart.widget) if isinstance(each, bqplot.Lines)]
    heads = (6,) * 20
    chart.draw(View(folded(loaded(heads)), drafted(heads), LIGHT))
    assert [each.y.tolist() for each in lines] == [[1 / 3] * 20, [300 / 512] * 20] and not bars(chart)[1].visible
    assert "heads would be" in words(chart)
    chart.draw(View(folded(loaded()), drafted(), LIGHT))
    assert not any(each.y.size for each in lines) and bars(chart)[1].visible and "heads would be" not in words(chart)
