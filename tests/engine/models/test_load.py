"""One name, one call: built-in models, folders of either kind and the hub, each failure in one sentence."""

import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, GPT2ForSequenceClassification, GPT2ForTokenClassification, GPT2LMHeadModel

from engine.models.anatomy import dissect
from engine.models.load import degraded, load
from engine.pruning.checkpoint import save
from engine.pruning.cut import cut
from engine.pruning.export import export
from engine.pruning.plan import Plan
from engine.record.catalogue import BUILTIN, builtin_models
from engine.record.errors import BadInput, UnknownName
from tests.engine.text.alphabet import tokenizer
from tests.fakehub import GATED, environment, serve
from tests.families import CLASSES, CONFIGS, FAMILIES, logits, make

ASK = """
import json, sys
from engine.models.load import degraded, load
for name in sys.argv[1:]:
    try:
        loaded = load(name)
        total = sum(parameter.double().sum().item() for parameter in loaded.model.parameters())
        print(json.dumps([type(loaded.model).__name__, total, loaded.tokenizer("the tree")["input_ids"]]))
    except ValueError as error:
        print(json.dumps([type(error).__name__, str(error), error.__class__.__module__]))
"""


def ask(names, **surroundings):
    """What `load` makes of names in a process of its own, which must print nothing else."""
    run = subprocess.run([sys.executable, "-W", "error", "-c", ASK, *names], capture_output=True, text=True, **surroundings)
    assert (run.returncode, run.stderr) == (0, "")
    return [json.loads(line) for line in run.stdout.splitlines()]


def dense(folder, name="gpt2", **options):
    """A dense model with a tokenizer, in a folder as transformers writes it."""
    model = CLASSES[name](CONFIGS[name](vocab_size=300)).eval()
    model.save_pretrained(folder, **options)
    tokenizer().save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    "device, words", [("cuda:99", "not on this machine"), ("meta", "not on this machine"), ("graphics", "the name of none")]
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_found(device, words):
    """Also a name that torch does not know, and a device on which nothing is computed; what is there is named."""
    with pytest.raises(BadInput, match=rf"^device '{device}' is {words}; use one of: .*cpu\.$"):
        load("no-such-model", device=device)


@pytest.mark.parametrize("model", builtin_models(), ids=lambda model: model.name)
def test_built_in_models_load_by_their_name(model):
    """In float32, whatever they are stored in, with a tokenizer that knows the model's vocabulary."""
    loaded = load(model.name)
    assert loaded.anatomy == dissect(loaded.model)
    assert (loaded.name, loaded.folder, loaded.anatomy.family) == (model.name, BUILTIN / model.name, model.family)
    assert loaded.anatomy.parameters == model.parameters
    assert loaded.model.dtype == torch.float32 and not loaded.model.training
    assert max(loaded.tokenizer("The history of the world").input_ids) < loaded.anatomy.vocabulary


@pytest.mark.parametrize("name", FAMILIES)
def test_a_dense_folder_loads(name, tmp_path):
    """With the weights that are in it, in the dtype that was asked for, as transformers itself loads them."""
    dense(tmp_path / "model", name)
    loaded = load(tmp_path / "model", dtype=torch.float64)
    # Not `dense(...).double()`: that rounds what a model computes from its config, such as Gemma's scale, to float32 first.
    model = CLASSES[name].from_pretrained(tmp_path / "model", dtype=torch.float64)
    assert torch.equal(logits(loaded.model), logits(model))
    assert loaded.folder == tmp_path / "model" and loaded.tokenizer("the tree").input_ids == tokenizer()("the tree").input_ids


def test_weights_in_several_files_load(tmp_path):
    """An index and its shards are one model."""
    model = dense(tmp_path / "model", max_shard_size="20KB")
    assert not (tmp_path / "model" / "model.safetensors").exists()
    assert torch.equal(logits(load(tmp_path / "model").model), logits(model))


def test_weights_without_the_prefix_of_the_head_load(tmp_path):
    """As the hub's `gpt2` has them: saved from the body, whose tied head follows from the embedding."""
    model = dense(tmp_path / "model")
    model.transformer.save_pretrained(tmp_path / "model")
    assert torch.equal(logits(load(tmp_path / "model").model), logits(model))


def test_a_folder_of_ours_loads_by_the_same_call(tmp_path):
    """A cut model has its smaller anatomy, in the dtype that was asked for."""
    smaller = cut(make("gpt_neox"), Plan(heads={(0, 0), (0, 1), (0, 2)}))
    save(smaller, tmp_path / "model", tokenizer=tokenizer())
    loaded = load(str(tmp_path / "model"), dtype=torch.float64)
    assert loaded.anatomy == dissect(smaller) and torch.equal(logits(loaded.model), logits(smaller))
    assert load(tmp_path / "model").model.dtype == torch.float32


