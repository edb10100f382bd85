"""Tiny random models of every family, plain and odd, for tests that must hold for all of them."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, OPTConfig, OPTForCausalLM

torch.set_num_threads(1)  # models this small spend longer waiting for a second thread than computing

VOCABULARY, CONTEXT = 61, 48
LAYERS, HEADS, HEAD_WIDTH, NEURONS = 2, 3, 4, 20  # of the plain config of each family
WIDTH = HEADS * HEAD_WIDTH
NO_SPECIAL_TOKENS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


def gpt2(**options):
    """A GPT-2 config of two layers with three heads, without dropout."""
    plain = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": WIDTH, "n_layer": LAYERS}
    plain |= {"n_head": HEADS, "n_inner": NEURONS}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2Config(**(NO_SPECIAL_TOKENS | plain | dropout | options))


def opt(**options):
    """An OPT config of two layers with three heads, without dropout."""
    plain = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "hidden_size": WIDTH, "num_hidden_layers": LAYERS}
    plain |= {"num_attention_heads": HEADS, "ffn_dim": NEURONS, "dropout": 0.0}
    return OPTConfig(**(NO_SPECIAL_TOKENS | plain | options))


def gpt_neox(**options):
    """A GPT-NeoX config of two layers with three heads, half of each head rotary, without dropout."""
    plain = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "hidden_size": WIDTH, "num_hidden_layers": LAYERS}
    plain |= {"num_attention_heads": HEADS, "intermediate_size": NEURONS, "rotary_pct": 0.5}
    return GPTNeoXConfig(**(NO_SPECIAL_TOKENS | plain | options))


CLASSES = {"gpt2": GPT2LMHeadModel, "opt": OPTForCausalLM, "gpt_neox": GPTNeoXForCausalLM}

CONFIGS = {
    "gpt2": gpt2,
    "gpt2-untied": lambda: gpt2(tie_word_embeddings=False),
    "gpt2-n_inner-none": lambda: gpt2(n_inner=None),
    "gpt2-inverse-layer-scale": lambda: gpt2(scale_attn_by_inverse_layer_idx=True, n_layer=3),
    "gpt2-unscaled": lambda: gpt2(scale_attn_weights=False),
    "gpt2-upcast": lambda: gpt2(reorder_and_upcast_attn=True),
    "gpt2-eager": lambda: gpt2(attn_implementation="eager"),
    "gpt2-one-head-one-layer": lambda: gpt2(n_head=1, n_layer=1, activation_function="relu"),
    "gpt2-five-heads-seven-layers": lambda: gpt2(n_head=5, n_embd=20, n_layer=7),
    "opt": opt,
    "opt-350m-shape": lambda: opt(do_layer_norm_before=False, word_embed_proj_dim=8),
    "opt-untied": lambda: opt(tie_word_embeddings=False),
    "opt-no-bias": lambda: opt(enable_bias=False),
    "opt-plain-norms": lambda: opt(layer_norm_elementwise_affine=False),
    "opt-galactica-shape": lambda: opt(enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu"),
    "opt-no-final-norm": lambda: opt(_remove_final_layer_norm=True),
    "opt-eager": lambda: opt(attn_implementation="eager"),
    "opt-padding-token": lambda: opt(pad_token_id=1),
    "opt-one-head-one-layer": lambda: opt(num_attention_heads=1, num_hidden_layers=1),
    "opt-five-heads-seven-layers": lambda: opt(num_attention_heads=5, hidden_size=20, num_hidden_layers=7),
    "gpt_neox": gpt_neox,
    "gpt_neox-tied": lambda: gpt_neox(tie_word_embeddings=True),
    "gpt_neox-sequential": lambda: gpt_neox(use_parallel_residual=False),
    "gpt_neox-no-bias": lambda: gpt_neox(attention_bias=False),
    "gpt_neox-quarter-rotary": lambda: gpt_neox(rotary_pct=0.25, hidden_size=24),
    "gpt_neox-all-rotary": lambda: gpt_neox(rotary_pct=1.0, rotary_emb_base=500),
    "gpt_neox-eager": lambda: gpt_neox(attn_implementation="eager"),
    "gpt_neox-one-head-one-layer": lambda: gpt_neox(num_attention_heads=1, num_hidden_layers=1),
    "gpt_neox-five-heads-seven-layers": lambda: gpt_neox(num_attention_heads=5, hidden_size=20, num_hidden_layers=7),
}
FAMILIES = tuple(CLASSES)  # the plain config of each
NAMES = tuple(CONFIGS)


def make(name, *, dtype=torch.float64, seed=0):
    """A model of one of `CONFIGS` in evaluation mode; biases and norms are random too, lest they hide mistakes."""
    config = CONFIGS[name]()
    model = CLASSES[config.model_type](config).to(dtype).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4
            parameter.copy_(noise + (1.0 if parameter.dim() == 1 and path.endswith("weight") else 0.0))  # norms
    return model


def tokens(batch=2, length=9, seed=1):
    """Random token ids [batch, length]."""
    return torch.randint(2, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def logits(model, ids=None):
    """The logits [batch, length, vocabulary] of a model, with neither gradient nor cache."""
    with torch.no_grad():
        return model(tokens() if ids is None else ids, use_cache=False).logits
