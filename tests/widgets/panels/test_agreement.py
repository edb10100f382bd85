"""How criteria agree, on the page: asked for by a button, made only when a model is there, and every cell said in words."""

import ipywidgets

from engine.record.agreement import CriteriaCompared, RankCorrelation
from engine.record.catalogue import CRITERIA
from engine.record.commands import Agree
from engine.record.lifecycle import CommandStarted, WorkerStarted
from engine.record.recipe import Calibration, Recipe
from engine.record.state import RunState
from tests.widgets.charts.states import folded, loaded
from tests.widgets.charts.test_charts import inside
from widgets.panels.agreement import build, quick
from widgets.theme import LIGHT
from widgets.view import Drawn, View

RECIPE = Recipe(calibration=Calibration(tokens=512), seed=3)
COMPARED = CriteriaCompared(
    ("ablation", "random", "taylor"),
    (
        RankCorrelation("ablation", "random", "heads", -0.125, 6),
        RankCorrelation("ablation", "taylor", "heads", 0.75, 6),
        RankCorrelation("random", "taylor", "heads", None, 0),
        RankCorrelation("random", "taylor", "neurons", 0.031, 5),
    ),
    512,
)


def shown(*facts: object, asked: list | None = None, recipe: Recipe | None = RECIPE) -> Drawn:
    """The panel of a run."""
    made = build(LIGHT, (asked if asked is not None else []).append)
    made.draw(View(folded(WorkerStarted(1, 1), *facts), None, LIGHT, recipe))
    return made


def words(drawn: Drawn) -> str:
    """Its HTML."""
    return " ".join(each.value for each in inside(drawn.widget) if isinstance(each, ipywidgets.HTML))


def buttons(drawn: Drawn) -> list[ipywidgets.Button]:
    """What can be pressed."""
    return [each for each in inside(drawn.widget) if isinstance(each, ipywidgets.Button)]


def test_nothing_is_made_before_there_is_a_model() -> None:
    """The first paint of the page waits for none of it."""
    made = build(LIGHT, lambda command: None)
    made.draw(View(RunState(), None, LIGHT))
    assert made.widget.children == ()
    assert "Not compared yet" in words(shown(loaded()))


def test_the_buttons_ask_for_what_they_say() -> None:
    """With the calibration and the seed of the controls; what takes many passes is asked for by the second button alone."""
    asked = []
    for button in buttons(shown(loaded(), asked=asked)):
        button.click()
    assert asked == [Agree(quick(), RECIPE.calibration, 3), Agree(CRITERIA.names(), RECIPE.calibration, 3)]
    assert "ablation" not in quick() and {"obs", "random", "taylor"} <= set(quick())


def test_the_buttons_are_grey_while_something_is_done_and_say_what() -> None:
    """And where the controls say nothing that could be done."""
    for drawn, why in (
        (shown(loaded(), CommandStarted(4, "Tune")), "Wait until this is done: recovering; or stop it."),
        (shown(loaded(), recipe=None), "First put the value right"),
    ):
        assert all(button.disabled and why in button.tooltip for button in buttons(drawn))
    assert not any(button.disabled for button in buttons(shown(loaded())))


def test_every_pair_has_a_cell_for_heads_and_one_for_neurons() -> None:
    """Heads above the diagonal, neurons below; the sign is a minus, and what was not compared is a dash that says why."""
    text = words(shown(loaded(), COMPARED))
    rows = text.split("<tbody>")[1].split("</tr>")[:3]
    assert rows[0].index("−0.12") < rows[0].index("0.75") and 'class="esp-heads" style="--full:0%"' in rows[0]
    assert "--full:41%" in rows[0]  # three quarters of the fullest
    assert 'title="taylor and random, neurons: 0.031, the mean of 5 layers">0.03<' in rows[2]
    assert 'title="random and taylor, heads: no layer in which both tell units apart">–<' in rows[1]
    assert 'title="random and ablation, neurons: not scored by both">–<' in rows[1]
    assert "On heads ablation and taylor (0.75) are most alike, ablation and random (−0.12) least." in text
    assert "Compared on 512 tokens" in text and text.count('scope="row"') == text.count('scope="col"') == 3
