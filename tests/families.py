"""Tiny random models of every family, plain and odd, for tests that must hold for all of them.

In a plain model every head has a key of its own; in the `-grouped` ones of `CONFIGS` six heads share three.
"""

from functools import partial

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, OPTConfig, OPTForCausalLM

from engine.models.narrow import kept_of
from engine.pruning.plan import Plan

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


def like_llama(kind, **options):
    """A config of Llama's layout ("Llama", "Qwen2", …) of two layers with three heads."""
    plain = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "hidden_size": 12, "num_hidden_layers": 2}
    plain |= {"num_attention_heads": 3, "num_key_value_heads": 3, "intermediate_size": 20}
    plain |= {"head_dim": 4} if kind in ("Gemma", "Qwen3") else {}  # which have widths of their own unless told otherwise
    return getattr(transformers, f"{kind}Config")(**(NO_SPECIAL_TOKENS | plain | options))


def grouped(kind, **options):
    """The same with six heads in three key-value groups."""
    return like_llama(kind, **({"num_attention_heads": 6, "hidden_size": 24} | options))


LLAMA_LIKE = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "smollm3": "SmolLM3",
    "gemma": "Gemma",
}
CLASSES = {"gpt2": GPT2LMHeadModel, "opt": OPTForCausalLM, "gpt_neox": GPTNeoXForCausalLM}
CLASSES |= {name: getattr(transformers, f"{kind}ForCausalLM") for name, kind in LLAMA_LIKE.items()}

CONFIGS = {
    "gpt2": gpt2,
    "gpt2-untied": lambda: gpt2(tie_word_embeddings=False),
    "gpt2-n_inner-none": lambda: gpt2(n_inner=None),
    "gpt2-inverse-layer-scale": lambda: gpt2(scale_attn_by_inverse_layer_idx=True, n_layer=3),
    "gpt2-unscaled": lambda: gpt2(scale_attn_weights=False),
    "gpt2-upcast": lambda: gpt2(reorder_and_upcast_attn=True),
    "gpt2-eager": lambda: gpt2(attn_implementation="eager"),
    "gpt2-one-head-one-layer": lambda: gpt2(n_head=1, n_layer=1, activation_function="relu"),
    "gpt2-silu": lambda: gpt2(n_inner=21, activation_function="silu"),
    "gpt2-five-heads-seven-layers": lambda: gpt2(n_head=5, n_embd=20, n_layer=7),
    "opt": opt,
    "opt-350m-shape": lambda: opt(do_layer_norm_before=False, word_embed_proj_dim=8),
    "opt-wider-words-no-bias": lambda: opt(do_layer_norm_before=False, word_embed_proj_dim=20, enable_bias=False),
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
    "gpt_neox-sequential-no-bias-tied": lambda: gpt_neox(
        use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True
    ),
    "gpt_neox-five-heads-seven-layers": lambda: gpt_neox(num_attention_heads=5, hidden_size=20, num_hidden_layers=7),
    **{name: partial(like_llama, kind) for name, kind in LLAMA_LIKE.items()},
    **{f"{name}-grouped": partial(grouped, kind) for name, kind in LLAMA_LIKE.items()},
    "llama-tied": lambda: grouped("Llama", tie_word_embeddings=True),
    "llama-biases": lambda: grouped("Llama", attention_bias=True, mlp_bias=True),
    "llama-wide-heads": lambda: grouped("Llama", head_dim=8),
    "llama-nine-heads-three-groups": lambda: grouped("Llama", num_attention_heads=9, hidden_size=36, num_hidden_layers=3),
    "llama-ungrouped-nine-heads": lambda: like_llama("Llama", num_attention_heads=9, num_key_value_heads=9, hidden_size=36),
    "llama-one-group": lambda: grouped("Llama", num_key_value_heads=1),
    "llama-eager": lambda: grouped("Llama", attn_implementation="eager"),
    "llama-scaled-positions": lambda: grouped("Llama", rope_parameters=LLAMA_3_POSITIONS),
    "llama-told-of-a-window": lambda: grouped("Llama", sliding_window=4),
    "llama-one-head-one-layer": lambda: like_llama("Llama", num_attention_heads=1, num_key_value_heads=1, num_hidden_layers=1),
    "mistral-window": lambda: grouped("Mistral", sliding_window=4),
    "mistral-window-kinds-unread": lambda: grouped("Mistral", sliding_window=4, layer_types=["full_attention"] * 2),
    "mistral-tied-narrow-heads": lambda: grouped("Mistral", tie_word_embeddings=True, head_dim=2, sliding_window=None),
    "qwen2-tied": lambda: grouped("Qwen2", tie_word_embeddings=True),
    "qwen2-window-above": lambda: grouped("Qwen2", num_hidden_layers=3, **WINDOW, max_window_layers=1),
    "qwen2-window-below": lambda: grouped("Qwen2", **WINDOW, layer_types=["sliding_attention", "full_attention"]),
    "qwen3-wide-heads-biases": lambda: grouped("Qwen3", head_dim=8, attention_bias=True, tie_word_embeddings=True),
    "qwen3-window-above": lambda: grouped("Qwen3", **WINDOW, max_window_layers=1),
    "smollm3-no-rotary": lambda: grouped("SmolLM3", no_rope_layers=[1, 0], attention_bias=True, mlp_bias=True),
    "smollm3-window": lambda: grouped("SmolLM3", **WINDOW, no_rope_layers=[0, 1, 0], num_hidden_layers=3),
    "gemma-wide-heads": lambda: grouped("Gemma", head_dim=8, attention_bias=True),
    "gemma-one-group": lambda: grouped("Gemma", num_key_value_heads=1, head_dim=8),
}
WINDOW = {"use_sliding_window": True, "sliding_window": 4}
LLAMA_3_POSITIONS = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
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


def groups(anatomy, *chosen):
    """The heads of some key-value groups, each named by (layer, group); a group that the layer does not have is left out."""
    layers = anatomy.layers
    return {
        (layer, head)
        for layer, group in chosen
        if group < len(layers[layer].removable_groups)
        for head in layers[layer].removable_groups[group]
    }


def every_head(anatomy, *chosen):
    """All heads that may go of some layers; of all layers where none is named."""
    of = chosen or range(len(anatomy.layers))
    return groups(anatomy, *((layer, group) for layer in of for group in range(anatomy.layers[layer].groups)))


def as_left(model, plan):
    """The plan, by original numbers, as one for a model that has lost units: by present ones, without those that are gone."""
    kept = kept_of(model)
    heads, neurons = (
        [(layer, at) for layer, of_layer in enumerate(units) for at, unit in enumerate(of_layer) if (layer, unit) in wanted]
        for units, wanted in ((kept.heads, plan.heads), (kept.neurons, plan.neurons))
    )
    return Plan(heads, neurons)


def tokens(batch=2, length=9, seed=1):
    """Random token ids [batch, length]."""
    return torch.randint(2, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def logits(model, ids=None):
    """The logits [batch, length, vocabulary] of a model, with neither gradient nor cache."""
    with torch.no_grad():
        return model(tokens() if ids is None else ids, use_cache=False).logits
