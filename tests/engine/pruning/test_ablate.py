"""Tests of engine/pruning/ablate.py: against the naive loop, which closes one gate after another and runs the whole model."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.ablate import ablating, blocks_at_once
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from tests.engine.pruning.small import HEADS, NEURONS, small, text
from tests.families import CONFIGS, make, tokens

ODD = [name for name in CONFIGS if "seven" not in name]


def finish(steps):
    """What a generator returns, and all that it yields."""
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return end.value, told


def loss(model, blocks, lengths):
    """The mean −log p of the predicted tokens, one block at a time and without padding."""
    total = 0.0
    with torch.no_grad():
        for block, length in zip(blocks, lengths, strict=True):
            shares = model(block[None, :length]).logits[0, :-1].log_softmax(1)  # [length - 1, vocabulary]
            total -= float(shares.gather(1, block[1:length, None]).sum())
    return total / (sum(lengths) - len(lengths))


def naive(model, blocks, lengths):
    """The rise of the loss without every head, heads that share keys together, by closing gates."""
    whole, rises = loss(model, blocks, lengths), []
    with Gates(model) as gates:
        for layer in dissect(model).layers:
            of_layer = torch.zeros(layer.heads).double()
            for heads in layer.head_groups:
                gates.set(Plan([(layer.index, head) for head in heads]))
                of_layer[list(heads)] = (loss(model, blocks, lengths) - whole) / len(heads)
            rises.append(of_layer)
    return rises


@pytest.mark.parametrize("name", ODD)
def test_the_rise_is_that_of_the_naive_loop(name):
    """For every family and odd configuration, padded blocks and any batches: running only the layers that matter is exact."""
    model, blocks, lengths = make(name), tokens(4, 9), [9, 2, 6, 9]
    mask = torch.arange(9)[None] < torch.tensor(lengths)[:, None]  # [blocks, length]
    wanted = naive(model, blocks, lengths)
    for batch_size in (1, 3):
        found, told = finish(ablating(model, dissect(model), blocks, mask, batch_size))
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        assert told[-1][0] == told[-1][1] == len(told)
    unpadded, _ = finish(ablating(model, dissect(model), blocks))
    for one, other in zip(unpadded, naive(model, blocks, [9] * 4), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_only_the_layers_from_a_head_on_are_run():
    """Counted: every run without a head of layer l computes layers l to L, and no attention of layer l."""
    model, ran = small("opt"), []
    layers = dissect(model).layers
    for layer in layers:
        model.get_submodule(layer.mlp_output).register_forward_hook(lambda *_, at=layer.index: ran.append(("mlp", at)))
        query = model.get_submodule(layer.attention_inputs[0].path)
        query.register_forward_hook(lambda *_, at=layer.index: ran.append(("query", at)))
    finish(ablating(model, dissect(model), text(2, 8)))
    once = [(part, at) for at in range(3) for part in ("query", "mlp")]
    wanted = list(once)
    for layer in range(3):
        wanted += [step for step in once if step[1] >= layer and step != ("query", layer)] * HEADS
    assert ran == wanted


def test_a_gated_and_a_cut_model_are_read_as_they_are():
    """A closed head rises by nothing; a layer without heads has none to leave out."""
    model, blocks = small("gpt2"), text(3, 8)
    plan = Plan(heads={(0, 1), *((1, head) for head in range(HEADS))}, neurons={(2, at) for at in range(NEURONS)})
    with Gates(model) as gates:
        gates.set(plan)
        gated, _ = finish(ablating(model, dissect(model), blocks))
    smaller, _ = finish(ablating(cut(model, plan), dissect(cut(model, plan)), blocks))
    assert gated[0][1] == 0 and gated[1].tolist() == [0] * HEADS
    assert [len(one) for one in smaller] == [HEADS - 1, 0, HEADS]
    torch.testing.assert_close(gated[0][[0, 2, 3]], smaller[0])
    torch.testing.assert_close(gated[2], smaller[2])


@pytest.mark.parametrize("family", ["gpt2", "opt", "gpt_neox"])
def test_whoever_stops_finds_the_model_as_it_was(family):
    """Between any two runs: hooks, modes, and modules that compute again."""
    model, ids = make(family).train(), tokens()
    model.get_submodule(dissect(model).layers[0].attention).forward = unusual = model.get_submodule(
        dissect(model).layers[0].attention
    ).forward
    with torch.no_grad():
        before = model.eval()(ids).logits
        model.train()
    steps = ablating(model, dissect(model), ids, None, 1)
    for _ in range(4):
        next(steps)
        with torch.no_grad():
            assert all(module.training for module in model.modules())
            assert torch.equal(model.eval()(ids).logits, before)
            model.train()
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    steps.close()
    forwards = [name for name, module in model.named_modules() if "forward" in vars(module)]
    assert forwards == [dissect(model).layers[0].attention], "one that was put there by somebody else stays"
    assert vars(model.get_submodule(forwards[0]))["forward"] is unusual


def test_batches_shrink_where_much_would_be_kept():
    """Never below one block, and never beyond what was asked."""
    anatomy = dissect(small("gpt2"))
    assert blocks_at_once(anatomy, 16, 8) == 8
    assert 1 <= blocks_at_once(anatomy, 200_000, 8) < 8
    assert blocks_at_once(anatomy, 10**7, 8) == 1
