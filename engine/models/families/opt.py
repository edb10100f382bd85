"""OPT (Zhang et al. 2022): separate q, k and v, an MLP that is part of the layer itself; holds paths only."""

from engine.models.families import Family, Projection

LABEL = "OPT"
FAMILY = Family(
    model_class="OPTForCausalLM",
    layers="model.decoder.layers",
    attention="self_attn",
    attention_inputs=(
        Projection("self_attn.q_proj", ("query",)),
        Projection("self_attn.k_proj", ("key",)),
        Projection("self_attn.v_proj", ("value",)),
    ),
    attention_output="self_attn.out_proj",
    mlp="",
    mlp_inputs=("fc1",),
    mlp_output="fc2",
    head_counts=("num_heads",),
    mlp_width="ffn_dim",
    attention_bias="enable_bias",
    mlp_bias="enable_bias",
)
