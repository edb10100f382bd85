"""Tests of engine/record/errors.py: refusals in words."""

from pathlib import Path

import pytest

from engine.record.errors import BadInput, UnknownName, blaming, counted, shorten


def test_an_unknown_name_offers_the_nearest_one_and_lists_all():
    """A typing mistake is answered with what was probably meant."""
    error = UnknownName("criterion", "activaton", ("activation", "random"))
    assert str(error) == "criterion 'activaton' is not known (did you mean 'activation'?); known are activation, random."
    assert isinstance(error, BadInput) and isinstance(error, ValueError)


def test_a_name_that_resembles_nothing_gets_no_offer():
    """A guess that is no help is not made."""
    assert "did you mean" not in str(UnknownName("criterion", "xyz", ("activation", "random")))


def test_a_near_name_may_lie_besides_the_known_ones():
    """What is known elsewhere can be meant, but is not listed."""
    said = str(UnknownName("field", "level", ("model",), besides=("heads.level",)))
    assert said == "field 'level' is not known (did you mean 'heads.level'?); known are model."


@pytest.mark.parametrize("name", [None, 3, ["list"], "x" * 100_000, "\ud800", "line\nbreak"])
def test_any_value_can_be_an_unknown_name(name):
    """The sentence stays one line, short, and can be encoded, whatever was given."""
    said = str(UnknownName("shape", name, ("linear",)))
    assert len(said) < 200 and "\n" not in said and said.encode()


def test_shorten_cuts_to_the_limit_and_says_so():
    """A pasted book does not become an error message."""
    assert shorten("word") == "'word'"
    assert len(shorten("x" * 1000)) == 60 and shorten("x" * 1000).endswith("…")
    assert shorten([1, 2, 3], limit=5) == "[1, …"


def test_a_shortened_path_keeps_both_ends():
    """Which file it is stands at the end; a long text that only has a slash in it is no path."""
    path = "/home/somebody/with/a/very/long/way/through/many/folders/corpus/notes.txt"
    for given in (path, Path(path), f"file:{path}", path.replace("/home", "~", 1), path.replace("/home", "..", 1)):
        said = shorten(given)
        assert len(said) == 60 and said.endswith("corpus/notes.txt'") and "…" in said and str(given)[:8] in said
    assert shorten("either/or " * 50).endswith("…")
    assert shorten("/" + "x" * 1000).endswith("…")
    assert shorten("/a/b.txt") == "'/a/b.txt'" == shorten(Path("/a/b.txt"))


def test_blame_goes_to_the_field_nearest_to_the_error():
    """Whoever is nearer to the mistake knows better what was wrong."""
    with pytest.raises(BadInput) as caught, blaming("outer"), blaming("inner"):
        raise BadInput("no")
    assert caught.value.field == "inner"


def test_blame_leaves_other_errors_alone():
    """Only refusals come from a field."""
    with pytest.raises(ZeroDivisionError), blaming("field"):
        _ = 1 / 0


def test_one_of_something_is_not_many():
    """Thousands are set apart."""
    assert [counted(number, "layer") for number in (0, 1, 2, 1024)] == ["0 layers", "1 layer", "2 layers", "1,024 layers"]