def test_a_folder_of_ours_without_a_tokenizer_is_refused(tmp_path):
    """A recipe needs one; the model alone is `load_pruned`'s."""
    save(make("gpt2"), tmp_path / "model")
    with pytest.raises(BadInput, match="tokenizer"):
        load(tmp_path / "model")


@pytest.mark.parametrize("name", ["", " ", "gpt3-tiny", "gpt2-tny", "a b", "\n"])
def test_a_name_that_is_nowhere_is_refused_with_the_names_that_are(name):
    """And with the nearest of them where one is near."""
    with pytest.raises(UnknownName, match="gpt2-tiny"):
        load(name)


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere-at-all", "a/b/c"])
def test_a_path_that_is_nowhere_is_refused_as_a_path(name):
    """Without asking the hub for it."""
    with pytest.raises(BadInput, match="no folder"):
        load(name)


@pytest.mark.parametrize("made", [GPT2ForSequenceClassification, GPT2ForTokenClassification])
def test_a_model_that_was_trained_for_something_else_is_refused(made, tmp_path):
    """Its type is supported, and its weights would load into a language model that was never trained to be one."""
    made(CONFIGS["gpt2"]()).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(BadInput, match=f"{made.__name__}', which is no causal language model.*GPT2LMHeadModel"):
        load(tmp_path)


