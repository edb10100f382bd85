"""What a recovery lowers: the loss on the text, and the distance to the dense model's predictions; knows no optimizer, no gate.

Distillation as in Hinton, Vinyals and Dean 2015, arXiv 1503.02531: with t and s the logits of the teacher and of the student for
one token and τ the temperature,

    loss = mix · τ² · KL( softmax(t / τ) ‖ softmax(s / τ) ) + (1 − mix) · −log softmax(s)[next token]

in the mean over the predicted tokens. Over a vocabulary of 50,000 the logits of a batch are its largest tensors, and here there
would be two models' of them. So the two heads are applied to a few tokens at a time, the gradient of those is taken at once, and
nothing as long as the vocabulary outlives them.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor, nn
from torch.nn import functional

from engine.models.modes import evaluating

LOGITS = 2**21  # of one model that are alive at once in a distillation: 8 MB in float32
UNREAD = -100  # the label of a token that nothing is predicted for


@dataclass(frozen=True)
class Teacher:
    """The dense model. Where `model` is the student itself, it computes as the dense one inside of `apart()`."""

    model: nn.Module
    apart: Callable[[], AbstractContextManager] = nullcontext

    def hidden(self, tokens: LongTensor) -> Tensor:
        """What comes into the dense model's head, [batch, length, width], without a gradient and without dropout."""
        with self.apart(), torch.no_grad(), evaluating(self.model):
            return hidden_of(self.model, tokens)


def loss_of(model: nn.Module, tokens: LongTensor) -> Tensor:
    """The mean of −log p over every predicted token of `tokens` `[batch, length]`, in nats; a scalar with its gradient."""
    logits = model(input_ids=tokens, use_cache=False).logits.flatten(0, 1)  # [batch · length, vocabulary]
    # A label for each row, of which the last of a block is not read: to take the rows out would copy all others.
    return functional.cross_entropy(_exact(logits), labels_of(tokens), ignore_index=UNREAD)


def distilled(student: nn.Module, teacher: Teacher, tokens: LongTensor, temperature: float, mix: float, rows: int = 0) -> Tensor:
    """The loss at the top of this file on `tokens` `[batch, length]`; a scalar with its gradient.

    `rows` tokens at a time have logits; 0 takes as many as make `LOGITS` of them. Their number changes nothing but rounding.
    """
    taught = teacher.hidden(tokens).flatten(0, 1)  # [tokens, width of the teacher]
    hidden, labels = hidden_of(student, tokens).flatten(0, 1), labels_of(tokens)  # [tokens, width], [tokens]
    head, model_head = student.get_output_embeddings(), teacher.model.get_output_embeddings()
    rows = rows or max(1, LOGITS // len(head.weight))

    def loss(part: Tensor, at: slice) -> Tensor:
        """The sum over a few tokens. A mean, divided by all of them, would be too small for half precision."""
        with torch.no_grad():
            wanted = _softened(_exact(model_head(taught[at])), temperature)  # [rows, vocabulary], logarithms
        read, logits = labels[at] != UNREAD, _exact(head(part))  # [rows], [rows, vocabulary]
        plain = logits.log_softmax(-1)  # [rows, vocabulary]
        given = plain if temperature == 1 else _softened(logits, temperature)  # [rows, vocabulary]
        apart = functional.kl_div(given, wanted, reduction="none", log_target=True).sum(-1)  # [rows]
        text = functional.nll_loss(plain, labels[at], ignore_index=UNREAD, reduction="sum")
        return mix * temperature**2 * (apart * read).sum() + (1 - mix) * text

    weights = [one for one in head.parameters() if one.requires_grad]
    count = tokens.shape[0] * (tokens.shape[1] - 1)
    return _Pieces.apply(loss, tuple(_slices(len(hidden), rows)), hidden, *weights) / count


def hidden_of(model: nn.Module, tokens: LongTensor) -> Tensor:
    """What comes into the head of a causal language model of transformers, [batch, length, width]."""
    return model.base_model(input_ids=tokens, use_cache=False).last_hidden_state


def labels_of(tokens: LongTensor) -> LongTensor:
    """The token that each one of `tokens` `[batch, length]` is to predict, [batch · length]; `UNREAD` at the end of a block."""
    return functional.pad(tokens[:, 1:], (0, 1), value=UNREAD).flatten()


def _exact(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _softened(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).log_softmax(-1)


def _slices(count: int, rows: int) -> Iterator[slice]:
    yield from (slice(start, start + rows) for start in range(0, count, rows))


class _Pieces(torch.autograd.Function):
    """The sum of a loss over pieces of `hidden`, whose gradients are taken piece by piece on the way forward."""

    @staticmethod
    def forward(context, loss: Callable[[Tensor, slice], Tensor], pieces: tuple[slice, ...], hidden: Tensor, *weights: Tensor):
        """The sum; `weights` are those that `loss` reads and that are to have a gradient."""
        sums, slopes = [], [torch.zeros_like(one) for one in weights]
        back = torch.empty_like(hidden)  # [tokens, width]
        with torch.enable_grad():
            for at in pieces:
                part = hidden[at].detach().requires_grad_()  # [rows, width]
                found = loss(part, at)
                back[at], *of_weights = torch.autograd.grad(found, (part, *weights))
                for slope, one in zip(slopes, of_weights, strict=True):
                    slope += one
                sums.append(found.detach())
        context.save_for_backward(back, *slopes)
        # In float64 on the CPU, since not every device has it, and all at once: to fetch each sum would hold up the next piece.
        total = torch.stack(sums).cpu().double().sum()
        return total.to(hidden.device, torch.float64 if hidden.dtype == torch.float64 else torch.float32)

    @staticmethod
    def backward(context, upstream: Tensor):
        """The gradients that `forward` found, times that of the sum."""
        return None, None, *(upstream.to(one.dtype) * one for one in context.saved_tensors)
