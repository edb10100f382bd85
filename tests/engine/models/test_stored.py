"""A folder of a cut model that is damaged anywhere is refused in one sentence, or is still the model that was saved."""

import json
import random
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from engine.models.anatomy import dissect
from engine.models.narrow import kept_of
from engine.models.stored import Stored, file_size, load_pruned, read_stored
from engine.pruning.checkpoint import save
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from tests.families import FAMILIES, NAMES, groups, logits, make, tokens

PLAIN = ("config.json", "pruning.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
SEEDS = 10  # damages of each kind to each file


def tokenizer():
    """One that knows bytes, as the files of a real one."""
    maker = ByteLevelBPETokenizer()
    maker.train_from_iterator(["a tree grows"], vocab_size=260, special_tokens=["<|endoftext|>"], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=maker._tokenizer, eos_token="<|endoftext|>")


@pytest.fixture(scope="module", params=["llama-tied"])
def whole(request, tmp_path_factory):
    """The folder of a cut model with all that belongs to one, and its logits."""
    model = make(request.param)
    anatomy = dissect(model)
    plan = Plan(groups(anatomy, (0, 1)), {(0, 1), (1, 4)})
    smaller = cut(model, plan)
    folder = tmp_path_factory.mktemp("whole") / "model"
    about = {"base": {"model": "somebody/a-model"}, "results": {"perplexity": {"cut": 12.5}}, "history": [{"reason": "prune"}]}
    save(smaller, folder, tokenizer=tokenizer(), about=about)
    return folder, logits(smaller)


def damaged(content: bytes, kind: str, draw: random.Random) -> bytes:
    """The bytes of a file after one accident."""
    at, changed = draw.randrange(len(content)), bytearray(content)
    match kind:
        case "flipped":
            changed[at] ^= 1 << draw.randrange(8)
        case "truncated":
            del changed[at:]
        case "overwritten":
            changed[at : at + 16] = draw.randbytes(16)
        case "zeroed":
            changed[at:] = bytes(len(changed) - at)
        case "doubled":
            changed[at:at] = changed[max(0, at - 16) : at]
    return bytes(changed)


def told(folder):
    """What loading says: the logits, or the sentence of a `BadInput`; anything else that is raised fails the test."""
    try:
        return logits(load_pruned(folder)[0])
    except BadInput as error:
        return str(error)


@pytest.mark.parametrize("kind", ["flipped", "truncated", "overwritten", "zeroed", "doubled"])
@pytest.mark.parametrize("name", [*PLAIN, "model.safetensors"])
def test_damage_is_told_in_one_sentence_or_does_no_harm(whole, name, kind, tmp_path):
    """At any byte of any file; what is wrong with the weights is never overlooked."""
    source, before = whole
    folder = tmp_path / "model"
    shutil.copytree(source, folder)
    content = (source / name).read_bytes()
    for seed in range(SEEDS):
        broken = damaged(content, kind, random.Random(seed))
        if broken == content:
            continue
        (folder / name).write_bytes(broken)
        found = told(folder)
        if isinstance(found, str):
            assert "\n" not in found and found.endswith(".") and len(found) < 700, (seed, found)
        elif name == "model.safetensors" or kind == "truncated":
            pytest.fail(f"damage {seed} to {name} was overlooked")
        elif not torch.equal(found, before):
            assert name == "config.json", seed  # another number there is another model, and a sound one


@pytest.mark.parametrize("name", [*PLAIN, "model.safetensors"])
def test_a_file_of_other_bytes_is_refused(whole, name, tmp_path):
    """No bytes, somebody else's file, a list, and a folder in its place."""
    source, _ = whole
    others = [b"", b"[]", b"[" * 100_000, b"null", b'"text"', b"\xff\xfe\x00", b"{}", b'{"a": 1' + b"0" * 5000 + b"}"]
    for other in others:
        folder = tmp_path / str(others.index(other))
        shutil.copytree(source, folder)
        (folder / name).write_bytes(other)
        if other == b"{}" and name in ("generation_config.json", "tokenizer_config.json"):
            assert not isinstance(told(folder), str), "every setting has a default"
        elif name not in ("generation_config.json", "tokenizer_config.json"):
            assert isinstance(told(folder), str), other[:20]
        else:
            told(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    assert isinstance(told(folder), str) or name == "tokenizer_config.json"  # which its reader does without


def test_weights_of_another_folder_of_the_same_shape_are_refused(whole, tmp_path):
    """Also when they fit in every way: the record knows its file by the digest."""
    folder = tmp_path / "model"
    shutil.copytree(whole[0], folder)
    changed = load_file(folder / "model.safetensors")
    name = next(iter(changed))
    changed[name][0] += 1
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"model\.safetensors in .* is not the file that was saved"):
        load_pruned(folder)


def test_groups_that_are_not_those_of_the_heads_are_refused(tmp_path):
    """The two lists say the same, or one of them is wrong."""
    model = make("llama-nine-heads-three-groups")
    save(cut(model, Plan(groups(dissect(model), (0, 1)))), tmp_path / "model")
    facts = json.loads((tmp_path / "model" / "pruning.json").read_text())
    assert [layer["groups"] for layer in facts["layers"]] == [[0, 2], [0, 1, 2], [0, 1, 2]]
    facts["layers"][0]["groups"] = [0, 1]
    (tmp_path / "model" / "pruning.json").write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=re.escape("keeps the key-value groups [0, 1] of layer 0, and its heads are of [0, 2].")):
        load_pruned(tmp_path / "model")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_size_of_the_file_is_known_before_it_is_written(name, dtype, tmp_path):
    """To the byte, dense and cut, so that two models can be compared without writing either."""
    model = make(name, dtype=dtype)
    anatomy = dissect(model)
    for each in (model, cut(model, Plan(groups(anatomy, (0, 0)), {(0, 1)}))):
        save(each, tmp_path / "model")
        assert (tmp_path / "model" / "model.safetensors").stat().st_size == file_size(each)


