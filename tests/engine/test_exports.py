"""Tests of engine/exports.py: the model of a run, as it stands, in a folder for others."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.exports import export
from engine.models.load import load
from engine.models.stored import load_pruned, read_stored
from engine.record import commands as ask
from engine.record.client import open_run
from engine.record.errors import BadInput
from engine.session import run
from engine.workbench import Workbench
from tests.families import make

IDS = torch.arange(2, 34)[None]


def seen(model):
    """Logits on fixed tokens."""
    with torch.no_grad():
        return model(IDS, use_cache=False).logits


@pytest.fixture
def done(recipe, tmp_path):
    """The folder of a run that went to its end."""
    list(run(recipe, tmp_path / "run"))
    return tmp_path / "run"


def until(recipe, folder, last):
    """A run that was left after its first event of that name."""
    for event in run(recipe, folder):
        if type(event).__name__ == last:
            return folder
    raise AssertionError(last)


def test_the_saved_model_is_handed_on_with_all_that_is_known_of_it(done, tmp_path):
    """The same logits, the same record."""
    handed = export(done, tmp_path / "out")
    model, tokenizer = load_pruned(tmp_path / "out")
    before, after = read_stored(done / "model"), read_stored(tmp_path / "out")
    assert torch.equal(seen(model), seen(load_pruned(done / "model")[0])) and tokenizer is not None
    assert (after.results, after.recipe, after.history, after.base) == (
        before.results,
        before.recipe,
        before.history,
        before.base,
    )
    assert handed.exported.form == "pruned" and "differ in width" in handed.says[0]


def test_a_checkpoint_is_laid_over_no_other_weights_than_its_own(recipe, model_folder, tmp_path):
    """The folder of the dense model holds another one by now, of the same shapes: its numbers are not those of the run."""
    own = shutil.copytree(model_folder, tmp_path / "dense")
    wish = recipe.model_copy(update={"model": str(own), "cut": False, "tuning": recipe.tuning.model_copy(update={"steps": 0})})
    list(run(wish, tmp_path / "run"))
    export(tmp_path / "run", tmp_path / "out")
    weights = load_file(own / "model.safetensors")
    save_file({name: one + 0.01 for name, one in weights.items()}, own / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match="are not those that this run has pruned"):
        export(tmp_path / "run", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_dense_export_has_the_logits_of_the_smaller_model(done, tmp_path):
    """For plain transformers, tokenizer and card beside it."""
    handed = export(done, tmp_path / "out", dense=True)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(seen(model), seen(load_pruned(done / "model")[0]), rtol=1e-4, atol=1e-5)
    assert model.num_parameters() == handed.exported.parameters == open_run(done).model.parameters
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("the tree")["input_ids"]
    assert not (tmp_path / "out" / "pruning.json").exists()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "neither smaller nor faster" in card and "`espalier.json` names every unit that is left" in card
    told = json.loads((tmp_path / "out" / "espalier.json").read_text())
    assert told["layers"] == json.loads((done / "model" / "pruning.json").read_text())["layers"]


def test_uniform_neurons_give_a_smaller_model_that_needs_nothing_of_ours(recipe, tmp_path):
    """Heads stay, and every layer loses as many neurons."""
    plan = {"heads": {"level": 0.0}, "neurons": {"level": 0.5, "shape": "uniform"}, "tuning": {"steps": 0}}
    list(run(type(recipe).model_validate(recipe.model_dump() | plan), tmp_path / "run"))
    handed = export(tmp_path / "run", tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert handed.exported.form == "plain" and model.config.n_inner == 20
    torch.testing.assert_close(seen(model), seen(load_pruned(tmp_path / "run" / "model")[0]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("last", ["CheckpointSaved", "ModelCut"])
def test_a_run_that_has_saved_no_model_is_cut_from_its_checkpoint(recipe, tmp_path, last):
    """Compensated and trained as it stands; what was measured so far is told."""
    folder = until(recipe, tmp_path / "run", last)
    assert not (folder / "model").exists()
    export(folder, tmp_path / "out")
    export(folder, tmp_path / "dense", dense=True)
    (tmp_path / "whole").mkdir()
    list(run(recipe, tmp_path / "whole" / "run"))
    model, _ = load_pruned(tmp_path / "out")
    if last == "ModelCut":
        reference, _ = load_pruned(tmp_path / "whole" / "run" / "model")
        torch.testing.assert_close(seen(model), seen(reference), rtol=1e-5, atol=1e-6)
    stored = read_stored(tmp_path / "out")
    assert [step["reason"] for step in stored.history] == (["prune"] if last == "CheckpointSaved" else ["prune", "tune"])
    assert "baseline" in stored.results.perplexity and stored.recipe["seed"] == recipe.seed


def test_a_model_that_was_saved_before_the_last_change_is_not_what_is_exported(done, tmp_path):
    """The newer checkpoint is."""
    lines = (done / "events.jsonl").read_text().splitlines()
    facts = [json.loads(line) for line in lines]
    back = next(one for one in facts if one["event"] == "CheckpointSaved" and one["reason"] == "prune")
    undone = {"seq": len(lines), "at": facts[-1]["at"], "event": "Undone", "checkpoint": back["checkpoint"]}
    (done / "events.jsonl").write_text("\n".join([*lines, json.dumps(undone)]) + "\n")
    export(done, tmp_path / "out")
    assert [step["reason"] for step in read_stored(tmp_path / "out").history] == ["prune"]


def test_biases_that_cannot_be_kept_are_told_with_what_they_are_worth(recipe, model_folder, tmp_path):
    """Mistral has none: least squares gives it some, and the perplexity is measured with and without them."""
    mistral = make("mistral-grouped", dtype=torch.float32)
    tokenizer = load(model_folder).tokenizer
    mistral.resize_token_embeddings(len(tokenizer))
    mistral.save_pretrained(tmp_path / "mistral")
    tokenizer.save_pretrained(tmp_path / "mistral")
    changes = {"model": str(tmp_path / "mistral"), "tuning": {"steps": 0}, "heads": {"level": 0.0}}
    list(run(type(recipe).model_validate(recipe.model_dump() | changes), tmp_path / "run"))
    handed = export(tmp_path / "run", tmp_path / "out", dense=True)
    assert handed.exported.left_out and "the perplexity is" in handed.says[1] and "without them and" in handed.says[1]
    assert "add_biases to false" in handed.says[2]
    changes["add_biases"] = False
    list(run(type(recipe).model_validate(recipe.model_dump() | changes), tmp_path / "again"))
    handed = export(tmp_path / "again", tmp_path / "kept", dense=True)
    assert handed.exported.left_out == () and handed.exported.difference < 1e-4 and len(handed.says) == 1


def test_what_cannot_be_exported_is_told_in_one_sentence(recipe, done, tmp_path):
    """No run, nothing pruned yet, a folder that is taken, a broken checkpoint, a broken model."""
    with pytest.raises(BadInput, match="holds no run"):
        export(tmp_path, tmp_path / "out")
    with pytest.raises(BadInput, match="has no pruned model yet"):
        export(until(recipe, tmp_path / "early", "UnitsScored"), tmp_path / "out")
    with pytest.raises(BadInput, match="is not empty"):
        export(done, done)
    broken = until(recipe, tmp_path / "broken", "CheckpointSaved")
    (broken / "checkpoints" / "step-000001" / "fitted.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match="The checkpoint 'step-000001' is damaged: .* export again."):
        export(broken, tmp_path / "out")
    shutil.rmtree(broken / "checkpoints" / "step-000001")
    with pytest.raises(BadInput, match="The checkpoint 'step-000001' is damaged: .* export again."):
        export(broken, tmp_path / "out")
    weights = done / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    (done / "checkpoints" / "step-000002" / "state.json").write_text("{")
    with pytest.raises(
        BadInput, match="The checkpoint 'step-000002' is damaged: .* is over .* python -m engine run .*recipe.json"
    ):
        export(done, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_saved_model_that_is_damaged_is_cut_again_from_the_checkpoint(done, tmp_path):
    """The same model, and a sentence that says so."""
    before, _ = load_pruned(done / "model")
    weights = done / "model" / "model.safetensors"
    flipped = bytearray(weights.read_bytes())
    flipped[-9] ^= 1
    weights.write_bytes(flipped)
    says = export(done, tmp_path / "out").says
    assert says[0].startswith("Cut from the checkpoint step-000002, since the model that the run has saved cannot be used. ")
    torch.testing.assert_close(seen(load_pruned(tmp_path / "out")[0]), seen(before), rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_another_run_is_not_what_is_exported(recipe, done, tmp_path):
    """Put in the place of the run's own one, with the same name and of the same model."""
    list(run(recipe.model_copy(update={"seed": 5}), tmp_path / "other"))
    shutil.rmtree(done / "model")
    shutil.rmtree(done / "checkpoints" / "step-000002")
    shutil.copytree(tmp_path / "other" / "checkpoints" / "step-000002", done / "checkpoints" / "step-000002")
    with pytest.raises(BadInput, match="'step-000002' is damaged: it is of another run"):
        export(done, tmp_path / "out")


def test_the_record_of_a_model_has_the_recipe_that_was_carried_out(recipe, tmp_path):
    """A worker that takes over after recipe.json was changed carries out what was asked, and the card says that."""
    folder = until(recipe, tmp_path / "run", "UnitsScored")
    bench = Workbench(folder, recipe.model_copy(update={"seed": 77, "criterion": "random"}))
    for command in ask.commands_of(recipe):
        if isinstance(command, ask.Load | ask.Prune | ask.Cut | ask.Save):
            list(bench.handle(command))
    bench.close()
    assert read_stored(folder / "model").recipe == recipe.model_dump(mode="json")
    assert "--set seed=77" not in (folder / "model" / "README.md").read_text()


def test_an_export_changes_nothing_in_the_run(done, tmp_path):
    """Neither its files nor the model that it was cut from."""
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    export(done, tmp_path / "out", dense=True)
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before
