"""Samples text from a causal language model and says how surprising each token was; knows nothing of pruning or of pages."""

import math
import os.path
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.models.modes import evaluating
from engine.record.errors import BadInput, shorten


@dataclass(frozen=True)
class Token:
    """One token of a text.

    `text` is what it adds to the text so far: empty where a character is spread over several tokens and this is not the last
    of them. `surprise` is -log p in nats under the model at temperature 1, None for the first token, which nothing precedes.
    """

    text: str
    surprise: float | None


def sample(
    model: nn.Module, tokenizer: Any, prompt: str, *, tokens: int = 40, seed: int = 0, temperature: float = 0.8
) -> tuple[Token, ...]:
    """Continue `prompt` by up to `tokens` tokens; returns those of the prompt, then the new ones.

    The joined texts are what the tokenizer decodes from all tokens together. The text ends with the end-of-text token, which
    is no part of it, and where the model's context is full. `temperature` 0 takes the likeliest token each time; the surprise
    is that of temperature 1 whatever was sampled at. The same seed gives the same text; torch's global generators are neither
    read nor moved, and every module is left in the mode (train or eval) in which it came. Raises `BadInput` for a prompt that is
    empty, fills the model's context or holds tokens that the model does not know, for numbers out of range, and for a model
    whose logits are not finite.
    """
    if tokens < 0:
        raise BadInput(f"tokens {tokens} is impossible; give 0 or more.")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise BadInput(f"temperature {temperature} is impossible; give 0 (always the likeliest token) or a positive number.")
    ids = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    if not ids:
        raise BadInput(f"prompt {shorten(prompt)} has no tokens; give at least one word.")
    context, vocabulary = model.config.max_position_embeddings, model.get_input_embeddings().weight.shape[0]
    if len(ids) >= context:
        raise BadInput(
            f"prompt {shorten(prompt)} has {len(ids)} tokens, and this model takes {context} in all, new ones included; "
            "shorten the prompt."
        )
    if max(ids) >= vocabulary:
        raise BadInput(
            f"prompt {shorten(prompt)} holds token {max(ids)} of the tokenizer, and this model knows 0 to {vocabulary - 1}; use "
            "the model's own tokenizer."
        )
    ids, surprises = _continue(model, ids, min(tokens, context - len(ids)), tokenizer.eos_token_id, seed, temperature)
    return tuple(map(Token, pieces(tokenizer, ids), surprises))


def pieces(tokenizer: Any, ids: list[int]) -> list[str]:
    """What each token adds to the text, so that the joined pieces are `tokenizer.decode(ids)`.

    Decoded one at a time, the bytes of a character that is spread over two tokens become two replacement signs. Here each
    prefix is compared with the whole: what they share is settled.
    """
    whole = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    ends = [0]
    for count in range(1, len(ids)):
        prefix = tokenizer.decode(ids[:count], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        ends.append(max(ends[-1], len(os.path.commonprefix([prefix, whole]))))
    ends.append(len(whole))
    return [whole[start:end] for start, end in zip(ends, ends[1:], strict=False)]


def _continue(
    model: nn.Module, ids: list[int], tokens: int, end: int | None, seed: int, temperature: float
) -> tuple[list[int], list[float | None]]:
    ids, surprises = list(ids), [None]
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)  # on the CPU whatever the device, so that a seed means one text
    with evaluating(model), torch.inference_mode():
        seen = model(input_ids=torch.tensor([ids], device=device), use_cache=True)
        scores = _log_probabilities(seen.logits[0])  # [prompt, vocabulary]
        surprises += [-scores[place, token].item() for place, token in enumerate(ids[1:])]
        for new in range(tokens):
            if new:  # the last token is read only where another is to follow
                step = torch.tensor([ids[-1:]], device=device)  # [1, 1]
                seen = model(input_ids=step, past_key_values=seen.past_key_values, use_cache=True)
                scores = _log_probabilities(seen.logits[0])  # [1, vocabulary]
            token = _choose(scores[-1], temperature, generator)
            if token == end:
                break
            ids.append(token)
            surprises.append(-scores[-1, token].item())
    return ids, surprises


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    scores = logits.cpu().double().log_softmax(-1)  # [places, vocabulary]; here: not every device has float64
    if scores.isnan().any():
        raise BadInput("the model's logits are not finite, so that no text can be sampled from it; undo the last change to it.")
    return scores


def _choose(scores: torch.Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(scores.argmax())
    chances = (scores / temperature).softmax(-1)  # [vocabulary]
    return int(torch.multinomial(chances, 1, generator=generator))