def test_a_file_is_no_model(tmp_path):
    """The folder around it may be."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(BadInput, match="is a file"):
        load(tmp_path / "model.gguf")


def test_an_encoder_is_refused_before_its_weights_are_read(tmp_path):
    """By the type in its config, with the types that are supported."""
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=30)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="'bert'; supported are gemma, gpt2, gpt_neox, llama, mistral, opt"):
        load(tmp_path)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_of_a_supported_type_that_sees_what_is_to_come_is_refused(name, tmp_path):
    """transformers makes one of any family whose config says so."""
    dense(tmp_path, name)
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts | {"is_causal": False}))
    with pytest.raises(BadInput, match="is an encoder: .* supported are causal language models of the types gemma, gpt2"):
        load(tmp_path)


@pytest.mark.parametrize("name", FAMILIES)
def test_how_the_writer_of_a_config_liked_to_call_the_model_is_passed_over(name, tmp_path):
    """Tuples for answers, and a kernel of attention that nobody has here: the weights and the logits are the same."""
    model = dense(tmp_path, name)
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts | {"return_dict": False, "_attn_implementation": "flash_attention_2"}))
    loaded = load(tmp_path)
    torch.testing.assert_close(logits(loaded.model), logits(model), rtol=1e-4, atol=1e-5)
    assert loaded.model.config._attn_implementation == "sdpa"


def test_a_model_with_one_position_loads(tmp_path):
    """It is tried out on no more tokens than it was built for."""
    CLASSES["gpt2"](CONFIGS["gpt2"](vocab_size=300, n_positions=1)).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    assert load(tmp_path).anatomy.context == 1


def test_pickled_weights_are_not_opened(tmp_path):
    """Neither read nor taken for missing; the message says what to do."""
    dense(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"pytorch_model\.bin.*convert"):
        load(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(BadInput, match="no weights"):
        load(tmp_path)


def test_weights_that_are_not_whole_are_refused(tmp_path):
    """transformers would fill in random numbers for what is missing; here nothing is made up."""
    model = dense(tmp_path, "opt")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="cannot be read"):
        load(tmp_path)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    name = "model.decoder.layers.1.fc1.weight"
    for changed in ({key: one for key, one in tensors.items() if key != name}, tensors | {name: torch.zeros(3, 12)}):
        save_file(changed, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(BadInput, match="fc1"):
            load(tmp_path)


def changed(folder, change):
    """Rewrite the weights of a folder: `change` takes the tensors by name and gives those that are to be there."""
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", metadata={"format": "pt"})


UP = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.uint8, torch.bool])
def test_weights_that_are_no_plain_numbers_are_refused(dtype, tmp_path):
    """One matrix is enough, and no config has to call it quantised: read as float32 it would be another matrix."""
    dense(tmp_path, "llama")
    changed(tmp_path, lambda tensors: tensors | {UP: tensors[UP].to(dtype)})
    with pytest.raises(BadInput, match=f"quantised weights .*{re.escape(UP)}.*float64, float32, float16, bfloat16.*gemma, gpt2"):
        load(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_plain_weights_of_any_precision_load(dtype, tmp_path):
    """Also where only some of them are in it."""
    dense(tmp_path, "llama")
    changed(tmp_path, lambda tensors: tensors | {UP: tensors[UP].to(dtype)})
    weight = load(tmp_path, dtype=torch.float64).model.get_parameter(UP)
    assert torch.equal(weight, load_file(tmp_path / "model.safetensors")[UP].double())


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_a_config_that_speaks_of_quantised_weights_is_refused(key, tmp_path):
    """Under its present name, and under that which compressed-tensors gave it first."""
    dense(tmp_path, "llama")
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts | {key: {"quant_method": "compressed-tensors"}}))
    with pytest.raises(BadInput, match="quantised weights"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.0.mlp.gate_proj.weight_scale",
        "model.layers.1.self_attn.q_proj.lora_A.weight",
        "model.layers.1.pre_feedforward_layernorm.weight",
        "lm_head.bias",
        "logit_scale",
    ],
)
def test_a_weight_that_the_model_has_no_place_for_is_refused(name, tmp_path):
    """Left out, it would make another model of it, and nobody would know."""
    dense(tmp_path, "llama")
    changed(tmp_path, lambda tensors: tensors | {name: torch.ones(4)})
    with pytest.raises(BadInput, match=f"1 tensor that a LlamaForCausalLM of its config does not have .*{re.escape(name)}"):
        load(tmp_path)


def test_masks_positions_and_frequencies_of_older_files_are_passed_over(tmp_path):
    """They are computed now, so it does not matter either that some of them are no floating-point numbers."""
    old = {
        "gpt2": {"transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4).bool(), "transformer.h.0.attn.masked_bias": torch.ones(())},
        "gpt_neox": {
            "gpt_neox.layers.0.attention.bias": torch.ones(1, 1, 4, 4).bool(),
            "gpt_neox.layers.0.attention.masked_bias": torch.ones(()),
            "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.ones(2),
        },
        "opt": {"model.decoder.version": torch.ones(1), "model.decoder.embed_positions.position_ids": torch.arange(4)},
        "llama": {"model.layers.0.self_attn.rotary_emb.cos_cached": torch.ones(4, 2), "rotary_emb.inv_freq": torch.ones(2)},
        "llama-tied": {"lm_head.weight": None},
    }
    for name, more in old.items():
        folder = tmp_path / name
        config = CONFIGS[name]()
        config.vocab_size = 300
        model = CLASSES[config.model_type](config).eval()
        model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        head = model.get_output_embeddings().weight.detach().clone()
        changed(folder, lambda tensors, more=more, head=head: tensors | {k: head if v is None else v for k, v in more.items()})
        loaded = load(folder)
        assert loaded.left_out == () and torch.equal(logits(loaded.model), logits(model))


def test_a_head_for_another_task_is_left_out_by_name(tmp_path):
    """No logit depends on it, but what is saved later does not have it either."""
    model = dense(tmp_path)
    heads = {"v_head.summary.weight": torch.ones(1, 12), "score.weight": torch.ones(2, 12)}
    changed(tmp_path, lambda tensors: tensors | heads)
    loaded = load(tmp_path)
    assert loaded.left_out == ("score.weight", "v_head.summary.weight") and torch.equal(logits(loaded.model), logits(model))
    (told,) = degraded(loaded)
    assert "score.weight, v_head.summary.weight" in told.asked and told.did == "the language model alone"


def test_an_index_that_is_damaged_is_refused_by_its_name(tmp_path):
    """And not by what Python says of it."""
    dense(tmp_path, max_shard_size="20KB")
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {}, "weight_map": 3}')
    with pytest.raises(BadInput, match=r"model\.safetensors\.index\.json in .* holds 3 as its weight_map"):
        load(tmp_path)


IMPOSSIBLE = {
    "no layer": ("gpt2", {"n_layer": 0}, "num_hidden_layers 0"),
    "fewer than no layer": ("gpt2", {"n_layer": -1}, "num_hidden_layers -1"),
    "no head": ("opt", {"num_attention_heads": 0}, "num_attention_heads 0"),
    "no width": ("gpt_neox", {"hidden_size": 0}, "hidden_size 0"),
    "a width that heads do not divide": ("gpt2", {"n_head": 5}, "divisible"),
    "an activation that nobody knows": ("gpt2", {"activation_function": "nope"}, "nope"),
    "fewer layers than there are weights of": (
        "opt",
        {"num_hidden_layers": 1},
        "weights of 2 layers, and its config speaks of 1",
    ),
    "more layers": ("gpt_neox", {"num_hidden_layers": 3}, "missing_keys"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_config_that_does_not_fit_is_refused(what, tmp_path):
    """In one sentence, and never by a model with a layer less than was saved."""
    name, changes, why = IMPOSSIBLE[what]
    dense(tmp_path, name)
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts | changes))
    with pytest.raises(BadInput, match=why) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_that_does_not_run_is_refused(tmp_path):
    """Heads of an odd width cannot be turned; the config says nothing about it."""
    model = CLASSES["gpt_neox"](CONFIGS["gpt_neox"](vocab_size=300, hidden_size=15, rotary_pct=1.0))
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="does not run"):
        load(tmp_path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    """Rather than a baseline that nothing can be compared with."""
    model = dense(tmp_path)
    with torch.no_grad():
        model.transformer.ln_f.bias[3] = torch.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="logits that are not finite"):
        load(tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    """transformers makes one up that knows no word; a text would then have a token a document."""
    CLASSES["gpt2"](CONFIGS["gpt2"](vocab_size=300)).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="holds no tokenizer"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_tokenizer_that_is_missing_or_broken_is_refused(name, tmp_path):
    """A model without a tokenizer reads no text."""
    dense(tmp_path)
    (tmp_path / name).write_text("{")
    with pytest.raises(BadInput, match="tokenizer"):
        load(tmp_path)


def test_the_hub_serves_models_and_refusals(tmp_path):
    """Dense, revision, pickles only, encoder, gated, unknown, and then without a network; nothing else is printed."""
    repositories = tmp_path / "hub" / "models"
    model = dense(repositories / "org" / "small")
    (repositories / "org" / "small" / "pytorch_model.bin").write_bytes(b"not for us")
    dense(repositories / "org" / "pickled")
    (repositories / "org" / "pickled" / "model.safetensors").rename(repositories / "org" / "pickled" / "pytorch_model.bin")
    dense(repositories / "org" / "closed")
    (repositories / "org" / "closed" / GATED).touch()
    dense(repositories / "org" / "encoder")
    (repositories / "org" / "encoder" / "config.json").write_text('{"model_type": "bert"}')
    with serve(tmp_path / "hub") as hub:
        names = [f"org/{name}" for name in ("small", "small@main", "pickled", "closed", "encoder", "missing")]
        small, revision, pickled, closed, encoder, missing = ask(names, env=environment(hub.address, tmp_path / "home"))
        fetched = {request.rpartition("/")[2] for request in hub.requests if "/resolve/" in request and "GET" in request}
    total = sum(parameter.double().sum().item() for parameter in model.parameters())
    assert "'pytorch_model.bin', which is a pickle" in pickled[1]
    assert small[0] == "GPT2LMHeadModel" and abs(small[1] - total) < 1e-6
    assert small[2] == tokenizer()("the tree").input_ids
    assert revision == small
    assert (
        "convert" in pickled[1] and "permission" in closed[1] and "supported are" in encoder[1] and "check its name" in missing[1]
    )
    assert "pytorch_model.bin" not in fetched and "model.safetensors" in fetched
    # The same names when nothing listens at the hub's address: what was fetched is used, the rest is told in a sentence.
    offline = ask(["org/small", "org/pickled", "org/never", "gpt2"], env=environment("http://127.0.0.1:9", tmp_path / "home"))
    assert offline[0] == small and "Only a part" in offline[1][1]
    for kind, said, _ in offline[2:]:
        assert kind == "BadInput" and "cannot be reached" in said and "gpt2-tiny" in said


def test_what_was_made_smaller_loads_from_the_hub(tmp_path):
    """Saved by us, exported as a plain smaller checkpoint, or dense with zeros; its template of chats comes along."""
    org, model = tmp_path / "hub" / "models" / "org", CLASSES["llama"](CONFIGS["llama"](vocab_size=300)).eval()
    small = cut(model, Plan(neurons={(layer.index, 0) for layer in dissect(model).layers}))
    teller = tokenizer()
    teller.chat_template = "{{ messages }}"
    save(small, org / "ours", tokenizer=teller)
    for dense in (False, True):
        export(small, org / ("zeros" if dense else "plain"), tokenizer=teller, dense=dense)
    assert (org / "plain" / "buffers.safetensors").exists()
    code = ASK.replace("loaded.tokenizer(", "loaded.tokenizer.chat_template and loaded.tokenizer(")
    with serve(tmp_path / "hub") as hub:
        asked = [sys.executable, "-W", "error", "-c", code, *(f"org/{name}" for name in ("ours", "plain", "zeros"))]
        run = subprocess.run(asked, capture_output=True, text=True, env=environment(hub.address, tmp_path / "home"))
    ours, plain, zeros = map(json.loads, run.stdout.splitlines())
    total = sum(parameter.double().sum().item() for parameter in small.parameters())
    for kind, found, ids in (ours, plain, zeros):
        assert kind == "LlamaForCausalLM" and abs(found - total) < 1e-4 and ids == teller("the tree").input_ids


@pytest.mark.parametrize("where", ["from_pretrained", "forward"])
def test_memory_that_ran_out_is_no_fault_of_the_model(where, monkeypatch):
    """It is passed on as it is, for whoever can do with less; no weights are blamed."""

    def starved(*given, **named):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(GPT2LMHeadModel, where, starved)
    with pytest.raises(RuntimeError, match="^can't start new thread$"):
        load("gpt2-tiny")
