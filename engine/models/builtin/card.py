"""Measures a saved built-in model and writes its card, as JSON and for people; knows nothing of how it was trained.

Every number in the README of a built-in model comes from its card.json, and every number there was measured or counted
on the files as they lie in the folder.
"""

import json
import math
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.evaluation.perplexity import evaluate
from engine.text.blocks import pack
from engine.text.corpora import Splits

TEXT = """---
license: cc-by-sa-3.0
language: en
---
# {name}

A {architecture} of {parameters:,} parameters: {layers} layers, {heads} heads of width {head_width} and {neurons} neurons
in each, context {context}. Trained by this project so that pruning can be tried without a network. It has read some
fifty encyclopedia articles and is good for nothing else: its sentences look like English and mean little.

- **Data**: {train_tokens:,} tokens of English Wikipedia, prose of articles from the excerpt that the library gensim ships.
  None of these articles is in a split of the corpus `{corpus}`, whose training part is new to the model too. Licence
  of the text: {licence}.
- **Tokenizer**: byte-level BPE, {vocabulary} tokens, trained on the same articles.
- **Training**: {steps:,} steps of {batch_size} blocks of {context} tokens ({tokens_seen:,} tokens, {epochs} epochs),
  Muon on the matrices of the layers (learning rate {learning_rate}, weight decay {weight_decay}), AdamW on the rest
  ({learning_rate_outside}), warm-up and cosine decay, dropout {dropout}, seed {seed}, bf16 autocast on the CPU,
  {minutes} minutes of wall clock. Finished on {date}. The weights are those of step {best_step:,}, which had the lowest
  loss on the calibration part.
- **Weights**: float16, one safetensors file of {bytes:,} bytes.
- **Perplexity**: {perplexity} a token on the evaluation part ({bits_per_byte} bits a byte). Protocol: packed blocks of
  {context} tokens, no padding, {evaluation_tokens:,} predicted tokens, exp(sum of negative log-likelihoods / tokens),
  weights as saved, computed in float32.

Dropout is left on in the config, so that recovery trains the model as it was trained.
`python -m engine.models.builtin.train {name}` trains it again and writes this card.
"""


def write_card(folder: Path, splits: Splits, training: dict[str, object]) -> dict[str, object]:
    """Load what lies in `folder`, measure it on the evaluation split, write card.json and README.md; returns the card.

    `training` holds what only the training knows: steps, batch_size, learning_rate, date and the like.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = model.config
    blocks = pack(splits.evaluation, tokenizer, config.max_position_embeddings)  # [n, context]
    result = evaluate(model, blocks)
    read = len(tokenizer.decode(blocks.flatten()).encode()) * result.tokens / blocks.numel()
    card = {
        "name": folder.name,
        "architecture": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "head_width": config.hidden_size // config.num_attention_heads,
        "context": config.max_position_embeddings,
        "vocabulary": config.vocab_size,
        "corpus": splits.name,
        "licence": splits.licence,
        "bytes": (folder / "model.safetensors").stat().st_size,
        **training,
        "perplexity": round(result.perplexity, 2),
        "bits_per_byte": round(result.nll / math.log(2) / read, 3),
        "evaluation_tokens": result.tokens,
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(TEXT.format(**card), encoding="utf-8")
    return card
