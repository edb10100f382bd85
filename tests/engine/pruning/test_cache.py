"""Tests of engine/pruning/cache.py: what is read is what was written, of the same model and text, and of no other."""

import copy
import os
import resource

import pytest
import torch
from safetensors import safe_open
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
        lambda tensors, about: (tensors, {"tokens": "24"}),
        lambda tensors, about: (tensors, about | {"tokens": "25"}),
        lambda tensors, about: ({"x": torch.zeros(1)}, about),
        lambda tensors, about: (dict(list(tensors.items())[1:]), about),
        lambda tensors, about: (tensors | {"x": torch.zeros(1)}, about),
        lambda tensors, about: ({name: tensor[:-1].clone() for name, tensor in tensors.items()}, about),
        lambda tensors, about: ({name: tensor.float() for name, tensor in tensors.items()}, about),
        lambda tensors, about: ({name: tensor + 1e-15 for name, tensor in tensors.items()}, about),
    ],
    ids=[
        "nothing of itself", "no digest", "other tokens", "other tensors", "one less", "one more", "other shapes",
        "another dtype", "other numbers",
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_counts_as_not_there(tmp_path, change):
    """It can be read as safetensors, and is not what was written."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    cache.write(tmp_path, "model", "text", calibrate(model, text(3, 8), ("mean",)), anatomy)
    (path,) = tmp_path.iterdir()
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    tensors = load_file(path)
    save_file(tensors, path, about)
    assert cache.read(tmp_path, "model", "text", "mean", anatomy) is not None
    tensors, about = change(tensors, about)
    save_file(tensors, path, about)
    assert cache.read(tmp_path, "model", "text", "mean", anatomy) is None


def test_no_flipped_bit_is_overlooked(tmp_path):
    """Wherever it is: in the numbers, in their names and dtypes, or in what the file says of itself."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    cache.write(tmp_path, "model", "text", calibrate(model, text(3, 8), ("mean",)), anatomy)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    written = cache.read(tmp_path, "model", "text", "mean", anatomy)
    for at in (*range(0, header, 3), *range(header, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        found = cache.read(tmp_path, "model", "text", "mean", anatomy)
        assert found is None or (at < header and found.tokens == written.tokens), at  # a space of the header, perhaps


def test_what_lies_under_another_name_or_is_of_another_anatomy_counts_as_not_there(tmp_path):
    """A file that somebody has renamed is still that of the first model."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    cache.write(tmp_path, "model", "text", calibrate(model, text(3, 8), ("mean",)), anatomy)
    smaller = dissect(cut(model, Plan(neurons={(0, 1)})))
    assert cache.read(tmp_path, "model", "text", "mean", smaller) is None
    (path,) = tmp_path.iterdir()
    path.rename(path.with_name(path.name.replace("model", "other")))
    assert cache.read(tmp_path, "other", "text", "mean", anatomy) is None


def test_of_changed_weights_one_set_is_kept_and_of_others_all(tmp_path):
    """Whatever the texts and needs; a set that is written gives way to the next one that is changed, and to nothing else."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    found = calibrate(model, text(3, 8), ("mean", "rms"))

    def kept() -> set[tuple[str, str, bool]]:
        asked = [(name, words, yes) for name in "abcd" for words in ("one", "two") for yes in (False, True)]
        read = {each: cache.read(tmp_path, *each[:2], "rms", anatomy, each[2]) for each in asked}
        return {each for each, statistics in read.items() if statistics is not None}

    cache.write(tmp_path, "a", "one", found, anatomy)
    cache.write(tmp_path, "b", "two", found, anatomy)
    loaded = {("a", "one", False), ("b", "two", False)}
    cache.write(tmp_path, "c", "one", found, anatomy, changed=True)
    cache.write(tmp_path, "c", "two", found, anatomy, changed=True)
    assert kept() == loaded | {("c", "one", True), ("c", "two", True)}
    cache.write(tmp_path, "a", "two", found, anatomy)
    cache.write(tmp_path, "d", "one", found, anatomy, changed=True)
    assert kept() == loaded | {("a", "two", False), ("d", "one", True)}
    assert len(list(tmp_path.iterdir())) == 2 * 4


@pytest.mark.parametrize("how", ["no folder can be made", "no file can be made", "no file may have a byte"])
def test_a_disk_that_takes_no_more_is_no_error(tmp_path, how):
    """For real, for a while; nothing half written is left, and later all is kept."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    found, folder = calibrate(model, text(3, 8), ("mean", "rms")), tmp_path / "statistics"
    if how == "no folder can be made":
        folder.touch()
        cache.write(folder, "model", "text", found, anatomy)
        folder.unlink()
    else:
        kind = resource.RLIMIT_NOFILE if how == "no file can be made" else resource.RLIMIT_FSIZE
        before = resource.getrlimit(kind)
        resource.setrlimit(kind, (0, before[1]))
        try:
            cache.write(folder, "model", "text", found, anatomy)
        finally:
            resource.setrlimit(kind, before)
        assert list(folder.iterdir()) == []
    assert cache.read(folder, "model", "text", "mean", anatomy) is None
    cache.write(folder, "model", "text", found, anatomy)
    assert cache.read(folder, "model", "text", "rms", anatomy) is not None


def test_whoever_interrupts_the_writing_leaves_no_hidden_file(tmp_path, monkeypatch):
    """Ctrl-C between the bytes and the renaming goes on to whoever waits for it."""
    model, anatomy = small("gpt2"), dissect(small("gpt2"))
    found = calibrate(model, text(3, 8), ("rms",))
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.write(tmp_path, "model", "text", found, anatomy)
    assert list(tmp_path.iterdir()) == []


def interrupted(*paths: object) -> None:
    """What Ctrl-C makes of the call that it comes upon."""
    raise KeyboardInterrupt


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
