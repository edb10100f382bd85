"""Which original units a model has left when more of them go: index arithmetic, which knows no tensor.

Every cut renumbers the units that stay: what was head 4 may become head 1. `engine.models.narrow.kept_of` tells a model's
original numbers; with them a second cut, a file or a map of the whole model can speak of the same unit.
"""

from engine.models.narrow import Kept
from engine.pruning.plan import Plan


def without(kept: Kept, plan: Plan) -> Kept:
    """What is left when the units of `plan`, given by present index, are gone too."""
    heads, neurons = (
        tuple(tuple(unit for at, unit in enumerate(of_layer) if (layer, at) not in gone) for layer, of_layer in enumerate(units))
        for units, gone in ((kept.heads, plan.heads), (kept.neurons, plan.neurons))
    )
    return Kept(heads, neurons)
