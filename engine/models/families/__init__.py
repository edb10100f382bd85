"""The contract of a family: where heads and neurons live in one architecture, as paths and layout; holds no code that computes.

A family is a path, not a program. Every other file of this folder is one entry, named after the `model_type` of its
config, and holds one constant `FAMILY`; a model type that shares another's layout imports it and says what differs. All
operations (anatomy, gates, cut, save) are written once and read these data.
Whether a projection stores its weight as `[out, in]` (Linear) or `[in, out]` (Conv1D) is not said here: the module tells.
"""

from dataclasses import dataclass
from typing import Literal

Part = Literal["query", "key", "value"]


@dataclass(frozen=True)
class Projection:
    """One linear map into the attention and what its output features are.

    `parts`: which of query, key and value it makes; a query has `heads` units of `head_width` features, a key and a value
    have `groups` units. `order`: "part" when all units of the first part come before those of the second (GPT-2's fused
    q|k|v, and every projection with a single part), "head" when each head has its parts side by side (GPT-NeoX).
    """

    path: str
    parts: tuple[Part, ...]
    order: Literal["part", "head"] = "part"


@dataclass(frozen=True)
class Family:
    """Where one architecture keeps its units. Paths are dotted: `layers` from the model's root, the others from a layer.

    `mlp` is the module that holds the MLP, and "" where the layer itself does; `mlp_inputs` are one projection, or the gate
    and the one that it multiplies. `head_width` names the entry of the config that may hold the width of a head; where there
    is none, it is the hidden size divided by the number of heads. `head_counts` and `head_features` name the attributes of the
    attention module that hold the number of heads and heads × head width; a cut rewrites them. That of the heads per key-value
    group needs no name: groups go whole. `head_norms` names the norms that every head's query or key goes through, one for all
    heads, which go with the last of them. `after_output` names the modules that attention applies after its output projection,
    `cache_argument` the argument in which it receives the key-value cache; a layer that lost every head needs both. `mlp_width`,
    `attention_bias` and `mlp_bias` name the entries of the config that say how many neurons a layer has and that give the
    projections of either part their biases; "" where no entry does. `window` names the entry that says how many tokens attention
    sees at most, and `layer_kinds` the one that says in which layers; "" where a model pays no heed to such an entry, in its
    config or not.
    """

    model_class: str
    layers: str
    attention: str
    attention_inputs: tuple[Projection, ...]
    attention_output: str
    mlp: str
    mlp_inputs: tuple[str, ...]
    mlp_output: str
    head_counts: tuple[str, ...] = ()
    head_features: tuple[str, ...] = ()
    head_width: str = ""
    head_norms: tuple[str, ...] = ()
    after_output: tuple[str, ...] = ()
    cache_argument: str = "past_key_values"
    mlp_width: str = ""
    attention_bias: str = ""
    mlp_bias: str = ""
    window: str = ""
    layer_kinds: str = ""
