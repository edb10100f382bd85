"""Tests of engine/models/headers.py: what a file says of its tensors is what is in it, and a damaged one is refused."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from engine.models.headers import Entry, dtypes, entries, weight_files
from engine.record.errors import BadInput

TENSORS = {"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.bfloat16), "c": torch.zeros(1, 1).to(torch.float8_e4m3fn)}


def test_a_header_tells_dtypes_shapes_and_bytes(tmp_path):
    """As the writer of the format spells them, whatever else the header says."""
    save_file(TENSORS, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = {entry.name: entry for entry in entries(tmp_path / "x.safetensors")}
    told = [Entry("a", "F32", (2, 3), 24), Entry("b", "BF16", (5,), 10), Entry("c", "F8_E4M3", (1, 1), 1)]
    assert found == {entry.name: entry for entry in told}


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"\xff" * 40, b"version https://git-lfs", b"\x02" + b"\0" * 7 + b"[]", b"\x08" + b"\0" * 7 + b'{"a": 3}'],
    ids=["empty", "no header", "an endless header", "a pointer", "a list", "no tensor"],
)
def test_a_file_that_begins_otherwise_is_refused(content, tmp_path):
    """In one sentence, and without asking for the memory that a wrong length speaks of."""
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=re.escape("x.safetensors in ")) as caught:
        entries(tmp_path / "x.safetensors")
    assert "is no whole safetensors file" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="is no whole safetensors file"):
        entries(tmp_path / "nowhere.safetensors")


def test_one_file_goes_before_an_index(tmp_path):
    """As in transformers; a folder without either holds no weights."""
    assert weight_files(tmp_path) == []
    index(tmp_path, {"b.w": "model-2.safetensors", "a.w": "model-1.safetensors", "c.w": "model-2.safetensors"})
    shards = [tmp_path / "model-1.safetensors", tmp_path / "model-2.safetensors"]
    for shard in shards:
        save_file(TENSORS, shard)
    assert weight_files(tmp_path) == shards
    assert dtypes(shards) == {"a": "F32", "b": "BF16", "c": "F8_E4M3"}
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]


@pytest.mark.parametrize(
    ("weight_map", "said"),
    [
        (3, "holds 3 as its weight_map"),
        (None, "holds None as its weight_map"),
        ({"a.w": 7}, "the file 7"),
        ({"a.w": "../model-1.safetensors"}, "'../model-1.safetensors'; it takes names of files beside it"),
        ({"a.w": "/etc/passwd"}, "beside it"),
        ({"a.w": ""}, "is not there"),
        ({"a.w": "model-1.safetensors"}, "speaks of 'model-1.safetensors', which is not there"),
        ({}, "no weights at all"),
    ],
)
def test_an_index_that_leads_nowhere_is_refused(weight_map, said, tmp_path):
    """By its name, in one sentence; nothing outside of the folder is looked at."""
    index(tmp_path, weight_map)
    with pytest.raises(BadInput, match=re.escape("model.safetensors.index.json in ")) as caught:
        weight_files(tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"weight_map": {"a.w": "a"}}', '{"metadata": 3, "weight_map": {"a.w": "a"}}']
)
def test_an_index_that_is_none_is_refused(content, tmp_path):
    """Broken, another JSON value, or without its parts."""
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(BadInput, match=r"model\.safetensors\.index\.json in "):
        weight_files(tmp_path)


def index(folder, weight_map):
    """Write an index as transformers does."""
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
