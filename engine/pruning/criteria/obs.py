"""In which order units go from a layer if each time the cheapest goes and those that are left make up for it by least squares:
the score is the error of the layer's output once the unit has gone, and all that went before it. So of two units that say the
same, one is free. Costs one pass over the calibration text and then a greedy search, which for thousands of neurons takes
seconds for each layer. Heads that share their keys and values go together and have one score. Goes well with the compensation
"least-squares". Source: the optimal brain surgeon, Hassibi and Stork 1993, for whole structures as in ZipLM, Kurtic, Frantar
and Alistarh 2023 (arXiv 2302.04089) and SlimGPT, Ling et al. 2024 (arXiv 2412.18110)."""

from torch import Tensor, nn

from engine.models.anatomy import Anatomy, matrix
from engine.pruning.elimination import errors
from engine.pruning.plan import Scores
from engine.pruning.statistics import Inputs, Statistics

LABEL = "OBS"
COST = "one pass"
NEEDS = ("covariance",)
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """The error that is left when the unit has gone, in the order of going (`engine.pruning.elimination`), groups as blocks.

    In units of squared output, and rising with every unit: the highest score of the units that go foretells the layer's error.
    """
    statistics.require(NEEDS)
    heads, neurons = [], []
    for layer, attention, mlp in zip(anatomy.layers, statistics.attention, statistics.mlp, strict=True):
        of_groups = _errors(model.get_submodule(layer.attention_output), attention, layer.groups)
        heads.append(tuple(error for error, group in zip(of_groups.tolist(), layer.head_groups, strict=True) for _ in group))
        neurons.append(tuple(_errors(model.get_submodule(layer.mlp_output), mlp, layer.neurons).tolist()))
    return Scores(heads=tuple(heads), neurons=tuple(neurons))


def _errors(module: nn.Module, inputs: Inputs, units: int) -> Tensor:
    return errors(matrix(module).detach().cpu(), inputs.summed, units)  # [units]
