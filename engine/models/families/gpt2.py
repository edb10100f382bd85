"""GPT-2 (Radford et al. 2019), also DistilGPT2: one fused projection q|k|v, weights stored [in, out]; holds paths only."""

from engine.models.families import Family, Projection

LABEL = "GPT-2"
FAMILY = Family(
    model_class="GPT2LMHeadModel",
    layers="transformer.h",
    attention="attn",
    attention_inputs=(Projection("attn.c_attn", ("query", "key", "value")),),
    attention_output="attn.c_proj",
    mlp="mlp",
    mlp_inputs=("mlp.c_fc",),
    mlp_output="mlp.c_proj",
    head_counts=("num_heads",),
    head_features=("split_size",),
    after_output=("resid_dropout",),
    mlp_width="n_inner",
)
