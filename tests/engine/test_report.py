"""Tests of engine/report.py: models, plans and records as plain numbers."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from engine import report
from engine.models.anatomy import dissect
from engine.models.load import Loaded, load
from engine.pruning.checkpoint import save
from engine.pruning.compensate import Compensation
from engine.pruning.cut import cut
from engine.pruning.plan import Plan, Scores
from engine.record.costs import Latency, Memory
from engine.record.errors import BadInput
from engine.record.events import Compensated, Evaluated, Residual
from tests.families import FAMILIES, make

PLAN = Plan(heads={(1, 2), (0, 1), (1, 0)}, neurons={(1, 4), (1, 5), (0, 0)})
MEASURED = Evaluated("pruned", 12.0, 100.0, 40, "text", 32, "float32")


def test_auto_takes_an_accelerator_where_there_is_one():
    """Else the CPU, which is always there."""
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    assert (report.pick_device("auto") == "cpu") == (not accelerated)
    assert report.pick_device("cpu") == "cpu"


def test_a_device_that_is_not_there_is_refused():
    """With those that are."""
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(BadInput, match=f"^device '{missing}' is not on this machine; use auto or one of: .*cpu"):
        report.pick_device(missing)


def test_a_model_is_told_layer_by_layer(model_folder):
    """The numbers of its anatomy."""
    loaded = load(model_folder)
    told = report.loaded_as(loaded, "cpu", torch.bfloat16)
    assert (told.model, told.family, told.device, told.precision) == (str(model_folder), "gpt2", "cpu", "bfloat16")
    assert told.head_parameters == tuple(layer.head_parameters for layer in loaded.anatomy.layers)
    assert told.vocabulary == loaded.model.config.vocab_size and len(told.neurons) == 3


def test_groups_are_told_with_what_goes_with_them(tmp_path):
    """Three of two heads in each layer, each heavier than its heads by the key and the value that they share."""
    model = make("llama-grouped")
    loaded = Loaded("grouped", model, None, dissect(model), tmp_path)
    told = report.loaded_as(loaded, "cpu", torch.float64)
    assert (told.heads, told.groups) == ((6, 6), (3, 3))
    assert told.group_parameters == tuple(2 * head + 2 * 4 * 24 for head in told.head_parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_counts_of_a_plan_are_those_of_the_cut(family):
    """Parameters after, as they are counted in the smaller model."""
    model = make(family)
    told = report.counts(PLAN, dissect(model))
    assert (told["head_counts"], told["neuron_counts"]) == ((1, 2), (1, 2))
    assert told["heads"] == ((0, 1), (1, 0), (1, 2))
    assert told["parameters_before"] == report.size_of(model)[0]
    assert told["parameters_after"] == report.size_of(cut(model, PLAN))[0]


def test_size_counts_a_shared_tensor_once():
    """GPT-2's output embedding is its input embedding."""
    model = make("gpt2", dtype=torch.float32)
    parameters, size = report.size_of(model)
    assert parameters == sum(one.numel() for name, one in model.state_dict().items() if name != "lm_head.weight")
    assert size == 4 * parameters
    assert report.size_of(model.to(torch.float16)) == (parameters, 2 * parameters)


def record(part: str, **changes) -> Compensation:
    """What compensation says of one output projection with a bias, 8 of its channels kept, and enough text."""
    plain = Compensation(0, part, "least-squares", 4, 8, 512, 1.0, 0.5, 2.0, bias="", wanted=40, exact=True)
    return replace(plain, **changes)


def test_compensations_become_one_event():
    """Residuals by projection, and what was done about biases in words."""
    records = (record("attention"), record("mlp", bias="added"), record("mlp", layer=1, compensated=0.25, bias="added"))
    told = report.compensated("least-squares", records)
    assert (told.method, told.tokens) == ("least-squares", 512)
    assert told.residuals == report.residuals(records)
    assert told.residuals[2] == Residual(1, "mlp", 1.0, 0.25, 2.0) and told.residuals[2].relative == 0.125
    assert told.notes == ("2 output projections without a bias got one.",)
    (note,) = report.compensated("bias", (record("mlp", method="bias", bias="none"),)).notes
    assert note == "1 output projection without a bias got none, so nothing was corrected there."
    assert report.compensated("bias", ()) == Compensated("bias", 0, (), ())


