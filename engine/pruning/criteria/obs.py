"""In which order units go from a layer if each time the cheapest one goes and those that are left make up for it by least
squares: the score is the error of the layer's output once the unit has gone, and all that went before it. So of two units that
say the same, one is free. Costs one pass over the calibration text and then a greedy search of its own, which for thousands of
neurons takes seconds for each layer. Goes together with the compensation "least-squares". Source: the optimal brain surgeon,
Hassibi and Stork 1993, for whole structures as in ZipLM, Kurtic, Frantar and Alistarh 2023 (arXiv 2302.04089) and SlimGPT, Ling
et al. 2024 (arXiv 2412.18110)."""

from torch import nn

from engine.models.anatomy import Anatomy, matrix
from engine.pruning.elimination import errors
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics

LABEL = "OBS"
COST = "one pass"
NEEDS = ("covariance",)
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """The error that is left when the unit has gone, in the order of going (`engine.pruning.elimination`), heads as blocks.

    In units of squared output, and rising with every unit: the highest score of the units that go foretells the layer's error.
    """
    statistics.require(NEEDS)
    heads, neurons = [], []
    for layer, attention, mlp in zip(anatomy.layers, statistics.attention, statistics.mlp, strict=True):
        for path, inputs, units, of_kind in (
            (layer.attention_output, attention, layer.heads, heads),
            (layer.mlp_output, mlp, layer.neurons, neurons),
        ):
            weight = matrix(model.get_submodule(path)).detach().cpu()  # [out, channels]
            of_kind.append(tuple(errors(weight, inputs.summed, units).tolist()))
    return Scores(heads=tuple(heads), neurons=tuple(neurons))
