"""What can be refused of a recipe before torch is there to carry it out: what it names is not on this machine, or does not fit.

Looks at names, folders and a model's `config.json`; opens no weights, reads no text and asks no network.
"""

import json
from os import PathLike, fspath
from pathlib import Path

from engine.record.catalogue import (
    BUILTIN,
    CORPORA,
    Packaged,
    check_model,
    context_of,
    file_of,
    layers_of,
    model_names,
    packaged,
    snapshots,
    to_install,
)
from engine.record.errors import BadInput, UnknownName, blaming, naming, shorten
from engine.record.paths import kind_of, typed
from engine.record.recipe import Recipe, shares_of_kind


def check_beforehand(recipe: Recipe) -> None:
    """Raise `BadInput`, with its field, for a recipe that is bound to be refused: what it names is not there, the model cannot
    read sequences as long, or shares are not for as many layers as it has."""
    check_there(recipe)
    folder = model_folder(recipe.model)
    context, layers = (None, None) if folder is None else _sizes(folder)
    for field in ("calibration", "evaluation", "tuning") if context is not None else ():
        if field != "tuning" or recipe.tuning.steps:
            check_length(getattr(recipe, field).sequence_length, context, field)
    for kind in ("heads", "neurons") if layers is not None else ():
        shares_of_kind(kind, getattr(recipe, kind), layers, recipe.protect)


def check_there(recipe: Recipe) -> None:
    """Raise `BadInput` where the model or the text is to be on this machine and is not; the hub's are taken on trust."""
    with naming("model"):
        folder, carried = model_folder(recipe.model), packaged(recipe.model)
        if folder is None and carried is not None:
            package_file(carried)
    with blaming("corpus"):
        _text_is_there(recipe.corpus)


def check_length(length: int, context: int, field: str) -> None:
    """Raise `BadInput` for sequences longer than the `context` of a model; `field` is the part of the recipe that asks, or ""."""
    if length > context:
        name = f"{field}.sequence_length".lstrip(".")
        with blaming(name if field else ""):
            raise BadInput(f"{name} {length} is more than the {context} positions of this model; give at most {context}.")


def model_folder(name: str | PathLike[str]) -> Path | None:
    """The folder that a model's name stands for; None for one that a package carries and for one of the hub.

    Raises `BadInput`, of which `UnknownName` is one, for a name that is nowhere.
    """
    name = fspath(name)
    if not name.strip():
        raise UnknownName("model", name, model_names())
    if name in (path.parent.name for path in BUILTIN.glob("*/config.json")):
        return BUILTIN / name
    if packaged(name) is not None:
        return None
    folder = typed(name, "model folder")
    kind = kind_of(folder, "model folder")
    if kind == "folder":
        return folder
    if kind != "nothing":
        raise BadInput(f"{shorten(name)} is a file; name the folder that holds the model's config.json.")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 and "@" not in name:
        raise BadInput(
            f"There is no folder {shorten(name)}; name a folder that holds a config.json, a built-in model or a hub id."
        )
    check_model(name)
    return None


def package_file(model: Packaged) -> Path:
    """The file of a packaged model; raises `BadInput`, with what is to be installed, where its package is not."""
    file = file_of(model)
    if file is None:
        raise BadInput(f"The model {model.name!r} is in no package of this Python; run {' and '.join(to_install(model))}.")
    return file


def layer_count(name: str) -> int | None:
    """How many layers a model has; None for one of the hub that is not on this machine yet. Raises `BadInput` as `model_folder`
    does."""
    folder, carried = model_folder(name), packaged(name)
    if carried is not None:
        return carried.layers
    if folder is None:
        folder = next((path.parent for path in sorted(snapshots(name.partition("@")[0]).glob("*/config.json"))), None)
    return None if folder is None else _sizes(folder)[1]


def _sizes(folder: Path) -> tuple[int | None, int | None]:
    """The positions and the layers of the model in a folder; None for what its config does not say: that is for whoever reads it
    to judge."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None, None
    return context_of(config), layers_of(config)


def _text_is_there(corpus: str | dict[str, str]) -> None:
    if isinstance(corpus, dict):
        for split, path in corpus.items():
            field = f"corpus.{split}"
            if kind_of(typed(path, field), field) == "nothing":
                raise BadInput(f"{field} {shorten(path)} is not there; give the path of a text file or of a folder of them.")
        return
    name, _, where = corpus.partition(":")
    facts = CORPORA.entry(name).facts
    if facts.get("TAKES") == "PATH" and kind_of(typed(where.strip(), "corpus"), "corpus") == "nothing":
        asks = facts["ASKS"]
        raise BadInput(f"corpus {shorten(corpus)} is not there; {asks[0].lower()}{asks[1:]}")