def test_a_saved_model_tells_base_recipe_history_and_protocol(model_folder):
    """In plain JSON; without a measurement there is no protocol."""
    loaded, history = load(model_folder), [{"reason": "prune"}]
    told = report.about(loaded, {"seed": 1}, history, {"pruned": MEASURED}, None)
    assert json.loads(json.dumps(told)) == told
    assert told["base"] == {"model": str(model_folder), "revision": None}
    assert (told["recipe"], told["history"], told["results"]["perplexity"]) == ({"seed": 1}, history, {"pruned": 12.0})
    assert told["protocol"] == {"corpus": "text", "tokens": 40, "sequence_length": 32, "dtype": "float32"}
    assert report.about(loaded, {}, [], {}, None)["protocol"] is None


def test_what_was_cut_from_a_cut_model_tells_the_dense_one(model_folder, tmp_path):
    """And all that was done to it, the earlier first."""
    loaded = load(model_folder)
    first = report.about(loaded, {"seed": 1}, [{"reason": "prune"}], {}, None) | {"base": {"model": "a/b", "revision": "c0"}}
    save(cut(loaded.model, Plan({(0, 1)})), tmp_path / "model", tokenizer=loaded.tokenizer, about=first)
    told = report.about(load(tmp_path / "model"), {"seed": 2}, [{"reason": "tune"}], {}, None)
    assert told["base"] == {"model": "a/b", "revision": "c0"}
    assert [step["reason"] for step in told["history"]] == ["prune", "tune"] and told["recipe"] == {"seed": 2}


def test_a_cut_is_told_beside_the_dense_model(tmp_path):
    """Parameters, bytes, files, and what was timed, with the machine that it was timed on."""
    dense = make("gpt2", dtype=torch.float32)
    smaller = cut(dense, PLAN)
    costs = [
        (Latency(1, 8, 0.2, 0.1, 7), Memory(1, 8, 400, 300)),
        (Latency(1, 8, 0.02, 0.01, 7, "decode"), Memory(1, 8, None, None)),
    ]
    told = report.cut_as(dense, smaller, costs, 1e-6)
    assert (told.parameters_before, told.bytes_before) == report.size_of(dense)
    assert (told.parameters_after, told.bytes_after) == report.size_of(smaller)
    assert (told.latency, told.memory) == (tuple(one for one, _ in costs), tuple(one for _, one in costs))
    assert told.file_stored is None
    save(smaller, tmp_path / "model")
    assert told.file_after == (tmp_path / "model" / "model.safetensors").stat().st_size < told.file_before
    assert "float32" in told.machine and torch.__version__ in told.machine


def test_what_the_dense_model_takes_as_it_is_stored_is_told_beside(tmp_path):
    """In half precision it is a smaller file than the cut model's, which is float32; in shards it is their sum."""
    dense = make("gpt2", dtype=torch.float32)
    smaller = cut(dense, PLAN)
    dense.half().save_pretrained(tmp_path, max_shard_size="4KB")
    sizes = [path.stat().st_size for path in tmp_path.glob("*.safetensors")]
    told = report.cut_as(dense.float(), smaller, [], 0.0, tmp_path)
    assert len(sizes) > 1 and told.file_stored == sum(sizes) < told.file_after < told.file_before
    assert report.stored_size(tmp_path / "nowhere") is None
    (tmp_path / "adapter.safetensors").write_bytes(b"another file")
    assert report.stored_size(tmp_path) == sum(sizes), "no more than what the model is read from"


def test_scores_are_written_whole(tmp_path):
    """To the bit, ragged layers and all; again over the file that is there."""
    for top in (0.1 + 0.2, 5.0):
        scores = Scores(heads=((1.0, top), ()), neurons=((3.0,), (1e-300, 5.0)))
        name = report.write_scores(tmp_path, "activation", scores)
        assert name == "artifacts/scores-activation.safetensors"
        found = {key: tensor.tolist() for key, tensor in load_file(tmp_path / name).items()}
        assert found == {"heads.0": [1.0, top], "heads.1": [], "neurons.0": [3.0], "neurons.1": [1e-300, 5.0]}
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["scores-activation.safetensors"]
    assert report.write_scores(None, "activation", scores) is None
