"""Tests of engine/recovery/loss.py: the text's is that of transformers, and in pieces a distillation is the same."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.evaluation.memory import peak
from engine.recovery.loss import Teacher, distilled, hidden_of, labels_of, loss_of
from tests.elsewhere import elsewhere
from tests.families import FAMILIES, NAMES, logits, make, tokens


def whole(student, teacher, ids: torch.Tensor, temperature: float, mix: float) -> torch.Tensor:
    """The loss by its formula, with all logits of both models at once."""
    given = student(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1)  # [tokens, vocabulary]
    wanted = logits(teacher, ids)[:, :-1].flatten(0, 1)  # [tokens, vocabulary]
    p, q = (wanted / temperature).softmax(-1), (given / temperature).softmax(-1)
    apart = (p * (p.log() - q.log())).sum(-1).mean()
    return mix * temperature**2 * apart + (1 - mix) * functional.cross_entropy(given, ids[:, 1:].flatten())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_of_the_text_is_that_of_transformers(family):
    """And its gradient."""
    one, other, ids = make(family), make(family), tokens(3, 8)
    mine, theirs = loss_of(one, ids), other(ids, labels=ids).loss
    mine.backward()
    theirs.backward()
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-6)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_head_reads_the_last_hidden_state(name):
    """In every family and shape the logits are the head's of what the body gives: nothing comes in between."""
    model = make(name)
    with torch.no_grad():
        assert torch.equal(model.get_output_embeddings()(hidden_of(model, tokens())), logits(model))


@pytest.mark.parametrize("temperature, mix", [(1.0, 0.5), (3.0, 0.25), (0.5, 1.0), (2.0, 0.0)])
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
def test_in_pieces_it_is_the_formula(family, temperature, mix):
    """Value and every gradient, in float64, whatever the pieces: of one token, uneven, all at once."""
    teacher, ids = make(family, seed=1), tokens(3, 8)
    student = make(family)
    wanted = whole(student, teacher, ids, temperature, mix)
    wanted.backward()
    slopes = {name: one.grad for name, one in student.named_parameters()}
    for rows in (1, 5, 7, 100, 0):
        student.zero_grad()
        found = distilled(student, Teacher(teacher), ids, temperature, mix, rows)
        assert found.item() == pytest.approx(wanted.item(), rel=1e-12)
        (found * 0.5).backward()
        for name, one in student.named_parameters():
            torch.testing.assert_close(one.grad, slopes[name] / 2, rtol=1e-9, atol=1e-12, msg=name)


def test_a_student_that_predicts_what_its_teacher_does_has_nothing_to_learn_from_it():
    """The distance is 0 and so is its gradient."""
    model = make("gpt2")
    found = distilled(model, Teacher(make("gpt2")), tokens(), 2.0, 1.0)
    found.backward()
    assert abs(found.item()) < 1e-12
    assert max(one.grad.abs().max() for one in model.parameters() if one.grad is not None) < 1e-12


def test_the_memory_does_not_grow_with_the_text_and_the_vocabulary_together():
    """With small pieces it takes less than a single matrix of all logits would."""
    from tests.families import CLASSES, gpt2

    student, teacher = (CLASSES["gpt2"](gpt2(vocab_size=20_000)).eval() for _ in range(2))
    ids = torch.randint(20_000, (8, 40))
    matrix = 8 * 40 * 20_000 * 4
    slopes = sum(one.numel() for one in student.parameters()) * 4
    pieces, at_once = (
        peak(lambda rows=rows: distilled(student, Teacher(teacher), ids, 1.0, 0.5, rows).backward(), torch.device("cpu"))
        for rows in (8, 8 * 40)
    )
    student.zero_grad()
    assert pieces - 2 * slopes < matrix < at_once / 3


def test_frozen_weights_get_no_gradient():
    """Only the student's hidden states carry one back, where its head is frozen."""
    student = make("gpt2")
    student.requires_grad_(False)
    student.transformer.ln_f.weight.requires_grad_(True)
    distilled(student, Teacher(make("gpt2", seed=1)), tokens(), 1.0, 0.5).backward()
    assert [name for name, one in student.named_parameters() if one.grad is not None] == ["transformer.ln_f.weight"]


def test_the_last_token_of_a_block_predicts_nothing():
    """Every other one predicts its neighbour."""
    assert labels_of(torch.tensor([[1, 2, 3], [4, 5, 6]])).tolist() == [2, 3, -100, 5, 6, -100]


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
def test_a_device_without_float64_distils_the_same(family):
    """The sum over the pieces is in float64 on the CPU, and back with the model. Shown by tensors that refuse float64 elsewhere,
    not by such a device."""
    ids, found = tokens(3, 8), []
    for place in (nn.Module.float, elsewhere):
        student, teacher = place(make(family)), place(make(family, seed=1))
        loss = distilled(student, Teacher(teacher), ids, 2.0, 0.5, 5)
        loss.backward()
        found.append((loss.item(), [one.grad for one in student.parameters()]))
    (wanted, slopes), (told, others) = found
    assert told == wanted
    assert all(torch.equal(one, other) for one, other in zip(slopes, others, strict=True))
