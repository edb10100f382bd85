"""Small random models of every family, in float64, with weights large enough that heads look somewhere and biases matter."""

import torch
from torch import LongTensor, nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

FAMILIES = ("gpt2", "opt", "gpt-neox", "llama")
GROUPED = "llama-grouped"  # heads 0 and 1 share a key, and heads 2 and 3: a plan takes both or none
LAYERS, HEADS, HEAD_WIDTH, NEURONS, CONTEXT, VOCABULARY = 3, 4, 6, 40, 32, 50
WIDTH = HEADS * HEAD_WIDTH


def small(family: str, biases: bool = True, seed: int = 0) -> nn.Module:
    """A model of `LAYERS` layers in eval mode, of one of `FAMILIES` or `GROUPED`; GPT-2 always has biases."""
    torch.manual_seed(seed)
    if family == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(
                n_layer=LAYERS,
                n_embd=WIDTH,
                n_head=HEADS,
                n_inner=NEURONS,
                n_positions=CONTEXT,
                vocab_size=VOCABULARY,
                bos_token_id=0,
                eos_token_id=0,
            )
        )
    elif family == "opt":
        model = OPTForCausalLM(
            OPTConfig(
                num_hidden_layers=LAYERS,
                hidden_size=WIDTH,
                word_embed_proj_dim=WIDTH,
                num_attention_heads=HEADS,
                ffn_dim=NEURONS,
                max_position_embeddings=CONTEXT,
                vocab_size=VOCABULARY,
                enable_bias=biases,
            )
        )
    elif family in ("llama", GROUPED):
        model = LlamaForCausalLM(
            LlamaConfig(
                num_hidden_layers=LAYERS,
                hidden_size=WIDTH,
                num_attention_heads=HEADS,
                num_key_value_heads=2 if family == GROUPED else HEADS,
                intermediate_size=NEURONS,
                max_position_embeddings=CONTEXT,
                vocab_size=VOCABULARY,
                attention_bias=biases,
                mlp_bias=biases,
            )
        )
    else:
        model = GPTNeoXForCausalLM(
            GPTNeoXConfig(
                num_hidden_layers=LAYERS,
                hidden_size=WIDTH,
                num_attention_heads=HEADS,
                intermediate_size=NEURONS,
                max_position_embeddings=CONTEXT,
                vocab_size=VOCABULARY,
                attention_bias=biases,
            )
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    return model.double().eval()


def text(blocks: int = 12, length: int = 16, seed: int = 1) -> LongTensor:
    """Random tokens [blocks, length]."""
    return torch.randint(0, VOCABULARY, (blocks, length), generator=torch.Generator().manual_seed(seed))
