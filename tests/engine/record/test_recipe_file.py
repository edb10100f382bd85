"""Tests of engine/record/recipe_file.py: what was written is a recipe, with what was changed, or is refused in one sentence."""

import io
import json
import sys

import pytest

from engine.record.errors import BadInput
from engine.record.recipe_file import read_recipe, read_text


def test_a_recipe_is_read_with_what_is_changed(tmp_path):
    """From a file; the changes are those of --set."""
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"model": "opt-tiny", "heads": {"level": 0.1}}))
    assert read_recipe(str(path), []).heads.level == 0.1
    assert read_recipe(str(path), ["heads.level=0.5", "seed=3"]).model_dump(include={"seed"}) == {"seed": 3}


def test_a_dash_is_standard_input(monkeypatch):
    """As other programs have it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"seed": 7}'))
    assert read_recipe("-", []).seed == 7


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (b"{", "The recipe is not JSON"),
        (b"[" * 100_000, "The recipe is not JSON"),
        (b'{"seed": -1}', "seed"),
        (b"\xff\xfe", "is not UTF-8 text; save it as UTF-8."),
    ],
)
@pytest.mark.parametrize("changes", [[], ["seed=1"]])
def test_what_is_no_recipe_is_refused_in_one_sentence(written, why, changes, tmp_path):
    """Whether or not it is changed on the way, but for a field that the change makes good."""
    path = tmp_path / "recipe.json"
    path.write_bytes(written)
    if changes and why == "seed":
        assert read_recipe(str(path), changes).seed == 1
        return
    with pytest.raises(BadInput, match=why):
        read_recipe(str(path), changes)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """By what it should have been."""
    with pytest.raises(BadInput, match=r"^sweep file .*gone\.json' cannot be read: No such file or directory"):
        read_text(str(tmp_path / "gone.json"), "sweep")