def test_a_folder_of_the_first_format_is_still_read(whole, tmp_path):
    """It had no groups and no digest, and kept what its writer knew elsewhere."""
    folder = tmp_path / "model"
    shutil.copytree(whole[0], folder)
    facts = json.loads((folder / "pruning.json").read_text())
    old = {name: facts[name] for name in ("family", "shared", "attention", "tokenizer")}
    old |= {"format": 1, "biases": [], "layers": [{key: one[key] for key in ("heads", "neurons")} for one in facts["layers"]]}
    old["about"] = {
        "espalier": "0.1.0", "recipe": {"seed": 3}, "history": [], "perplexity": {"cut": 9.0}, "protocol": {"corpus": "x"},
    }  # fmt: skip
    (folder / "pruning.json").write_text(json.dumps(old))
    assert torch.equal(logits(load_pruned(folder)[0]), whole[1])
    stored = read_stored(folder)
    assert (stored.recipe, stored.protocol, stored.results.perplexity) == ({"seed": 3}, {"corpus": "x"}, {"cut": 9.0})


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_kept_is_told_by_the_numbers_of_the_dense_model_after_a_second_cut(name, tmp_path):
    """Cut, saved, loaded and cut again: the record speaks of the first model's units."""
    once = cut(make(name), Plan(heads={(0, 0)}, neurons={(0, 0), (1, 3)}))
    save(once, tmp_path / "one")
    twice = cut(load_pruned(tmp_path / "one")[0], Plan(heads={(0, 0)}, neurons={(0, 0), (1, 3)}))
    save(twice, tmp_path / "two")
    stored = read_stored(tmp_path / "two")
    assert isinstance(stored, Stored) and stored.kept == kept_of(twice)
    assert [layer.heads for layer in stored.layers] == [[2], [0, 1, 2]] == [layer.groups for layer in stored.layers]
    assert stored.layers[0].neurons == list(range(2, 20))
    assert stored.layers[1].neurons == [n for n in range(20) if n not in (3, 4)]
    assert torch.equal(logits(load_pruned(tmp_path / "two")[0], tokens(1, 5)), logits(twice, tokens(1, 5)))
