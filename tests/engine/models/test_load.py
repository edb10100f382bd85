"""One name, one call: built-in models, folders of either kind and the hub, each failure in one sentence."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, GPT2ForSequenceClassification, GPT2ForTokenClassification

from engine.models.anatomy import dissect
from engine.models.load import load
from engine.pruning.checkpoint import save
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from engine.record.catalogue import BUILTIN, builtin_models
from engine.record.errors import BadInput, UnknownName
from tests.engine.text.alphabet import tokenizer
from tests.fakehub import GATED, environment, serve
from tests.families import CLASSES, CONFIGS, FAMILIES, logits, make

ASK = """
import json, sys
from engine.models.load import load
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
