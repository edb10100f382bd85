"""A saved model comes back bit for bit, or is refused in one sentence that says what is wrong with its folder."""

import json
import os
import re
from copy import deepcopy

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from engine.models.anatomy import dissect
from engine.models.narrow import kept_of
from engine.pruning.checkpoint import load_pruned, save
from engine.pruning.cut import cut
from engine.pruning.export import export
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from tests.families import FAMILIES, NAMES, as_left, every_head, groups, logits, make, tokens

EMPTY_AND_RAGGED = Plan({(0, 0), (0, 1), (0, 2)}, {(0, 1), (0, 4)})


def few(anatomy):
    """Every head of the first layer that may go and one group of the last, some neurons."""
    return Plan(every_head(anatomy, 0) | groups(anatomy, (len(anatomy.layers) - 1, 1)), {(0, 1), (0, 4)})


@pytest.fixture
def saved(tmp_path):
    """The folder of a cut GPT-2."""
    save(cut(make("gpt2"), EMPTY_AND_RAGGED), tmp_path / "model", about={"recipe": {"level": 0.3}})
    return tmp_path / "model"


def edit(path, **changes):
    """Overwrite fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", NAMES)
def test_a_round_trip_keeps_every_bit(name, tmp_path):
    """Cut, saved and loaded: the same logits, anatomy, kept units and ties, for every family and odd option."""
    model = make(name)
    smaller = cut(model, few(dissect(model)))
    save(smaller, tmp_path / "model")
    loaded, tokenizer = load_pruned(tmp_path / "model")
    assert torch.equal(logits(loaded), logits(smaller))
    assert dissect(loaded) == dissect(smaller) and kept_of(loaded) == kept_of(smaller)
    assert (loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight) == model.config.tie_word_embeddings
    assert tokenizer is None and not loaded.training


@pytest.mark.parametrize("name", FAMILIES)
def test_a_dense_model_round_trips_too(name, tmp_path):
    """Nothing cut is a cut of nothing."""
    model = make(name)
    save(model, tmp_path / "model")
    assert torch.equal(logits(load_pruned(tmp_path / "model")[0]), logits(model))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_round_trips_with_its_rounded_buffers(name, dtype, tmp_path):
    """`.half()` rounds the rotary frequencies of GPT-NeoX as well, and they come back as they were."""
    smaller = cut(make(name).to(dtype), EMPTY_AND_RAGGED)
    save(smaller, tmp_path / "model")
    loaded, _ = load_pruned(tmp_path / "model")
    assert loaded.dtype == dtype
    assert torch.equal(logits(loaded), logits(smaller))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_loaded_model_can_be_gated_cut_trained_and_saved_again(name, tmp_path):
    """Its units keep their original numbers through a second cut and a second file."""
    dense = make(name)
    save(cut(dense, EMPTY_AND_RAGGED), tmp_path / "one")
    loaded, _ = load_pruned(tmp_path / "one")
    more = as_left(loaded, Plan(heads={(1, 2)}, neurons={(0, 5), (1, 0)}))
    with Gates(loaded) as gates:
        gates.set(more)
        gated = logits(loaded)
    save(cut(loaded, more), tmp_path / "two")
    again, _ = load_pruned(tmp_path / "two")
    assert torch.allclose(logits(again), gated, rtol=0, atol=1e-10)
    assert kept_of(again).heads == ((), (0, 1))
    assert 5 not in kept_of(again).neurons[0] and 0 not in kept_of(again).neurons[1]
    again.train()(tokens(), labels=tokens()).loss.backward()
    assert again.get_input_embeddings().weight.grad.abs().max() > 0


def test_generation_settings_and_the_cache_survive(tmp_path):
    """What `generate` was told to do by default, it does after loading."""
    smaller = cut(make("opt"), EMPTY_AND_RAGGED)
    smaller.generation_config.max_new_tokens = 7
    smaller.generation_config.do_sample = False
    save(smaller, tmp_path / "model")
    loaded, _ = load_pruned(tmp_path / "model")
    assert torch.equal(loaded.generate(tokens(1, 4)), smaller.generate(tokens(1, 4)))
    assert loaded.generate(tokens(1, 4)).shape == (1, 11)


def test_a_bias_that_compensation_added_is_saved(tmp_path):
    """OPT without biases may get one at an output projection; the file names it and the loader takes it."""
    model = make("opt-no-bias")
    output = model.get_submodule(dissect(model).layers[1].mlp_output)
    output.bias = torch.nn.Parameter(torch.randn(12, dtype=torch.float64))
    smaller = cut(model, EMPTY_AND_RAGGED)
    save(smaller, tmp_path / "model")
    assert json.loads((tmp_path / "model" / "pruning.json").read_text())["added_biases"] == ["model.decoder.layers.1.fc2.bias"]
    assert torch.equal(logits(load_pruned(tmp_path / "model")[0]), logits(smaller))


def test_the_tokenizer_comes_along(tmp_path):
    """Saved with the model and given back with it."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")))
    save(cut(make("gpt2"), EMPTY_AND_RAGGED), tmp_path / "model", tokenizer=tokenizer)
    _, loaded = load_pruned(tmp_path / "model")
    assert loaded.convert_tokens_to_ids(["b", "a"]) == [1, 0]


