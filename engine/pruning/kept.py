"""The numbers of units before and after a cut: index arithmetic between plans, which knows no tensor.

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


def original(kept: Kept, plan: Plan) -> Plan:
    """The same units by original index; `plan` has them by present index and fits the model (`engine.pruning.plan.check`)."""
    return Plan(
        [(layer, kept.heads[layer][at]) for layer, at in plan.heads],
        [(layer, kept.neurons[layer][at]) for layer, at in plan.neurons],
    )


def present(kept: Kept, plan: Plan) -> Plan:
    """The same units by present index; `plan` has them by original index, and those that are gone already are left out.

    So `smaller = cut(model, a)` and then `cut(smaller, present(kept_of(smaller), b))` is one cut along the union of a and b.
    """
    heads, neurons = (
        [(layer, at) for layer, of_layer in enumerate(units) for at, unit in enumerate(of_layer) if (layer, unit) in wanted]
        for units, wanted in ((kept.heads, plan.heads), (kept.neurons, plan.neurons))
    )
    return Plan(heads, neurons)
