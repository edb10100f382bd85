"""SmolLM3 (Hugging Face 2025): Llama's layout, some layers without rotary positions; holds paths only."""

from dataclasses import replace

from engine.models.families import llama

LABEL = "SmolLM3"
FAMILY = replace(llama.FAMILY, model_class="SmolLM3ForCausalLM", window="sliding_window", layer_kinds="layer_types")