def test_the_folder_holds_only_safetensors_json_and_a_card(saved):
    """And says in plain JSON what was kept, by original number, and what the writer had to say."""
    files = ["README.md", "config.json", "generation_config.json", "model.safetensors", "pruning.json"]
    assert sorted(os.listdir(saved)) == files
    facts = json.loads((saved / "pruning.json").read_text())
    assert (
        facts["format"] == 2 and facts["family"] == "gpt2" and facts["recipe"] == {"level": 0.3} and facts["added_biases"] == []
    )
    assert facts["layers"][0] == {"heads": [], "groups": [], "neurons": [n for n in range(20) if n not in (1, 4)]}
    assert facts["layers"][1]["groups"] == facts["layers"][1]["heads"] == [0, 1, 2]
    assert json.loads((saved / "config.json").read_text())["n_head"] == 3


def test_saving_again_replaces_and_leaves_nothing_beside(saved):
    """The old model is gone as a whole, and no half-written folder stays."""
    save(make("gpt2"), saved)
    assert load_pruned(saved)[0].num_parameters() == make("gpt2").num_parameters()
    assert os.listdir(saved.parent) == ["model"]


def test_a_save_that_fails_leaves_the_old_model(saved):
    """An error while writing, here in the tokenizer, costs nothing that was there."""

    class Full:
        def save_pretrained(self, folder):
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        save(make("gpt2"), saved, tokenizer=Full())
    assert load_pruned(saved)[0].num_parameters() < make("gpt2").num_parameters()
    assert os.listdir(saved.parent) == ["model"]


