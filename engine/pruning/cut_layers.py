"""One layer of a model really smaller, beside the model and not in it; knows no text, and leaves the model as it was.

A layer has two parts, attention and MLP. What is left of a part when some of its units go, its output projection compensated or
not, is worked out once for each set of units (`Pieces.part`); any two parts of a layer make a layer that runs by itself
(`Pieces.layer`). Everything that no unit belongs to, norms and biases, is the model's own and not copied.
"""

from collections.abc import MutableMapping
from copy import deepcopy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from engine.models.anatomy import Anatomy, Layer, dissect, family_of
from engine.models.narrow import kept_of, narrow, selection, skeleton
from engine.pruning.compensate import compensate, originals, restore
from engine.pruning.cut import taken
from engine.pruning.plan import Plan
from engine.pruning.statistics import Statistics

KINDS = {"attention": "heads", "mlp": "neurons"}


@dataclass(frozen=True)
class Fit:
    """How what is left of a part makes up for what went; as `engine.pruning.compensate.compensating` takes it."""

    method: str = "none"
    ridge: float = 0.0
    add_biases: bool = True


@dataclass(frozen=True, eq=False)
class Part:
    """The attention or the MLP of a layer without the units in `gone`: the parameters of its projections by their names, with
    `added` of them in a bias that compensation brought."""

    gone: tuple[int, ...]
    tensors: dict[str, Tensor]
    added: int

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


NOTHING = Part((), {}, 0)  # gone: the model's own attention or MLP


class Pieces:
    """What makes parts and layers of one model, which must be bare of gates and compensation whenever a part is made."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._anatomy: Anatomy = dissect(model)
        self._family = family_of(model)[1]
        self._blank = skeleton(type(model), deepcopy(model.config), kept_of(model))  # every tensor on the meta device
        # By its two parts: a layer that was made is there for as long as both of them are.
        self._made: dict[int, MutableMapping[Part, MutableMapping[Part, nn.Module]]] = {}

    def part(self, layer: Layer, name: str, gone: tuple[int, ...], fit: Fit, known: Statistics | None) -> Part:
        """The part of that name ("attention" or "mlp") without some of its units; raises `BadInput` as compensation does.

        `known` are statistics of the bare model, None where the fit's method is "none".
        """
        plan = Plan(**{KINDS[name]: [(layer.index, unit) for unit in gone]})
        before = originals(self._model, plan, self._anatomy)
        try:
            records = compensate(self._model, plan, self._anatomy, known, fit.method, fit.ridge, fit.add_biases)
            tensors = self._taken(layer, name, gone)
        finally:
            restore(self._model, before)
        output = layer.attention_output if name == "attention" else layer.mlp_output
        given = any(record.bias == "added" for record in records)
        return Part(gone, tensors, tensors[f"{self._inside(layer, output)}.bias"].numel() if given else 0)

    def own(self, layer: Layer) -> nn.Module:
        """The model's own layer, with nothing gone."""
        return self._model.get_submodule(f"{self._family.layers}.{layer.index}")

    def layer(self, layer: Layer, attention: Part, mlp: Part) -> nn.Module:
        """The layer made of these two parts; it takes and gives the hidden states that the model's own layer does."""
        made = self._made.setdefault(layer.index, WeakKeyDictionary()).setdefault(attention, WeakKeyDictionary())
        if mlp not in made:
            made[mlp] = self._put_together(layer, attention, mlp)
        return made[mlp]

    def _put_together(self, layer: Layer, attention: Part, mlp: Part) -> nn.Module:
        piece = self._shape(layer, attention.gone, mlp.gone)
        own = self.own(layer)
        made = attention.tensors | mlp.tensors
        there = dict(own.named_parameters()) | dict(own.named_buffers())
        wanted = (*dict(piece.named_parameters()), *dict(piece.named_buffers()))
        for name in dict.fromkeys((*wanted, *made)):  # a bias that was added is in no blank layer
            path, _, last = name.rpartition(".")
            value = nn.Parameter(made[name], requires_grad=False) if name in made else there[name]
            setattr(piece.get_submodule(path), last, value)
        return piece.eval()

    def _taken(self, layer: Layer, name: str, gone: tuple[int, ...]) -> dict[str, Tensor]:
        heads, neurons = (gone, ()) if name == "attention" else ((), gone)
        shape = dict(self._shape(layer, heads, neurons).named_modules())
        selected = selection(layer, *_left(layer, heads, neurons))
        paths = [one.path for one in layer.attention_inputs] + [layer.attention_output]
        tensors = {}
        for path in paths if name == "attention" else [*layer.mlp_inputs, layer.mlp_output]:
            inside = self._inside(layer, path)
            if inside not in shape:  # it made queries or keys, and every head went
                continue
            for last, _ in self._model.get_submodule(path).named_parameters():
                tensors[f"{inside}.{last}"] = taken(self._model, f"{path}.{last}", selected, shape[inside])
        return tensors

    def _shape(self, layer: Layer, heads: tuple[int, ...], neurons: tuple[int, ...]) -> nn.Module:
        """The layer without these units, on the meta device."""
        layers = self._blank.get_submodule(self._family.layers)
        whole = layers[layer.index]
        layers[layer.index] = deepcopy(whole, {id(self._blank.config): self._blank.config})
        try:
            narrow(self._blank, self._family, layer, *_left(layer, heads, neurons))
            return layers[layer.index]
        finally:
            layers[layer.index] = whole

    def _inside(self, layer: Layer, path: str) -> str:
        """A path from the layer, where `path` is one from the model's root."""
        return path.removeprefix(f"{self._family.layers}.{layer.index}.")


def _left(layer: Layer, heads: tuple[int, ...], neurons: tuple[int, ...]) -> tuple[list[int], list[int]]:
    return sorted(set(range(layer.heads)).difference(heads)), sorted(set(range(layer.neurons)).difference(neurons))
