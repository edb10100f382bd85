"""Tests of engine/recovery/methods/lora.py: what trains, what is frozen, and what the product is."""

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from engine.models.anatomy import dissect, matrix
from engine.record.catalogue import METHODS
from engine.record.errors import BadInput
from engine.recovery.adapters import NAME, SCALE, targets_of
from tests.engine.recovery.methods.test_contract import pupil_of, recover, text, tuning_of
from tests.families import FAMILIES, logits, make


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_matrices_train(family):
    """Through steps of training every weight of the model stays as it was, to the bit; A and B alone move."""
    model, tuning = make(family, dtype=torch.float32), tuning_of("lora")
    weights = {one: one.detach().clone() for one in model.parameters()}
    course = METHODS.load("lora").begin(pupil_of(model), tuning, 0)
    trained = [one for one in model.parameters() if one.requires_grad]
    assert len(trained) == 2 * len(targets_of(make(family), dissect(make(family)), "all"))
    assert {tuning.rank} == {min(one.shape) for one in trained} and weights.keys().isdisjoint(trained)
    optimizer = torch.optim.SGD(trained, 0.1)
    for _ in range(3):
        course.loss(text()).backward()
        optimizer.step()
    assert all(torch.equal(one, before) and one.grad is None for one, before in weights.items())
    assert all(one.any() for one in trained)
    course.keep()
    moved = [one for one, before in weights.items() if not torch.equal(one, before)]
    assert len(moved) == len(trained) / 2


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_product_is_added_to_the_weight(family):
    """W + SCALE · B A, whichever way the projection stores W."""
    model = make(family)
    path = targets_of(model, dissect(model), "mlp")[0]
    before = matrix(model.get_submodule(path)).detach().clone()  # [out, in]
    course = METHODS.load("lora").begin(pupil_of(model), tuning_of("lora", targets="mlp"), 0)
    around = dict(model.named_parameters())
    down, up = (next(one for name, one in around.items() if name.startswith(f"{path}.lora_{which}")) for which in "AB")
    with torch.no_grad():
        up.normal_()
        wanted = before + SCALE * up @ down
    course.keep()
    torch.testing.assert_close(matrix(model.get_submodule(path)), wanted, rtol=1e-12, atol=1e-12)


def test_a_rank_that_no_projection_has_is_refused_and_a_narrow_one_takes_its_own():
    """More would train more numbers than the weight itself has, and for nothing. The keys of a group of heads are narrow."""
    model = make("llama-grouped")
    sides = {path: min(matrix(model.get_submodule(path)).shape) for path in targets_of(model, dissect(model), "all")}
    narrow, most = min(sides.values()), max(sides.values())
    assert narrow < most
    with pytest.raises(BadInput, match=f"^tuning.rank {most + 1} is more than .* at most {most};"):
        METHODS.load("lora").begin(pupil_of(model), tuning_of("lora", rank=most + 1), 0)
    before = logits(model)
    course = METHODS.load("lora").begin(pupil_of(model), tuning_of("lora", rank=most), 0)
    own = dict(model.named_parameters())
    ranks = {path: len(next(one for name, one in own.items() if name.startswith(f"{path}.lora_A"))) for path in sides}
    assert ranks == sides
    assert {module.scaling[NAME] for module in model.modules() if isinstance(module, LoraLayer)} == {SCALE}
    course.drop()
    assert torch.equal(logits(model), before)


def test_targets_are_the_projections_of_a_kind():
    """Attention and MLP are together all; none of them is an embedding, a norm or the head."""
    for family in FAMILIES:
        model = make(family)
        anatomy = dissect(model)
        both = [targets_of(model, anatomy, which) for which in ("attention", "mlp")]
        assert sorted(both[0] + both[1]) == sorted(targets_of(model, anatomy, "all"))
        assert all(not isinstance(model.get_submodule(path), nn.Embedding) for path in both[0] + both[1])
        assert "lm_head" not in both[0] + both[1]


def test_a_model_with_none_of_the_targets_left_is_refused():
    """Rather than trained without a parameter."""
    from engine.pruning.cut import cut
    from engine.pruning.plan import Plan

    model = cut(make("gpt2"), Plan({(layer, head) for layer in range(2) for head in range(3)}))
    with pytest.raises(BadInput, match="tuning.targets 'attention' names no projection that is left"):
        recover(model, "lora", targets="attention")


def test_the_same_seed_draws_the_same_matrices_and_leaves_the_random_state_alone():
    """Whoever samples beside it gets what they would have got."""
    one, other = make("gpt2"), make("gpt2")
    torch.manual_seed(4)
    before = torch.get_rng_state()
    losses = recover(one, "lora"), recover(other, "lora")
    assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1] and torch.equal(logits(one), logits(other))