def test_a_folder_with_something_else_in_it_is_never_replaced(tmp_path):
    """Saving over somebody's files, or over a file, is refused; an empty folder is taken."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    for place in (tmp_path / "thesis", tmp_path / "thesis" / "chapter.txt"):
        with pytest.raises(BadInput, match="name a new folder"):
            save(make("gpt2"), place)
    (tmp_path / "empty").mkdir()
    save(make("gpt2"), tmp_path / "empty")
    assert (tmp_path / "empty" / "pruning.json").is_file()


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"recipe": {"x": float("nan")}}, "no JSON"),
        ({"recipe": {"x": object()}}, "no JSON"),
        ({"protocol": {"x": {1, 2}}}, "no JSON"),
        ({"level": 0.3}, "about is wrong at level"),
        ({"results": {"perplexity": {"pruned": "low"}}}, "about is wrong at results.perplexity.pruned"),
        ({"base": {"revision": None}}, "about is wrong at base.model"),
        ({"family": "opt"}, "'family', which the model itself tells"),
    ],
)
def test_an_about_that_says_nothing_that_can_be_kept_is_refused(about, said, tmp_path):
    """Before anything is written."""
    with pytest.raises(BadInput, match=said):
        save(make("gpt2"), tmp_path / "model", about=about)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("write", [save, export])
def test_closed_gates_are_not_lost_in_a_file_but_refused(name, write, tmp_path):
    """They are no weights: the sentence names what makes them so. Open ones, and a model cut meanwhile, hinder nothing."""
    model, plan = make(name), Plan(neurons={(0, 1)})
    with Gates(model) as gates:
        gates.set(plan)
        with pytest.raises(BadInput, match=r"save what cut\(model, plan\) returns"):
            write(deepcopy(model), tmp_path / "model")
        assert not (tmp_path / "model").exists()
        write(cut(model, plan), tmp_path / "model")
        gates.open(neurons=plan.neurons)
        write(model, tmp_path / "open")
    assert kept_of(load_pruned(tmp_path / "model")[0]).neurons[0] == (0, *range(2, 20))


def test_a_model_that_somebody_else_narrowed_is_not_saved(tmp_path):
    """Nothing tells which of its units are left."""
    model = make("opt")
    layer = model.model.decoder.layers[0]
    layer.fc1.weight = torch.nn.Parameter(layer.fc1.weight.detach()[:5])
    layer.fc1.bias = torch.nn.Parameter(layer.fc1.bias.detach()[:5])
    layer.fc2.weight = torch.nn.Parameter(layer.fc2.weight.detach()[:, :5])
    with pytest.raises(BadInput, match="other widths"):
        save(model, tmp_path / "model")


@pytest.mark.parametrize("name", ["pruning.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_named(saved, name):
    """Each of the three that make a model."""
    (saved / name).unlink()
    with pytest.raises(BadInput, match=name):
        load_pruned(saved)


@pytest.mark.parametrize("name", ["pruning.json", "config.json", "model.safetensors", "generation_config.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(saved, name, share):
    """At any length, without a crash of the reader."""
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadInput, match=name):
        load_pruned(saved)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    """With the name of the file that would make it one."""
    with pytest.raises(BadInput, match=r"no pruning\.json"):
        load_pruned(tmp_path / "nowhere")


def test_a_newer_format_is_refused(saved):
    """Rather than read as if it were this one."""
    edit(saved / "pruning.json", format=3, something_new=True)
    with pytest.raises(BadInput, match="format 3"):
        load_pruned(saved)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": []}, "0 layers"),
        ({"layers": [{"heads": [0, 1, 3], "neurons": [0]}] * 2}, "from 0 to 2"),
        ({"layers": [{"heads": [1, 0], "neurons": [0]}] * 2}, "ascending"),
        ({"layers": [{"heads": [0, 0], "neurons": [0]}] * 2}, "at most once"),
        ({"layers": [{"heads": [0], "neurons": [0]}] * 2}, "shape"),
        ({"layers": [{"heads": ["0"], "neurons": [0]}] * 2}, "integer"),
        ({"layers": 3}, "array"),
        ({"family": "opt"}, "'opt'"),
        ({"format": 0}, "has format 0; there are the formats 1 to 2"),
        ({"format": -7}, "has format -7"),
        ({"added_biases": ["nowhere.bias"]}, "added bias 'nowhere.bias', and model.safetensors has none"),
        ({"format": "1"}, "format"),
        ({"shared": {}}, r"lm_head\.weight is missing"),
        ({"shared": {"lm_head.weight": "nothing"}}, "nothing"),
        ({"shared": {"elsewhere": "transformer.wte.weight"}}, "elsewhere"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(saved, changes, said):
    """In one sentence that names the place."""
    edit(saved / "pruning.json", **changes)
    with pytest.raises(BadInput, match=said):
        load_pruned(saved)


def test_weights_that_do_not_fit_are_refused(saved):
    """A missing, a surplus, a misshapen and an integer tensor, each by its name."""
    tensors = load_file(saved / "model.safetensors")
    name = "transformer.h.1.mlp.c_fc.weight"
    for changed, said in [
        ({key: one for key, one in tensors.items() if key != name}, f"{name} is missing"),
        (tensors | {"transformer.h.9.surplus": torch.zeros(2)}, "surplus"),
        (tensors | {name: tensors[name][:, :-1].contiguous()}, f"{name} has the shape"),
        (tensors | {name: tensors[name].to(torch.int32)}, "floating-point"),
        (tensors | {name: tensors[name].to(torch.float8_e4m3fn)}, "floating-point numbers, in torch.float64"),
    ]:
        save_file(changed, saved / "model.safetensors")
        with pytest.raises(BadInput, match=said):
            load_pruned(saved)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", lambda facts: {"layer_norm_epsilon": 0.5}),
        ("pruning.json", lambda facts: {"recipe": {"level": 0.4}}),
        ("pruning.json", lambda facts: {"layers": [facts["layers"][0] | {"neurons": _moved(facts)}, *facts["layers"][1:]]}),
        ("pruning.json", lambda facts: {"files": {}}),
    ],
)
def test_a_file_that_was_changed_is_refused_where_it_still_makes_sense(saved, name, change):
    """Another epsilon gives other logits, and another number of a neuron another account of what is left."""
    edit(saved / name, **change(json.loads((saved / name).read_text())))
    with pytest.raises(BadInput, match=rf"{name} in .* copy the folder again"):
        load_pruned(saved)


def _moved(facts):
    """As many neurons of the first layer, one of them another: 1, which went, for 2, which is left."""
    return sorted({1 if neuron == 2 else neuron for neuron in facts["layers"][0]["neurons"]})


def test_a_bias_of_which_the_record_does_not_speak_is_refused(saved):
    """Whoever strips the digests from a record has still to tell what was added."""
    tensors = load_file(saved / "model.safetensors")
    save_file(tensors | {"lm_head.bias": torch.zeros(3).double()}, saved / "model.safetensors")
    with pytest.raises(BadInput, match=r"an added bias 'lm_head\.bias', of which pruning\.json does not speak"):
        load_pruned(saved)


def test_settings_of_generation_may_be_changed(saved):
    """They are the user's own, and have no digest."""
    edit(saved / "generation_config.json", temperature=0.5)
    assert load_pruned(saved)[0].generation_config.temperature == 0.5


