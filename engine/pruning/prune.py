"""One call that prunes a loaded model by a recipe: scores, plan, gates, compensation; for scripts, and no part of a run."""

import warnings
from contextlib import ExitStack

from engine.models.load import Loaded
from engine.pruning.compensation_warnings import doubts, without_biases
from engine.pruning.evidence import Evidence
from engine.pruning.gates import has_closed
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan
from engine.pruning.rounds import Round, planning
from engine.pruning.suggest import compensation_goes_by
from engine.record.beforehand import model_folder
from engine.record.errors import BadInput, shorten
from engine.record.recipe import Recipe
from engine.record.steps import ended
from engine.text.corpora import read_corpus
from engine.text.texts import Texts


def prune(loaded: Loaded, recipe: Recipe) -> Plan:
    """Close the gates of the units with the lowest scores in `loaded.model` and compensate for them, as the recipe says.

    Gates and compensated weights stay on the model, and nothing takes them off again: `cut(loaded.model, plan)` returns a model
    without the units, and `load` a fresh one. Of the recipe count its text, its seed, and all from criterion to rounds; nothing
    is trained, measured, cut or saved.

    Warns, with what a run tells as well, where compensation is less than what was asked for: fitted to too little text, solved by
    a pseudo-inverse, or done without a bias.

    Raises `BadInput` for a corpus or for shares that do not fit; for a recipe that names another model than `loaded`, or another
    device than it is on (a recipe that names none is for any); and for a model with closed gates, since a second plan need not
    name the units of the first. Whatever it fails for, the model is as it was, and no hook is left on it.
    """
    _check_meant(loaded, recipe)
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    blocks = texts.blocks("calibration", recipe.calibration.sequence_length, recipe.calibration.tokens, "calibration")
    evidence, overlay = Evidence(loaded.model, loaded.anatomy), Overlay(loaded.model, loaded.anatomy)
    with ExitStack() as given_up:
        given_up.callback(overlay.close)
        with overlay.lifted():
            plan = [step.plan for step in planning(evidence, overlay, blocks, recipe) if isinstance(step, Round)][-1]
        known = ended(compensation_goes_by(evidence, blocks, recipe.compensation))
        records = overlay.lay(plan, recipe.compensation, known, recipe.ridge, recipe.add_biases)
        for doubt in doubts(records):
            warnings.warn(f"instead of {doubt.asked}: {doubt.did}, because {doubt.why}", stacklevel=2)
        for sentence in without_biases(records):
            warnings.warn(sentence, stacklevel=2)  # which may be an error to the caller, and then there is no plan to cut along
        given_up.pop_all()
    return plan


def _check_meant(loaded: Loaded, recipe: Recipe) -> None:
    """Raise `BadInput` where the recipe is not for this model as it stands."""
    if "model" in recipe.model_fields_set and not _is_named(loaded, recipe.model):
        raise BadInput(
            f"The recipe is for the model {shorten(recipe.model)}, and this one was loaded as {shorten(loaded.name)}; load the "
            "recipe's, or leave the model out of the recipe."
        )
    device = next(loaded.model.parameters()).device.type
    if recipe.device not in ("auto", device):
        raise BadInput(
            f"The recipe is for the device {recipe.device!r}, and the model is on {device!r}; load it there, as by "
            f"load({shorten(loaded.name)}, device={recipe.device!r}), or leave the device out of the recipe."
        )
    if has_closed(loaded.model):
        raise BadInput(
            "This model has units closed by gates, and a plan made now need not name them; cut it along the plan that closed "
            "them, or load it anew."
        )


def _is_named(loaded: Loaded, name: str) -> bool:
    """Whether a name is that of a model that was loaded: the one that was asked for, its folder, or its id on the hub, with its
    revision or with none."""
    if name == loaded.name:
        return True
    folder = model_folder(name)
    if folder is not None:
        return folder.resolve() == loaded.folder.resolve()
    (hub_id, _, asked), (loaded_id, _, revision) = name.partition("@"), loaded.name.partition("@")
    return hub_id == loaded_id and asked in ("", revision, loaded.revision)
