"""Qwen3 (Yang et al. 2025): Llama's layout with norms on queries and keys; holds paths only."""

from dataclasses import replace

from engine.models.families import llama

LABEL = "Qwen3"
FAMILY = replace(
    llama.FAMILY,
    model_class="Qwen3ForCausalLM",
    mlp_bias="",
    head_norms=("self_attn.q_norm", "self_attn.k_norm"),
    window="sliding_window",
    layer_kinds="layer_types",
)
