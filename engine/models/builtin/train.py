"""Trains the built-in models from nothing: `python -m engine.models.builtin.train [name ...]`; knows nothing of pruning.

The recipe is one for all three, so that they differ in their architecture alone. They read a part of the sample that is in
none of its splits, so that whoever prunes them trains and measures on text that is new to them. On one CPU core a model
takes about fifteen minutes; `torch.optim.Muon` wants torch 2.9. Each improvement is saved as it comes, so that an
interrupted training leaves a usable model.
"""

import argparse
import datetime
import math
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from engine.evaluation.perplexity import evaluate
from engine.models.builtin.architectures import CONFIGS, CONTEXT, DROPOUT, NEURONS, VOCABULARY
from engine.models.builtin.card import write_card
from engine.models.builtin.tokenizer import train_tokenizer
from engine.record.errors import UnknownName
from engine.text.blocks import pack
from engine.text.corpora import Splits, read_corpus
from engine.text.corpora.wikipedia_sample import pretraining

HERE = Path(__file__).parent
CORPUS = "wikipedia-sample"
SEED = 0
STEPS, WARM_UP, LOOK_EVERY = 2000, 150, 200
BATCH = 8  # blocks a step; 16 gave half as many updates for the same tokens
# Muon (Jordan et al. 2024) on the matrices inside the layers needed two thirds of AdamW's steps to the same loss here.
LEARNING_RATE, LEARNING_RATE_OUTSIDE, WEIGHT_DECAY, CLIP = 1e-2, 6e-3, 0.1, 1.0
INSIDE = re.compile(r"\.(h|layers)\.\d+\.")


def schedule(step: int, steps: int) -> float:
    """The share of the peak learning rate at one step (from 0): a linear warm-up, then a cosine down to a twentieth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def optimizers(model: torch.nn.Module) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of the layers; AdamW for embeddings, head, norms and biases. Each group keeps its peak rate."""
    inside = [p for path, p in model.named_parameters() if p.dim() == 2 and INSIDE.search(path)]
    chosen = set(map(id, inside))
    outside = [p for p in model.parameters() if id(p) not in chosen]
    made = (
        torch.optim.Muon(inside, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outside, lr=LEARNING_RATE_OUTSIDE, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    )
    for group in (group for optimizer in made for group in optimizer.param_groups):
        group["peak"] = group["lr"]
    return made


def epochs(stream: torch.Tensor, seed: int) -> Iterator[torch.Tensor]:
    """Batches `[BATCH, CONTEXT]` of the token stream `[tokens]` without end; each epoch cuts its blocks at another offset."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        offset = int(torch.randint(CONTEXT, (), generator=generator))
        blocks = stream[offset:][: (len(stream) - offset) // CONTEXT * CONTEXT].view(-1, CONTEXT)  # [n, CONTEXT]
        order = torch.randperm(len(blocks), generator=generator)
        yield from blocks[order][: len(blocks) // BATCH * BATCH].split(BATCH)


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write float16 weights, config and tokenizer, each file beside and renamed: a reader never meets half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saving-") as beside:
        half = AutoModelForCausalLM.from_config(model.config, dtype=torch.float16)
        half.load_state_dict(model.state_dict())
        half.generation_config.pad_token_id = tokenizer.pad_token_id
        half.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        for file in Path(beside).iterdir():
            file.replace(folder / file.name)


def train(
    name: str, text: Sequence[str], splits: Splits, folder: Path, steps: int = STEPS, seed: int = SEED
) -> dict[str, object]:
    """Train one model and its tokenizer on the documents `text`, save the best step into `folder`, and return its card.

    The best step is the one with the lowest loss on the calibration split; the card says what the evaluation split costs.
    """
    started = time.monotonic()
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(text, VOCABULARY, CONTEXT)
    stream = pack(text, tokenizer, CONTEXT).flatten()  # [tokens]
    watched = pack(splits.calibration, tokenizer, CONTEXT)  # [n, CONTEXT]
    # Eager: at a head width of 24 the backward pass of the CPU's fused attention took a third of each step.
    model = AutoModelForCausalLM.from_config(CONFIGS[name](), attn_implementation="eager")
    chain = optimizers(model)
    model.train()
    best, best_step, losses = math.inf, 0, []
    for step, batch in zip(range(steps), epochs(stream, seed), strict=False):
        for group in (group for optimizer in chain for group in optimizer.param_groups):
            group["lr"] = group["peak"] * schedule(step, steps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=batch, use_cache=False).logits  # [BATCH, CONTEXT, VOCABULARY]
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer in chain:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
            seen = evaluate(model, watched)
            _say(name, step + 1, steps, losses[-LOOK_EVERY:], seen.perplexity, started)
            if seen.nll / seen.tokens < best:
                best, best_step = seen.nll / seen.tokens, step + 1
                save(model, tokenizer, folder)
    tokens = steps * BATCH * CONTEXT
    training = {
        "neurons": NEURONS,
        "train_tokens": len(stream),
        "steps": steps,
        "best_step": best_step,
        "batch_size": BATCH,
        "tokens_seen": tokens,
        "epochs": round(tokens / len(stream), 1),
        "learning_rate": LEARNING_RATE,
        "learning_rate_outside": LEARNING_RATE_OUTSIDE,
        "weight_decay": WEIGHT_DECAY,
        "dropout": DROPOUT,
        "seed": seed,
        "minutes": round((time.monotonic() - started) / 60),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "calibration_perplexity": round(math.exp(best), 2),
    }
    return write_card(folder, splits, training)


def _say(name: str, step: int, steps: int, losses: list[float], perplexity: float, started: float) -> None:
    rate = step * BATCH * CONTEXT / (time.monotonic() - started)
    mean = sum(losses) / len(losses)
    print(f"{name} {step}/{steps} train loss {mean:.3f} calibration perplexity {perplexity:.1f} {rate:.0f} tokens/s", flush=True)


def main() -> None:
    """Train the models named on the command line, or all of them, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m engine.models.builtin.train", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(CONFIGS))
    names = parser.parse_args().names or list(CONFIGS)
    for name in names:
        if name not in CONFIGS:
            raise UnknownName("Built-in model", name, CONFIGS)
    text, splits = pretraining(), read_corpus(CORPUS)
    for name in names:
        card = train(name, text, splits, HERE / name)
        print(f"{name} done: perplexity {card['perplexity']} on {card['evaluation_tokens']} tokens", flush=True)


if __name__ == "__main__":
    main()
