"""Mistral (Jiang et al. 2023): Llama's layout, attention may reach back over a sliding window only; holds paths only."""

from dataclasses import replace

from engine.models.families import llama

LABEL = "Mistral"
FAMILY = replace(llama.FAMILY, model_class="MistralForCausalLM", attention_bias="", mlp_bias="", window="sliding_window")
