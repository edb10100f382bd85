"""Llama (Touvron et al. 2023; keys shared by groups of heads from Llama 2 on), also SmolLM2 and TinyLlama; holds paths only."""

from engine.models.families import Family, Projection

LABEL = "Llama"
FAMILY = Family(
    model_class="LlamaForCausalLM",
    layers="model.layers",
    attention="self_attn",
    attention_inputs=(
        Projection("self_attn.q_proj", ("query",)),
        Projection("self_attn.k_proj", ("key",)),
        Projection("self_attn.v_proj", ("value",)),
    ),
    attention_output="self_attn.o_proj",
    mlp="mlp",
    mlp_inputs=("mlp.gate_proj", "mlp.up_proj"),
    mlp_output="mlp.down_proj",
    head_width="head_dim",
    mlp_width="intermediate_size",
    attention_bias="attention_bias",
    mlp_bias="mlp_bias",
)
