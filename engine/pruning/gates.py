"""Closing units reversibly: a gate of 0 or 1 on what each head and each neuron writes; knows nothing of why a unit is closed.

The gate sits at the input of the two output projections of a layer. There it does exactly what removing the unit does: a
gate on the attention weights would leave the value path open, and one on the projection's weights would be undone by the
first optimiser step.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.models.anatomy import Anatomy, dissect, output_features
from engine.pruning.plan import Plan, Unit, check_units
from engine.record.errors import BadInput


class Gates:
    """The gates of a model, for the length of a `with`; all of them are open when it begins and gone when it ends.

    Units are pairs `(layer, index)` as the model stands when `with` begins; for a cut model they count the units it has
    left. A single head of a key-value group has a gate too, so that one can see what it does; only the whole group can be
    cut. Gates act in training as in evaluation: a closed unit contributes nothing and gets no gradient through its output.
    They are multiplied into the activation and so follow its dtype and device wherever the model is moved. Nothing is
    added to the model's parameters, buffers or `state_dict`. Several `Gates` on one model each keep their own units
    closed. A `deepcopy` of the model made inside shares these gates: they open for both at the end. A layer with no unit
    closed is not touched at all: with every gate open the logits are bit-identical.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.anatomy: Anatomy = dissect(model)
        self._closed = Plan()
        self._vectors: dict[str, Tensor] = {}  # by module path; [features], only for projections with something closed
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "Gates":
        if self._handles:
            raise BadInput("These gates are on the model already; make another Gates(model) for a second set.")
        self.anatomy = dissect(self.model)
        self._hang()
        return self

    def __exit__(self, *_: object) -> None:
        self._take_down()
        self._vectors.clear()
        self._closed = Plan()

    @property
    def closed(self) -> Plan:
        """The units that are closed now."""
        return self._closed

    def close(self, heads: Iterable[Unit] = (), neurons: Iterable[Unit] = ()) -> None:
        """Close units; those that are closed stay so. Raises `BadInput` for a unit that the model does not have."""
        asked = Plan(heads, neurons)
        self.set(Plan(self._closed.heads | asked.heads, self._closed.neurons | asked.neurons))

    def open(self, heads: Iterable[Unit] = (), neurons: Iterable[Unit] = ()) -> None:
        """Open units again; those that are open stay so. Raises `BadInput` for a unit that the model does not have."""
        asked = Plan(heads, neurons)
        check_units(asked, self.anatomy)
        self.set(Plan(self._closed.heads - asked.heads, self._closed.neurons - asked.neurons))

    def set(self, plan: Plan) -> None:
        """Close exactly the units of the plan and open all others.

        Raises `BadInput` for a unit that the model does not have, with nothing changed, and outside of `with`.
        """
        if not self._handles:
            raise BadInput("Gates act only inside their `with`: write `with Gates(model) as gates:` and close units there.")
        check_units(plan, self.anatomy)
        changed = {layer for layer, _ in (plan.heads ^ self._closed.heads) | (plan.neurons ^ self._closed.neurons)}
        heads, neurons = _by_layer(plan.heads), _by_layer(plan.neurons)
        for index in changed:
            layer = self.anatomy.layers[index]
            features = output_features(layer, heads.get(index, ()))
            self._gate(layer.attention_output, layer.heads * layer.head_width, features)
            self._gate(layer.mlp_output, layer.neurons, neurons.get(index, []))
        self._closed = plan

    def rehang(self) -> None:
        """Gate what stands at the paths of the output projections now: after a module was put around one, or taken away again."""
        self._take_down()
        self._hang()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside, every gate lets everything through; afterwards the same units are closed. Costs next to nothing."""
        held = dict(self._vectors)
        self._vectors.clear()
        try:
            yield
        finally:
            self._vectors.update(held)

    def _hang(self) -> None:
        for layer in self.anatomy.layers:
            for path in (layer.attention_output, layer.mlp_output):
                self._handles.append(self.model.get_submodule(path).register_forward_pre_hook(_Hook(path, self._vectors)))

    def _take_down(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _gate(self, path: str, width: int, closed: list[int]) -> None:
        if not closed:
            self._vectors.pop(path, None)
            return
        weight = self.model.get_submodule(path).weight
        vector = torch.ones(width, dtype=weight.dtype, device=weight.device)  # [features]
        vector[closed] = 0
        self._vectors[path] = vector


def has_closed(model: nn.Module) -> bool:
    """Whether any unit of a model is closed by gates, whoever put them there."""
    hooks = (hook for module in model.modules() for hook in module._forward_pre_hooks.values())
    return any(isinstance(hook, _Hook) and hook.path in hook.vectors for hook in hooks)


class _Hook:
    """The gates at one projection, which all gates of a set share by its path."""

    def __init__(self, path: str, vectors: dict[str, Tensor]):
        self.path, self.vectors = path, vectors

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor] | None:
        vector = self.vectors.get(self.path)
        if vector is None:
            return None
        (features,) = inputs
        if vector.dtype != features.dtype or vector.device != features.device:  # the model was moved, or autocast is on
            vector = self.vectors[self.path] = vector.to(features)
        return (features * vector,)  # [..., features]

    def __deepcopy__(self, _: dict) -> "_Hook":
        return self  # a copy of the model is behind the same gates


def _by_layer(units: Iterable[Unit]) -> dict[int, list[int]]:
    layers: dict[int, list[int]] = {}
    for layer, index in units:
        layers.setdefault(layer, []).append(index)
    return layers
