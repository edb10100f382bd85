"""The weights stay as they are, and beside each chosen projection two small matrices train whose product is added to what it
gives; at the end the product is added to the weight itself, so that nothing is left to carry along. Gradients and moments are a
few percent of a full recovery's. Norms, embeddings and biases do not train. Source: Hu et al. 2021 (arXiv 2106.09685)."""

from functools import partial

from engine.record.recipe import Tuning
from engine.recovery.adapters import Adapters
from engine.recovery.loss import loss_of
from engine.recovery.methods import Course, Pupil

LABEL = "LoRA"


def begin(pupil: Pupil, tuning: Tuning, seed: int) -> Course:
    """Put the matrices on; the loss is that of the text."""
    adapters = Adapters(pupil.model, pupil.anatomy, tuning.rank, tuning.targets, seed, pupil.rehang)
    return Course(partial(loss_of, pupil.model), keep=adapters.merge, drop=adapters.remove)
