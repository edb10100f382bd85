"""One call that prunes a loaded model by a recipe: scores, plan, gates, compensation; for scripts, and no part of a run."""

from engine.models.load import Loaded
from engine.pruning.compensate import NEEDS
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan, make_plan
from engine.record.recipe import Recipe
from engine.text.corpora import read_corpus
from engine.text.texts import Texts


def prune(loaded: Loaded, recipe: Recipe) -> Plan:
    """Close the gates of the units with the lowest scores in `loaded.model` and compensate for them, as the recipe says.

    The gates stay on the model; `cut(loaded.model, plan)` takes the units out for good, and `load` gives a fresh model. Of
    the recipe its corpus, criterion, schedules, compensation, calibration and seed are used. Raises `BadInput` for a corpus
    or custom shares that do not fit.
    """
    layers = len(loaded.anatomy.layers)
    of_kind = [schedule.shares(layers) for schedule in (recipe.heads, recipe.neurons)]
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    blocks = texts.blocks("calibration", recipe.calibration.sequence_length, recipe.calibration.tokens, "calibration")
    evidence = Evidence(loaded.model, loaded.anatomy)
    scores = _finish(evidence.scores(recipe.criterion, blocks, recipe.seed))
    plan = make_plan(scores, *of_kind)
    statistics = _finish(evidence.statistics(blocks, NEEDS[recipe.compensation]))
    Overlay(loaded.model, loaded.anatomy).lay(plan, recipe.compensation, statistics)
    return plan


def _finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
