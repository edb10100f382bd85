"""Which units of the original model a cut model still has: index arithmetic over plain numbers, which knows no tensor.

Every cut renumbers the units that stay: what was head 4 may become head 1. `Kept` remembers the original numbers, so that
a second cut, a file on disk or a map of the whole model can speak of the same unit.
"""

from dataclasses import dataclass

from engine.models.anatomy import Anatomy
from engine.pruning.plan import Plan

Indices = tuple[int, ...]


@dataclass(frozen=True)
class Kept:
    """For every layer the original indices of the heads and neurons that are left, ascending; the place is the present index."""

    heads: tuple[Indices, ...]
    neurons: tuple[Indices, ...]

    def without(self, plan: Plan) -> "Kept":
        """What is left when the units of `plan`, given by present index, are gone too."""
        heads, neurons = (
            tuple(
                tuple(original for at, original in enumerate(of_layer) if (layer, at) not in gone)
                for layer, of_layer in enumerate(kept)
            )
            for kept, gone in ((self.heads, plan.heads), (self.neurons, plan.neurons))
        )
        return Kept(heads, neurons)

    def original(self, plan: Plan) -> Plan:
        """The same units by original index; `plan` has them by present index and must fit the model (`plan.check`)."""
        return Plan(
            ((layer, self.heads[layer][at]) for layer, at in plan.heads),
            ((layer, self.neurons[layer][at]) for layer, at in plan.neurons),
        )

    def present(self, plan: Plan) -> Plan:
        """The same units by present index; `plan` has them by original index, and those that are gone already are left out.

        So a cut along `a` and then along `kept_of(cut_model).present(b)` is one cut along the union of `a` and `b`.
        """
        heads, neurons = (
            [
                (layer, at)
                for layer, of_layer in enumerate(kept)
                for at, original in enumerate(of_layer)
                if (layer, original) in units
            ]
            for kept, units in ((self.heads, plan.heads), (self.neurons, plan.neurons))
        )
        return Plan(heads, neurons)


def everything(anatomy: Anatomy) -> Kept:
    """The `Kept` of a model from which nothing was cut."""
    return Kept(
        tuple(tuple(range(layer.heads)) for layer in anatomy.layers),
        tuple(tuple(range(layer.neurons)) for layer in anatomy.layers),
    )
