"""Every unit gets a number drawn evenly between 0 and 1 from the seed, so that units go by lot. Costs nothing and looks at
nothing: it is the mark that any other criterion has to beat, which after recovery some barely do. One draw proves little;
compare over several seeds. Source: the usual baseline, for instance Michel et al. 2019 (arXiv 1905.10650)."""

import torch
from torch import nn

from engine.models.anatomy import Anatomy
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics

LABEL = "Random"
COST = "free"
NEEDS = ()
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics | None, seed: int) -> Scores:
    """Uniform in [0, 1), from a generator of its own: the global random state is neither read nor moved."""
    generator = torch.Generator().manual_seed(seed)
    return Scores(
        heads=tuple(tuple(torch.rand(layer.heads, generator=generator).tolist()) for layer in anatomy.layers),
        neurons=tuple(tuple(torch.rand(layer.neurons, generator=generator).tolist()) for layer in anatomy.layers),
    )
