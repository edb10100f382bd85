"""The models of `tests.families` at another size, three layers of four heads, in float64, with weights and biases alike large:
heads look somewhere, and whatever forgets a bias is caught."""

from collections.abc import Sequence

import torch
from torch import LongTensor, nn

from engine.models.anatomy import Anatomy
from engine.pruning.allocate import by_schedule, parts_of, plan_of
from engine.pruning.plan import Plan, Scores
from engine.record.recipe import Protection, Schedule
from tests import families

FAMILIES = ("gpt2", "opt", "gpt-neox", "llama")
GROUPED = "llama-grouped"  # heads 0 and 1 share a key, and heads 2 and 3: a plan takes both or none
LAYERS, HEADS, HEAD_WIDTH, NEURONS, CONTEXT, VOCABULARY = 3, 4, 6, 40, 32, 50
WIDTH = HEADS * HEAD_WIDTH
OF_GPT2 = {"n_layer": LAYERS, "n_embd": WIDTH, "n_head": HEADS, "n_inner": NEURONS, "n_positions": CONTEXT}
OF_OTHERS = {"num_hidden_layers": LAYERS, "hidden_size": WIDTH, "num_attention_heads": HEADS, "max_position_embeddings": CONTEXT}


def small(family: str, biases: bool = True, seed: int = 0) -> nn.Module:
    """A model of `LAYERS` layers in eval mode, of one of `FAMILIES` or `GROUPED`; GPT-2 always has biases."""
    others = OF_OTHERS | {"vocab_size": VOCABULARY}
    match family:
        case "gpt2":
            config = families.gpt2(vocab_size=VOCABULARY, **OF_GPT2)
        case "opt":
            config = families.opt(word_embed_proj_dim=WIDTH, ffn_dim=NEURONS, enable_bias=biases, **others)
        case "gpt-neox":
            config = families.gpt_neox(intermediate_size=NEURONS, attention_bias=biases, **others)
        case _:
            groups = 2 if family == GROUPED else HEADS
            options = {"num_key_value_heads": groups, "attention_bias": biases, "mlp_bias": biases}
            config = families.like_llama("Llama", intermediate_size=NEURONS, **options, **others)
    torch.manual_seed(seed)
    model = families.CLASSES[config.model_type](config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    return model.double().eval()


def planned(scores: Scores, anatomy: Anatomy, heads: Sequence[float], neurons: Sequence[float]) -> Plan:
    """The plan that takes these shares of every layer, the lowest scores first."""
    parts = parts_of(scores, anatomy, {"heads": Schedule(), "neurons": Schedule()}, Protection())
    return plan_of(parts, by_schedule(parts, {"heads": heads, "neurons": neurons}))


def text(blocks: int = 12, length: int = 16, seed: int = 1) -> LongTensor:
    """Random tokens [blocks, length]."""
    return torch.randint(0, VOCABULARY, (blocks, length), generator=torch.Generator().manual_seed(seed))
