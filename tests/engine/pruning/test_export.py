"""What is exported is read by transformers alone, in a process that knows nothing of this project, with the same logits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.models.anatomy import dissect
from engine.models.biases import give_bias
from engine.models.load import load
from engine.models.narrow import kept_of
from engine.models.stored import load_pruned, read_stored
from engine.pruning.checkpoint import save
from engine.pruning.cut import cut
from engine.pruning.export import export
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from tests.families import FAMILIES, groups, logits, make, tokens

GROUPED = ("llama-grouped", "qwen2-tied", "qwen3-wide-heads-biases", "mistral-window", "smollm3-no-rotary", "gemma-one-group")
# Without the .pth files through which a project that is being worked on gets into a Python, and without the working folder.
ALONE = """
import json, sys
sys.path += json.loads(sys.argv[1])
try:
    import engine
except ModuleNotFoundError:
    pass
else:
    sys.exit("this project can be imported here")
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
for folder in sys.argv[2:]:
    model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
    odd = {name: sorted(found) for name, found in report.items() if found}
    if odd:
        sys.exit(f"{folder}: {odd}")
    ids = load_file(f"{folder}.tokens")["ids"]
    with torch.no_grad():
        logits = model.eval()(ids, use_cache=False).logits
    save_file({"logits": logits.contiguous()}, f"{folder}.logits")
"""


def plain_again(name, folder):
    """A model of that config as transformers itself loads it, so that buffers have the digits that it gives them."""
    make(name).save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()


def ragged(anatomy):
    """A group of the first layer, and other neurons in each."""
    return Plan(groups(anatomy, (0, 0)), {(0, 1), (0, 4), (1, 2)})


def even(anatomy, heads):
    """The same number of neurons, and of key-value groups, from every layer."""
    layers = [layer.index for layer in anatomy.layers]
    chosen = groups(anatomy, *((layer, 1) for layer in layers)) if heads else set()
    return Plan(chosen, {(layer, neuron) for layer in layers for neuron in range(layer, layer + 6)})


def in_another_process(folders):
    """What plain transformers makes of the folders, in a process where this project cannot be imported."""
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    for folder in folders:
        save_file({"ids": tokens()}, f"{folder}.tokens")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALONE, json.dumps(packages), *map(str, folders)],
        cwd=folders[0].parent,
        env={"OMP_NUM_THREADS": "1", "HOME": str(folders[0].parent), "HF_HUB_OFFLINE": "1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [load_file(f"{folder}.logits")["logits"] for folder in folders]


def test_plain_transformers_alone_reads_what_is_exported(tmp_path):
    """Every family with zeros, and smaller where the config can say it; nothing missing, nothing left over, the same logits."""
    expected = {}
    for name in (*FAMILIES, *GROUPED):
        dense = plain_again(name, tmp_path / f"{name}-source")
        small = cut(dense, ragged(dissect(dense)))
        export(small, tmp_path / f"{name}-dense", dense=True)
        expected[f"{name}-dense"] = logits(small)
        small = cut(dense, even(dissect(dense), heads=name not in ("gpt2", "opt", "gpt_neox", "gemma-one-group")))
        made, _ = export(small, tmp_path / f"{name}-plain")
        assert made.form == "plain", made.why
        expected[f"{name}-plain"] = logits(small)
    found = in_another_process([tmp_path / name for name in expected])
    for name, seen in zip(expected, found, strict=True):
        torch.testing.assert_close(seen, expected[name], rtol=0, atol=1e-10, msg=lambda words, name=name: f"{name}: {words}")


@pytest.mark.parametrize("name", [*FAMILIES, *GROUPED, "gpt2-five-heads-seven-layers", "gpt_neox-tied"])
def test_a_plain_smaller_model_is_also_one_of_ours(name, tmp_path):
    """`load_pruned` knows the original numbers and every bit; it can be cut again, and so can what `load` gives."""
    model = make(name)
    small = cut(model, even(dissect(model), heads=False))
    made, plain = export(small, tmp_path / "out")
    assert made.form == "plain" and made.difference == 0 and plain.model.num_parameters() == made.parameters
    loaded, _ = load_pruned(tmp_path / "out")
    assert torch.equal(logits(loaded), logits(small)) and kept_of(loaded) == kept_of(small)
    again = cut(loaded, Plan(neurons={(0, 0)}))
    assert kept_of(again).neurons[0] == kept_of(small).neurons[0][1:]
    assert read_stored(tmp_path / "out").dense_config["num_hidden_layers" if "gpt2" not in name else "n_layer"]


@pytest.mark.parametrize("name", FAMILIES)
def test_what_no_config_can_say_is_saved_for_our_own_loader(name, tmp_path):
    """With the reason."""
    model = make(name)
    small = cut(model, ragged(dissect(model)))
    made, plain = export(small, tmp_path / "out")
    assert (made.form, plain, made.parameters) == ("pruned", None, small.num_parameters())
    assert "differ in width" in made.why
    assert torch.equal(logits(load_pruned(tmp_path / "out")[0]), logits(small))


@pytest.mark.parametrize("name", ["gpt2", "llama-tied", "opt-350m-shape"])
def test_a_head_of_its_own_is_kept_where_the_config_ties_it(name, tmp_path):
    """What training the head alone leaves behind: transformers reads it, and reads it again from what is written."""
    make(name).save_pretrained(tmp_path / "source")
    file = tmp_path / "source" / "model.safetensors"
    weights = load_file(file)
    tied = next(one for key, one in weights.items() if key.endswith(("wte.weight", "embed_tokens.weight")))
    save_file(weights | {"lm_head.weight": tied.flip(0).contiguous()}, file, {"format": "pt"})
    dense = AutoModelForCausalLM.from_pretrained(tmp_path / "source", dtype=torch.float64).eval()
    assert dense.config.tie_word_embeddings and dense.lm_head.weight is not dense.get_input_embeddings().weight
    small = cut(dense, even(dissect(dense), heads=False))
    save(small, tmp_path / "pruned")
    made, _ = export(small, tmp_path / "plain")
    zeros, _ = export(small, tmp_path / "dense", dense=True)
    assert (made.form, made.parameters, zeros.parameters) == ("plain", small.num_parameters(), dense.num_parameters())
    read = [AutoModelForCausalLM.from_pretrained(tmp_path / form, dtype=torch.float64) for form in ("plain", "dense")]
    read += [load_pruned(tmp_path / form)[0] for form in ("plain", "pruned")]
    for model in read:
        torch.testing.assert_close(logits(model), logits(small), rtol=0, atol=1e-10)
    for form in ("plain", "dense", "pruned"):
        assert f"{small.num_parameters():,} of {dense.num_parameters():,}" in (tmp_path / form / "README.md").read_text()


@pytest.mark.parametrize("name", ["mistral-grouped", "qwen2-grouped"])
def test_a_bias_that_has_no_place_is_named_and_its_absence_measured(name, tmp_path):
    """In the answer and on the card; the difference is that of the logits without it."""
    model = make(name)
    anatomy = dissect(model)
    path = anatomy.layers[0].mlp_output
    give_bias(model.get_submodule(path))
    with torch.no_grad():
        model.get_submodule(path).bias += 0.5
    small = cut(model, even(anatomy, heads=False))
    made, plain = export(small, tmp_path / "dense", dense=True)
    assert made.left_out == (f"{path}.bias",) and made.difference > 1e-3
    with torch.no_grad():
        small.get_submodule(path).bias.zero_()
    torch.testing.assert_close(logits(plain.model), logits(small), rtol=0, atol=1e-10)
    assert "Left out were 1 biases" in (tmp_path / "dense" / "README.md").read_text()


def test_the_difference_of_a_dense_model_is_that_of_what_was_written(tmp_path):
    """Not of what was in memory: Gemma's scale of its embeddings is made anew in the dtype in which a folder is read."""
    model = make("gemma")
    small = cut(model, ragged(dissect(model)))
    made, kept = export(small, tmp_path / "dense", dense=True)
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "dense", dtype=torch.float64)
    torch.testing.assert_close(logits(kept.model), logits(small), rtol=0, atol=1e-12)
    apart = (logits(read) - logits(small)).abs().max().item()
    assert apart / 10 < made.difference < 10 * apart and made.difference > 1e-9


