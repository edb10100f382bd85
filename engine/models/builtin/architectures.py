"""The configs of the built-in models: three real architectures at one small size; knows nothing of text or training."""

from transformers import GPT2Config, GPTNeoXConfig, OPTConfig, PretrainedConfig

LAYERS, WIDTH, HEADS, NEURONS, CONTEXT, VOCABULARY = 6, 144, 6, 576, 256, 3072
END = 0  # the id of the end-of-text token, which begins, ends and separates documents

# No config names a padding token: blocks have no padding, OPT would never train the embedding of one, and transformers would
# take an END at the edge of a block for padding and warn. For `generate`, which asks, END stands in the generation config.

# Dropout stays on in the saved configs, as in those of the real GPT-2 and OPT, so that recovery goes on as the training went.
# It matters little there: two hundred steps on the whole model ended within half a percent of each other with it and without.
# Attention probabilities are never dropped, as in OPT: on the CPU that would take the slow path of the attention kernel.
DROPOUT = 0.1


def gpt2_tiny() -> PretrainedConfig:
    """GPT-2 (Radford et al. 2019): pre-norm, GELU, learned positions, tied embeddings."""
    return GPT2Config(
        n_layer=LAYERS,
        n_embd=WIDTH,
        n_head=HEADS,
        n_inner=NEURONS,
        n_positions=CONTEXT,
        activation_function="gelu_pytorch_tanh",  # the same function as "gelu_new", in one kernel instead of six
        vocab_size=VOCABULARY,
        resid_pdrop=DROPOUT,
        embd_pdrop=DROPOUT,
        attn_pdrop=0.0,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=None,
    )


def opt_tiny() -> PretrainedConfig:
    """OPT (Zhang et al. 2022) as in opt-125m: pre-norm, ReLU, learned positions with their offset of two, tied embeddings."""
    return OPTConfig(
        num_hidden_layers=LAYERS,
        hidden_size=WIDTH,
        word_embed_proj_dim=WIDTH,
        num_attention_heads=HEADS,
        ffn_dim=NEURONS,
        max_position_embeddings=CONTEXT,
        vocab_size=VOCABULARY,
        do_layer_norm_before=True,
        dropout=DROPOUT,
        attention_dropout=0.0,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=None,
    )


def pythia_tiny() -> PretrainedConfig:
    """GPT-NeoX as in Pythia (Biderman et al. 2023): parallel residual, a quarter of each head rotary, untied embeddings."""
    return GPTNeoXConfig(
        num_hidden_layers=LAYERS,
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        intermediate_size=NEURONS,
        max_position_embeddings=CONTEXT,
        vocab_size=VOCABULARY,
        rotary_pct=0.25,
        use_parallel_residual=True,
        tie_word_embeddings=False,
        hidden_dropout=DROPOUT,
        attention_dropout=0.0,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=None,
    )


CONFIGS = {"gpt2-tiny": gpt2_tiny, "opt-tiny": opt_tiny, "pythia-tiny": pythia_tiny}
