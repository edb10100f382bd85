"""Qwen2 (Yang et al. 2024), also Qwen2.5: Llama's layout with biases on queries, keys and values; holds paths only."""

from dataclasses import replace

from engine.models.families import llama

LABEL = "Qwen2"
FAMILY = replace(
    llama.FAMILY,
    model_class="Qwen2ForCausalLM",
    attention_bias="",
    mlp_bias="",
    window="sliding_window",
    layer_kinds="layer_types",
)
