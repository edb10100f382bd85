"""Gemma (Mesnard et al. 2024): Llama's layout, heads wider than the hidden size divided by their number; holds paths only."""

from dataclasses import replace

from engine.models.families import llama

LABEL = "Gemma"
FAMILY = replace(llama.FAMILY, model_class="GemmaForCausalLM", mlp_bias="")
