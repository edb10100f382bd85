"""Tests of engine/pruning/cache.py: what is read is what was written, of the same model and text, and of no other."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from engine.models.anatomy import dissect
from engine.pruning import cache
from engine.pruning.calibration import calibrate
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from engine.pruning.statistics import FIELDS, NEEDS
from tests.engine.pruning.small import small, text


@pytest.mark.parametrize("gone", [Plan(), Plan({(0, head) for head in range(4)}, {(1, one) for one in range(40)})])
@pytest.mark.parametrize("need", NEEDS)
def test_what_was_written_is_read_to_the_bit(tmp_path, need, gone):
    """Every field of a need, in every layer, with the number of tokens; also of layers without heads or without neurons."""
    model, blocks = cut(small("gpt2"), gone), text(3, 8)
    wanted, anatomy = calibrate(model, blocks, NEEDS), dissect(model)
    cache.write(tmp_path / "new", "model", "text", wanted, anatomy)
    found = cache.read(tmp_path / "new", "model", "text", need, anatomy)
    assert (found.tokens, found.gathered) == (24, {need})
    for mine, theirs in zip((*wanted.attention, *wanted.mlp), (*found.attention, *found.mlp), strict=True):
        for field in FIELDS[need]:
            one, other = getattr(mine, field), getattr(theirs, field)
            assert one is other is None or (one.dtype == other.dtype and torch.equal(one, other))


def test_another_model_or_text_reads_nothing(tmp_path):
    """Nor does a need that was not gathered, nor a folder that is not there."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    cache.write(tmp_path, "model", "text", calibrate(model, text(3, 8), ("rms",)), anatomy)
    assert cache.read(tmp_path, "model", "text", "rms", anatomy) is not None
    for asked in (("other", "text", "rms"), ("model", "other", "rms"), ("model", "text", "mean")):
        assert cache.read(tmp_path, *asked, anatomy) is None
    assert cache.read(tmp_path / "nowhere", "model", "text", "rms", anatomy) is None


@pytest.mark.parametrize("damage", [b"", b"not a tensor", None])
def test_a_damaged_file_counts_as_not_there(tmp_path, damage):
    """Empty, something else, or cut off in the middle; it is written anew."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    found = calibrate(model, text(3, 8), ("rms",))
    cache.write(tmp_path, "model", "text", found, anatomy)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9] if damage is None else damage)
    assert cache.read(tmp_path, "model", "text", "rms", anatomy) is None
    cache.write(tmp_path, "model", "text", found, anatomy)
    assert cache.read(tmp_path, "model", "text", "rms", anatomy) is not None
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, about: (tensors, None),
        lambda tensors, about: (tensors, {"tokens": "many"}),
        lambda tensors, about: ({"x": torch.zeros(1)}, about),
        lambda tensors, about: (dict(list(tensors.items())[1:]), about),
        lambda tensors, about: (tensors | {"x": torch.zeros(1)}, about),
        lambda tensors, about: ({name: tensor[:-1].clone() for name, tensor in tensors.items()}, about),
    ],
    ids=["no count of tokens", "a count that is none", "other tensors", "one less", "one more", "other shapes"],
)
def test_a_file_that_holds_something_else_counts_as_not_there(tmp_path, change):
    """It can be read as safetensors, and is not what was written."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    cache.write(tmp_path, "model", "text", calibrate(model, text(3, 8), ("mean",)), anatomy)
    (path,) = tmp_path.iterdir()
    tensors, about = change(load_file(path), {"tokens": "24"})
    save_file(tensors, path, about)
    assert cache.read(tmp_path, "model", "text", "mean", anatomy) is None


def test_a_hash_tells_models_apart():
    """One weight, one setting of the config or one dtype makes another; a copy, its mode and its gradients do not."""
    model = small("opt")
    same = copy.deepcopy(model).train()
    for parameter in same.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert cache.hash_of(same) == cache.hash_of(model)
    moved, configured = copy.deepcopy(model), copy.deepcopy(model)
    with torch.no_grad():
        next(moved.parameters())[0, 0] += 1e-9
    configured.config.dropout = 0.7
    biased = copy.deepcopy(model)
    biased.lm_head.bias = nn.Parameter(torch.zeros(1).double())
    hashes = {cache.hash_of(one) for one in (model, moved, configured, biased, copy.deepcopy(model).float(), small("gpt2"))}
    assert len(hashes) == 6
    assert cache.hash_of(copy.deepcopy(model).bfloat16())


def test_a_hash_tells_texts_apart():
    """The same tokens in other blocks are another text."""
    blocks = text(4, 8)
    assert cache.hash_of_text(blocks) == cache.hash_of_text(blocks.clone())
    assert len({cache.hash_of_text(one) for one in (blocks, blocks.view(8, 4), blocks.flip(0), blocks[:3])}) == 4