@pytest.mark.parametrize("dense", [False, True])
def test_only_a_new_folder_is_written(dense, tmp_path):
    """An empty one counts as new; nothing stays beside it."""
    small = cut(make("gpt2"), Plan(neurons={(0, 0)}))
    (tmp_path / "out").mkdir()
    export(small, tmp_path / "out", dense=dense)
    assert os.listdir(tmp_path) == ["out"]
    with pytest.raises(BadInput, match="is not empty; name a new folder"):
        export(small, tmp_path / "out", dense=dense)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="name a new folder"):
        export(small, tmp_path / "file", dense=dense)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_exported_model_is_loaded_by_its_folder_like_any_other(model_folder, tmp_path):
    """Plain or zeroed, with its tokenizer."""
    loaded = load(model_folder)
    small = cut(loaded.model, even(loaded.anatomy, heads=False))
    for dense, neurons in ((False, 34), (True, 40)):
        export(small, tmp_path / str(dense), tokenizer=loaded.tokenizer, dense=dense)
        again = load(tmp_path / str(dense))
        assert [layer.neurons for layer in again.anatomy.layers] == [neurons] * 3
        assert again.tokenizer("the tree")["input_ids"] == loaded.tokenizer("the tree")["input_ids"]
        torch.testing.assert_close(logits(again.model), logits(small), rtol=1e-4, atol=1e-5)
