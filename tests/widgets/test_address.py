"""What an address asks for: a run, a theme, a recipe; whatever else was typed opens the default page."""

from urllib.parse import quote

import pytest

from engine.record.recipe import Recipe, Schedule
from widgets.address import Address, in_voila, read_address, this_address


def test_an_empty_address_is_the_default_page() -> None:
    """No run, the light theme, the default recipe."""
    assert read_address("") == Address("light", "", Recipe(), None)


def test_an_address_names_a_run_and_a_theme() -> None:
    """Both as the page itself writes them."""
    address = read_address("run=20260102T030405Z-gpt2-tiny-abc123&theme=dark")
    assert (address.run, address.theme) == ("20260102T030405Z-gpt2-tiny-abc123", "dark")


def test_an_address_names_a_part_of_the_page() -> None:
    """The laboratory goes unsaid, and a part that there is not is the laboratory."""
    assert read_address("part=sweeps").part == "sweeps" and read_address("part=attic").part == "laboratory"
    assert Address(run="a", part="runs").query() == "?run=a&part=runs"
    assert Address(run="a", part="runs").query(part="laboratory") == "?run=a"


def test_a_recipe_comes_in_the_address() -> None:
    """As URL-encoded JSON, validated like any other."""
    recipe = Recipe(neurons=Schedule(level=0.5), prompt="A & B = <c>")
    assert read_address(f"recipe={quote(recipe.model_dump_json())}").recipe == recipe


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ('{"neurons": {"level": 1.5}}', "neurons.level", "from 0 to 1"),
        ('{"criterion": "actvation"}', "criterion", "did you mean 'activation'?"),
        ("{", "", "not JSON"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_said_and_not_used(text: str, field: str, words: str) -> None:
    """The page opens with the default recipe and the sentence beside its control."""
    address = read_address(f"recipe={quote(text)}")
    assert address.recipe == Recipe()
    assert address.wrong[0] == field and words in address.wrong[1]


@pytest.mark.parametrize("theme", ["", "blue", "dark'><script>"])
def test_a_theme_that_is_none_is_light(theme: str) -> None:
    """Nothing that was typed reaches the page."""
    assert read_address(f"theme={quote(theme)}").theme == "light"


def test_an_address_is_written_as_it_is_read() -> None:
    """What is not said stays; light goes without saying; odd characters are quoted."""
    address = read_address("run=a&theme=dark")
    assert address.query() == "?run=a&theme=dark"
    assert address.query(theme="light") == "?run=a"
    assert read_address(address.query(run="b&theme=light")[1:]).run == "b&theme=light"


def test_only_voila_gives_a_page_its_address() -> None:
    """A notebook elsewhere may have the variable for a reason of its own."""
    voila = {"SERVER_SOFTWARE": "voila/0.5.13", "QUERY_STRING": "theme=dark"}
    assert this_address(voila).theme == "dark" and in_voila(voila)
    assert this_address({"QUERY_STRING": "theme=dark"}).theme == "light"
