"""The names that a recipe may use for models, texts and criteria, read from folders; loads no weights and imports no torch."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine.record.errors import UnknownName
from engine.record.registry import Registry

ENGINE = Path(__file__).resolve().parent.parent
CRITERIA = Registry("criterion", "engine.pruning.criteria", ENGINE / "pruning" / "criteria")
CORPORA = Registry("corpus", "engine.text.corpora", ENGINE / "text" / "corpora")
FAMILIES = Registry("family", "engine.models.families", ENGINE / "models" / "families")
BUILTIN = ENGINE / "models" / "builtin"


@dataclass(frozen=True)
class Model:
    """One model of the catalogue. `source` is "built in" or "hub"; `size` the bytes of its weights, None if not known.

    Each layer has `heads` heads in `groups` key-value groups, each of which goes whole or stays; as many where keys are not
    shared.
    """

    name: str
    family: str
    parameters: int
    source: str
    ready: bool
    size: int | None
    heads: int
    groups: int


# Parameters, bytes of the weights as the hub stores them (facebook's and EleutherAI's in float16, the others in float32), heads
# and key-value groups of a layer
HUB = (
    ("distilgpt2", "gpt2", 81_912_576, 352_824_413, 12, 12),
    ("gpt2", "gpt2", 124_439_808, 548_105_171, 12, 12),
    ("gpt2-medium", "gpt2", 354_823_168, 1_519_984_962, 16, 16),
    ("facebook/opt-125m", "opt", 125_239_296, 250_540_281, 12, 12),
    ("facebook/opt-350m", "opt", 331_196_416, 662_513_657, 16, 16),
    ("EleutherAI/pythia-70m", "gpt_neox", 70_426_624, 166_049_099, 8, 8),
    ("EleutherAI/pythia-160m", "gpt_neox", 162_322_944, 374_998_800, 12, 12),
    ("EleutherAI/pythia-410m", "gpt_neox", 405_334_016, 911_407_792, 16, 16),
)


def builtin_models() -> tuple[Model, ...]:
    """The models that come with the project, by name; all of them ready without a network."""
    cards = sorted(BUILTIN.glob("*/card.json"))
    found = []
    for path in cards:
        card, config = (json.loads((path.parent / name).read_text(encoding="utf-8")) for name in ("card.json", "config.json"))
        size = sum(part.stat().st_size for part in path.parent.glob("*.safetensors"))
        heads, groups = heads_of(config)
        found.append(Model(path.parent.name, config["model_type"], card["parameters"], "built in", True, size, heads, groups))
    return tuple(found)


def models() -> tuple[Model, ...]:
    """Every model of the catalogue: the built-in ones, then the hub's; `ready` says whether it can be used offline."""
    hub = (Model(name, family, count, "hub", on_disk(name), size, *heads) for name, family, count, size, *heads in HUB)
    return builtin_models() + tuple(hub)


def heads_of(config: Mapping[str, Any]) -> tuple[int, int]:
    """The heads and the key-value groups of each layer, from the object in a `config.json` of a supported model type."""
    heads = config.get("num_attention_heads") or config["n_head"]
    return heads, config.get("num_key_value_heads") or heads


def model_names() -> tuple[str, ...]:
    """The names in the catalogue; a hub id with a slash or a folder on disk may be used besides."""
    return tuple(path.parent.name for path in sorted(BUILTIN.glob("*/config.json"))) + tuple(entry[0] for entry in HUB)


def check_model(name: str) -> str:
    """Return a name that could be a model; raise `UnknownName` for one that is neither listed, a path, nor a hub id."""
    if name in model_names() or (is_path(name) and ("/" in name or Path(name).is_dir())):
        return name
    raise UnknownName("model", name, model_names())


def is_path(text: str) -> bool:
    """Whether a file system can be asked about this text at all: it names something, is printable, and is not too long."""
    fits = text.isprintable() and len(text.encode()) < 4096 and all(len(part.encode()) < 256 for part in text.split("/"))
    return fits and bool(text.strip())


def on_disk(hub_id: str) -> bool:
    """Whether the hub's cache on this machine holds weights of this model; asks no network."""
    folder = hub_cache() / f"models--{hub_id.replace('/', '--')}" / "snapshots"
    return any(folder.glob("*/*.safetensors"))


def hub_cache() -> Path:
    """Where `huggingface_hub` keeps what it fetched: the documented variables, in its order of precedence."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


@cache
def version() -> str:
    """The version of the project, as its installed metadata has it."""
    from importlib.metadata import version as installed

    return installed("espalier")
