"""What is refused before torch is there: the field is named, what is there passes, and nothing is left behind."""

import json
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.models.load import load
from engine.record.beforehand import check_beforehand, model_folder
from engine.record.catalogue import BUILTIN, builtin_models
from engine.record.errors import BadInput
from engine.record.recipe import Recipe
from engine.text.texts import Texts

NOWHERE = "/no/such/place"
REFUSED = {
    "model": ({"model": NOWHERE}, "There is no folder"),
    "a file as a model": ({"model": __file__}, "is a file"),
    "corpus": ({"corpus": f"file:{NOWHERE}"}, "is not there; write the path of a text file"),
    "a dump as a corpus": ({"corpus": f"wikipedia-dump:{NOWHERE}"}, "is not there; write the path of a pages-articles"),
    "one corpus of three": (
        {"corpus": {"train": __file__, "calibration": __file__, "evaluation": NOWHERE}},
        "corpus.evaluation '/no/such/place' is not there",
    ),
    "calibration.sequence_length": ({"calibration": {"sequence_length": 512}}, "is more than the 256 positions"),
    "evaluation.sequence_length": ({"evaluation": {"sequence_length": 512}}, "is more than the 256 positions"),
    "heads.layers": ({"heads": {"shape": "custom", "layers": [0.1, 0.2]}}, "heads.layers: .* the model has 6 layers"),
    "tuning.sequence_length": ({"tuning": {"sequence_length": 512}}, "is more than the 256 positions"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_there_or_does_not_fit_is_refused(what: str) -> None:
    """With the field that it came from, and what to do."""
    asked, said = REFUSED[what]
    with pytest.raises(BadInput, match=said) as caught:
        check_beforehand(Recipe.model_validate_json(json.dumps(asked)))
    assert caught.value.field == ("model" if "model" in what else "corpus" if "corpus" in what else what)


def test_what_is_there_passes(tmp_path: Path) -> None:
    """Every built-in model, a folder, the hub's names, and a length that nobody will train on."""
    (tmp_path / "some.txt").write_text("words")
    for model in (*(each.name for each in builtin_models()), str(tmp_path), "gpt2", "facebook/opt-125m@main"):
        check_beforehand(Recipe(model=model, corpus=f"file:{tmp_path / 'some.txt'}"))
    unused = {"steps": 0, "sequence_length": 4096}
    check_beforehand(Recipe.model_validate_json(json.dumps({"tuning": unused})))


def test_a_length_is_refused_as_by_whoever_would_make_the_blocks() -> None:
    """The same sentence, with the model's own positions."""
    loaded = load("opt-tiny")
    texts = Texts(None, loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    with pytest.raises(BadInput) as late:
        texts.blocks("evaluation", 512, 1024, "evaluation")
    with pytest.raises(BadInput) as early:
        check_beforehand(Recipe.model_validate_json('{"model": "opt-tiny", "evaluation": {"sequence_length": 512}}'))
    assert str(early.value) == str(late.value) and early.value.field == late.value.field


def test_a_folder_stands_for_itself_and_a_name_for_the_built_in_one(tmp_path: Path) -> None:
    """A package's and the hub's models have no folder yet."""
    assert model_folder(str(tmp_path)) == tmp_path and model_folder("gpt2-tiny") == BUILTIN / "gpt2-tiny"
    assert model_folder("smollm2-135m") is None and model_folder("EleutherAI/pythia-70m") is None


def test_the_command_line_leaves_no_run_of_what_it_refuses(tmp_path: Path, monkeypatch, capsys) -> None:
    """Exit status 2, one line, and no folder."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"model": NOWHERE}))
    assert main(["run", str(recipe)]) == 2 and main(["run", str(recipe), "--folder", str(tmp_path / "run")]) == 2
    assert "There is no folder" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "home").exists() and not (tmp_path / "run").exists()