@pytest.mark.parametrize("lost", ["sha256", "seal", "files"])
@pytest.mark.parametrize("how", ["removed", "null"])
def test_a_record_that_has_lost_a_digest_is_refused(saved, lost, how):
    """All that is written now has all three: without one of them nobody would see what else was changed."""
    facts = json.loads((saved / "pruning.json").read_text()) | {lost: None}
    facts["layers"][0]["neurons"] = _moved(facts)
    (saved / "pruning.json").write_text(json.dumps({k: v for k, v in facts.items() if how == "null" or k != lost}))
    with pytest.raises(
        BadInput, match=rf"pruning\.json in .* (has lost its {lost}|has lost the digest of config|wrong at 'files')"
    ):
        load_pruned(saved)


def test_the_digest_of_every_file_that_makes_the_model_is_wanted(tmp_path):
    """A plain export has buffers beside its weights."""
    export(cut(make("llama"), Plan(neurons={(0, 1), (1, 1)})), tmp_path / "model")
    facts = json.loads((tmp_path / "model" / "pruning.json").read_text())
    assert sorted(facts["files"]) == ["buffers.safetensors", "config.json"] and load_pruned(tmp_path / "model")
    for name in facts["files"]:
        edit(tmp_path / "model" / "pruning.json", files={key: one for key, one in facts["files"].items() if key != name})
        with pytest.raises(BadInput, match=f"has lost the digest of {name}"):
            load_pruned(tmp_path / "model")


@pytest.mark.parametrize("other", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_two_dtypes_are_neither_saved_nor_loaded(saved, other):
    """torch would say so too, but in the middle of the first pass."""
    name = "transformer.h.1.mlp.c_fc.weight"
    model = make("gpt2")
    model.get_parameter(name).data = model.get_parameter(name).data.to(other)
    with pytest.raises(BadInput, match="one dtype"):
        save(model, saved.parent / "other")
    assert not (saved.parent / "other").exists()
    tensors = load_file(saved / "model.safetensors")
    save_file(tensors | {name: tensors[name].to(other)}, saved / "model.safetensors")
    with pytest.raises(BadInput, match=f"{re.escape(name)} holds {other}; the weights of a model must be of one dtype"):
        load_pruned(saved)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert"}, "supported are gemma, gpt2, gpt_neox, llama, mistral, opt"),
        ({"model_type": None}, "supported"),
        ({"n_head": 5}, "config"),
        ({"n_head": "three"}, "no config of a gpt2"),
        ({"activation_function": "gelo"}, "makes no GPT2LMHeadModel: there is no 'gelo'"),
        ({"n_layer": 3}, "2 layers, and the config of 3"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(saved, changes, said):
    """Also where transformers itself would fail with a traceback."""
    edit(saved / "config.json", **changes)
    with pytest.raises(BadInput, match=said):
        load_pruned(saved)
