"""In which order units go from a layer if each time the cheapest goes and those that are left make up for it by least squares:
the score is the error of the layer's output once the unit has gone, and all that went before it. So of two units that say the
same, one is free. Costs one pass over the calibration text and then a greedy search, which for thousands of neurons takes
seconds for each layer. Heads that share their keys and values go together and have one score. Goes well with the compensation
"least-squares". Source: the optimal brain surgeon, Hassibi and Stork 1993, for whole structures as in ZipLM, Kurtic, Frantar
and Alistarh 2023 (arXiv 2302.04089) and SlimGPT, Ling et al. 2024 (arXiv 2412.18110)."""

from collections.abc import Generator

from torch import nn

from engine.models.anatomy import Anatomy, matrix
from engine.pruning.elimination import eliminating
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics
from engine.record.lifecycle import Progressed
from engine.record.steps import ended, retold

LABEL = "OBS"
COST = "one pass + search"
NEEDS = ("covariance",)
UNITS = ("heads", "neurons")
STEPS = True


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """The error that is left when the unit has gone, in the order of going (`engine.pruning.elimination`), groups as blocks.

    In units of squared output, and rising with every unit: the highest score of the units that go foretells the layer's error.
    """
    return ended(scoring(model, anatomy, statistics, seed))


def scoring(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Generator[Progressed, None, Scores]:
    """`score`, in steps of which a layer of a thousand neurons has some sixteen."""
    statistics.require(NEEDS)
    spots = [
        spot
        for layer, attention, mlp in zip(anatomy.layers, statistics.attention, statistics.mlp, strict=True)
        for spot in ((layer.attention_output, attention, layer.groups), (layer.mlp_output, mlp, layer.neurons))
    ]
    done, total, found = 0, sum(units for _, _, units in spots), []
    for path, inputs, units in spots:
        steps = eliminating(matrix(model.get_submodule(path)).detach().cpu(), inputs.summed, units)
        errors = yield from retold(steps, lambda gone, done=done: Progressed("elimination", done + gone, total, "units"))
        found.append(tuple(errors.tolist()))  # [units]
        done += units
    heads = (
        tuple(error for error, group in zip(of_groups, layer.head_groups, strict=True) for _ in group)
        for layer, of_groups in zip(anatomy.layers, found[::2], strict=True)
    )
    return Scores(heads=tuple(heads), neurons=tuple(found[1::2]))
