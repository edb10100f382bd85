"""The map of a sweep's cells: menus for its two fields where there are more, and what a place of several recipes shows."""

import bqplot
import ipywidgets

from tests.widgets.sweeps.swept import CUBE, TWO, inside, swept, view_of, words
from widgets.requests import LoadCell
from widgets.sweeps.cells import SIDES, build
from widgets.theme import LIGHT
from widgets.view import Drawn


def menus(card: Drawn) -> list[ipywidgets.Dropdown]:
    """What goes from left to right, and what from the top down."""
    return [each for each in inside(card.widget) if getattr(each, "description", "") in SIDES]


def drawn(card: Drawn) -> bqplot.Figure:
    """The figure of the card."""
    return next(each for each in inside(card.widget) if isinstance(each, bqplot.Figure))


def test_the_menus_are_there_where_more_than_two_fields_vary() -> None:
    """And say which of them the map has; the field of the other side changes places with it."""
    card = build(LIGHT, lambda request: None)
    card.draw(view_of(swept(TWO)))
    row = next(each for each in inside(card.widget) if menus(card)[0] in getattr(each, "children", ()))
    assert row.layout.display == "none"
    card.draw(view_of(swept(CUBE, 5)))
    across, down = menus(card)
    assert row.layout.display is None and [across.value, down.value] == ["criterion", "compensation"]
    down.value = "criterion"
    assert [across.value, down.value] == ["compensation", "criterion"]
    across.value = "neurons.level"
    assert [axis.label for axis in drawn(card).axes] == ["Criterion", "Neurons removed"]
    card.draw(view_of(swept(CUBE)))
    assert [across.value, down.value] == ["neurons.level", "criterion"]


def test_a_click_loads_the_recipe_that_a_place_shows() -> None:
    """And below its number stands how many of its recipes are measured."""
    asked = []
    card = build(LIGHT, asked.append)
    state = swept(CUBE)
    card.draw(view_of(state))
    map_of = next(mark for mark in drawn(card).marks if isinstance(mark, bqplot.GridHeatMap))
    map_of._handle_custom_msgs(None, {"event": "element_click", "data": {"rowNum": 1, "columnNum": 0}})
    here = [cell for cell in CUBE.cells if (cell.set["criterion"], cell.set["compensation"]) == ("random", "bias")]
    assert asked == [LoadCell(min(here, key=lambda cell: state.done[cell.number].perplexity).number)]
    written = [text for mark in drawn(card).marks if isinstance(mark, bqplot.Label) for text in mark.text]
    assert written.count("2/2") == 4 and "best recipe" in words(card) and "8 of 8 recipes" in words(card)
