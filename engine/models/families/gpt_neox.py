"""GPT-NeoX (Black et al. 2022), also Pythia: one fused projection, head by head its q, k and v; holds paths only."""

from engine.models.families import Family, Projection

LABEL = "GPT-NeoX"
FAMILY = Family(
    model_class="GPTNeoXForCausalLM",
    layers="gpt_neox.layers",
    attention="attention",
    attention_inputs=(Projection("attention.query_key_value", ("query", "key", "value"), order="head"),),
    attention_output="attention.dense",
    mlp="mlp",
    mlp_inputs=("mlp.dense_h_to_4h",),
    mlp_output="mlp.dense_4h_to_h",
    cache_argument="layer_past",
    mlp_width="intermediate_size",
    attention_bias="attention_bias",
)
