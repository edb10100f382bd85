"""Plans in a bit for each unit, for whoever keeps hundreds of them; knows no model, and does not judge which units there are.

A set of pairs `(layer, index)` takes a hundred bytes for each unit that goes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from engine.pruning.plan import Plan, Unit


@dataclass(frozen=True)
class Packed:
    """A plan: for each layer, up to the last that loses something, the bits of its heads and of its neurons."""

    heads: tuple[bytes, ...] = ()
    neurons: tuple[bytes, ...] = ()

    def bits(self, kind: str, layer: int) -> bytes:
        """Those of a layer's "heads" or "neurons"; empty where it loses none."""
        layers = getattr(self, kind)
        return layers[layer] if layer < len(layers) else b""

    @property
    def plan(self) -> Plan:
        """The plan that was packed."""
        return Plan(
            *([(at, unit) for at, bits in enumerate(kind) for unit in units_of(bits)] for kind in (self.heads, self.neurons))
        )


def packed(plan: Plan) -> Packed:
    """The plan in bits; equal plans give equal ones."""
    return Packed(_packed(plan.heads), _packed(plan.neurons))


def units_of(bits: bytes) -> tuple[int, ...]:
    """The units of one layer, ascending."""
    return tuple(8 * place + bit for place, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1)


def number_of(thing: object) -> int:
    """A number of 128 bits that tells a thing from others by what it prints: equal for equal things, in any process."""
    return int.from_bytes(blake2b(repr(thing).encode(), digest_size=16).digest())


def _packed(units: Iterable[Unit]) -> tuple[bytes, ...]:
    layers: list[bytearray] = []
    for layer, index in units:
        while len(layers) <= layer:
            layers.append(bytearray())
        if len(layers[layer]) <= index >> 3:
            layers[layer].extend(bytes((index >> 3) + 1 - len(layers[layer])))
        layers[layer][index >> 3] |= 1 << (index & 7)
    return tuple(map(bytes, layers))
