"""One call that prunes a loaded model by a recipe: scores, plan, gates, compensation; for scripts, and no part of a run."""

from engine.models.load import Loaded
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan
from engine.pruning.rounds import Round, planning
from engine.pruning.suggest import compensation_goes_by
from engine.record.recipe import Recipe
from engine.record.steps import ended
from engine.text.corpora import read_corpus
from engine.text.texts import Texts


def prune(loaded: Loaded, recipe: Recipe) -> Plan:
    """Close the gates of the units with the lowest scores in `loaded.model` and compensate for them, as the recipe says.

    The gates stay on the model; `cut(loaded.model, plan)` takes the units out for good, and `load` gives a fresh model. Of
    the recipe everything up to its rounds is used, calibration and seed. Raises `BadInput` for a corpus or for shares that do not
    fit.
    """
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    blocks = texts.blocks("calibration", recipe.calibration.sequence_length, recipe.calibration.tokens, "calibration")
    evidence, overlay = Evidence(loaded.model, loaded.anatomy), Overlay(loaded.model, loaded.anatomy)
    with overlay.lifted():
        plan = [step.plan for step in planning(evidence, overlay, blocks, recipe) if isinstance(step, Round)][-1]
    known = ended(compensation_goes_by(evidence, blocks, recipe.compensation))
    overlay.lay(plan, recipe.compensation, known, recipe.ridge, recipe.add_biases)
    return plan
