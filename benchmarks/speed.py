"""How much of the arithmetic that a cut saves is saved in time: models of random weights, shaped like GPT-2 (12 layers) and like
SmolLM2-135M (30 layers, grouped keys), half of their heads and neurons cut, 256 tokens a row, float32, prefill.

The speed-up, dense seconds over cut seconds, is compared with the ratio of multiply-adds; SmolLM2 has three groups of heads in a
layer, of which one and two go by turns. The two models take turns; medians of 7 passes, or of fewer where a pass is slow.
Decoding is told beside it: there every weight is read for one token, and the time goes with the bytes.
"""

from collections.abc import Iterator

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from benchmarks import Row
from engine import Plan, cut, dissect
from engine.evaluation.latency import compare
from engine.models.anatomy import Anatomy

ROWS, LENGTH = 8, 256


def measure() -> Iterator[Row]:
    """For either shape batch 8 beside the multiply-adds, batch 1 and decoding beside the dense model."""
    for shape, make in (("GPT-2", _gpt2), ("SmolLM2", _smollm2)):
        torch.manual_seed(0)
        model = make()
        anatomy = dissect(model)
        smaller = cut(model, _half(anatomy))
        work = [multiply_adds(each, LENGTH) for each in (model, smaller)]
        blocks = torch.randint(0, anatomy.vocabulary, (ROWS, LENGTH))  # [rows, length]
        for time, _ in compare(model, smaller, blocks):
            what = f"{shape}, half of the units cut, {time.what} at batch {time.batch}"
            if time.what == "prefill" and time.batch == ROWS:
                left, asked = time.cut / time.dense, work[1] / work[0]
                yield Row(f"{what}: seconds over dense seconds", left, "×", 1 / 0.9, asked, "the same of multiply-adds")
            else:
                yield Row(what, time.cut, "s", 1.0, time.dense, "the dense model")


def multiply_adds(model: nn.Module, length: int) -> int:
    """The multiply-adds of one row of `length` tokens: one for every weight of a matrix and every token, and those of attention,
    in which a token looks at itself and at those before it, once for the scores and once for the values."""
    anatomy = dissect(model)
    matrices = sum(one.numel() for one in model.parameters() if one.ndim == 2)
    head = model.get_output_embeddings().weight
    embeddings = sum(one.weight.numel() for one in model.modules() if isinstance(one, nn.Embedding))
    tied = head is model.get_input_embeddings().weight
    looks = length * (length + 1) // 2
    attention = sum(2 * layer.heads * layer.head_width * looks for layer in anatomy.layers)
    return (matrices - embeddings + (head.numel() if tied else 0)) * length + attention


def _half(anatomy: Anatomy) -> Plan:
    heads, neurons = set(), set()
    for layer in anatomy.layers:
        groups = layer.head_groups[layer.index % 2 :: 2]
        heads |= {(layer.index, head) for group in groups for head in group}
        neurons |= {(layer.index, neuron) for neuron in range(0, layer.neurons, 2)}
    return Plan(heads, neurons)


def _gpt2() -> nn.Module:
    return GPT2LMHeadModel(GPT2Config()).eval()


def _smollm2() -> nn.Module:
    size = {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True, "max_position_embeddings": 8192}
    return LlamaForCausalLM(LlamaConfig(**size, **heads)).eval()
