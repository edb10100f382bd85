"""Tests of engine/pruning/rounds.py and suggest.py on small models: what a wish comes to, round by round."""

import itertools

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.allocate import price_of
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan, check, parameters_removed
from engine.pruning.rounds import Round, planning
from engine.pruning.suggest import suggesting_share
from engine.record.commands import Prune, Suggest
from engine.record.errors import BadInput
from engine.record.recipe import Protection, Schedule, Suggestion
from tests.engine.pruning.small import GROUPED, planned, small, text

HALF = {"heads": Schedule(level=0.5), "neurons": Schedule(level=0.5)}
WAYS = {
    "schedule": {},
    "global": {"allocation": "global"},
    "suggest": {"allocation": "suggest"},
    "by block": {"allocation": "suggest", "suggestion": Suggestion(by="block")},
    "measured": {"allocation": "suggest", "suggestion": Suggestion(by="block", damage="measured")},
}


class Bench:
    """A small model with its evidence and what lies over it."""

    def __init__(self, family: str = "gpt2"):
        self.model, self.blocks = small(family), text(24)
        self.anatomy = dissect(self.model)
        self.evidence, self.overlay = Evidence(self.model, self.anatomy), Overlay(self.model, self.anatomy)

    def rounds(self, only: int = 0, gone: Plan | None = None, **wish) -> list[Round]:
        """All rounds of a wish, or one of them, run to their end on the bare model."""
        with self.overlay.lifted():
            steps = planning(self.evidence, self.overlay, self.blocks, Prune("activation", **(HALF | wish)), only, gone)
            return [step for step in steps if isinstance(step, Round)]

    def seen(self) -> torch.Tensor:
        """The logits of the model as it stands."""
        with torch.no_grad():
            return self.model(self.blocks[:2]).logits


def finish(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_one_round_by_schedule_is_the_plan_of_the_shares():
    """As before there were rounds."""
    bench = Bench()
    (only,) = bench.rounds(neurons=Schedule(level=0.4, shape="linear"))
    shares = Schedule(level=0.4, shape="linear").shares(3)
    assert only.shares == {"heads": (0.5,) * 3, "neurons": shares}
    assert only.plan == planned(only.scores, bench.anatomy, **only.shares)
    assert only.notes == () and only.proposal is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", ["gpt2", GROUPED])
def test_every_way_takes_as_many_parameters_and_only_whole_groups(family, way):
    """The schedule's number, to the nearest unit, or share of a block; in two rounds what goes first stays gone."""
    bench = Bench(family)
    before = bench.seen()
    wanted = parameters_removed(bench.rounds()[-1].plan, bench.anatomy)
    first, last = bench.rounds(**WAYS[way], rounds=2)
    assert torch.equal(bench.seen(), before)
    assert first.plan.heads <= last.plan.heads and first.plan.neurons < last.plan.neurons
    check(first.plan, bench.anatomy)
    layer = bench.anatomy.layers[0]
    step = layer.group_parameters if way != "by block" and way != "measured" else 2 * layer.group_parameters
    assert abs(parameters_removed(last.plan, bench.anatomy) - wanted) <= step
    if way != "schedule":  # which rounds in every layer by itself
        assert abs(parameters_removed(first.plan, bench.anatomy) - wanted / 2) <= step


@pytest.mark.parametrize("way", ["global", "suggest"])
def test_the_last_round_by_itself_takes_no_more_than_all_rounds_at_once(way):
    """Also where an earlier one took more of a layer than its share: all the less goes of the others."""
    bench, quarter = Bench(), {"heads": Schedule(level=0), "neurons": Schedule(level=0.25), "rounds": 2}
    wanted = parameters_removed(bench.rounds(**WAYS[way], **quarter)[-1].plan, bench.anatomy)
    gone = Plan(neurons={(0, neuron) for neuron in range(20)})
    (last,) = bench.rounds(**WAYS[way], **quarter, only=2, gone=gone)
    assert gone.neurons < last.plan.neurons
    assert abs(parameters_removed(last.plan, bench.anatomy) - wanted) <= bench.anatomy.layers[0].neuron_parameters


def test_a_later_round_scores_what_is_left_as_it_then_is():
    """The scores of the second round are those of the model with the first plan over it, compensated."""
    bench = Bench()
    first, second = bench.rounds(rounds=2)
    known = finish(bench.evidence.statistics(bench.blocks, ("mean", "covariance")))
    bench.overlay.lay(first.plan, "least-squares", known)
    by_hand = finish(Evidence(bench.model, bench.anatomy).scores("activation", bench.blocks, 0))
    assert second.scores == by_hand != first.scores


def test_rounds_rise_to_custom_shares_in_equal_steps():
    """A third, two thirds, all of it."""
    custom = Schedule(shape="custom", layers=(0.0, 0.3, 0.9))
    counts = [
        [len(one.plan.neurons_of(layer)) for layer in range(3)]
        for one in Bench().rounds(neurons=custom, rounds=3, compensation="none")
    ]
    assert counts == [[0, 4, 12], [0, 8, 24], [0, 12, 36]]


@pytest.mark.parametrize("way", WAYS)
def test_protected_layers_caps_and_floors_hold(way):
    """In every way of allocating."""
    limits = {"heads": Schedule(level=0.3, floor=2), "neurons": Schedule(level=0.3, cap=0.5), "protect": Protection(first=1)}
    plan = Bench().rounds(**WAYS[way], **limits)[-1].plan
    assert not plan.heads_of(0) and not plan.neurons_of(0)
    for layer in (1, 2):
        assert len(plan.heads_of(layer)) <= 2 and len(plan.neurons_of(layer)) <= 20
    assert plan.neurons


@pytest.mark.parametrize("way", ["global", "suggest"])
def test_a_kind_of_which_nothing_is_asked_takes_no_part(way):
    """Heads at level 0 stay, however little they score."""
    last = Bench().rounds(**WAYS[way], heads=Schedule(level=0))[-1]
    assert not last.plan.heads and len(last.plan.neurons) == 60 and last.shares["heads"] == (0.0,) * 3


@pytest.mark.parametrize("way", WAYS)
def test_level_0_takes_nothing(way):
    """Whatever competes."""
    nothing = {"heads": Schedule(level=0), "neurons": Schedule(level=0)}
    last = Bench().rounds(**WAYS[way], **nothing)[-1]
    assert not last.plan.heads and not last.plan.neurons


TOGETHER = "Heads that share a key go together, 2 at a time."


def test_what_whole_groups_make_of_a_share_is_said():
    """Two groups of two heads: a quarter of the heads is half a group, which rounds up to one."""
    (only,) = Bench(GROUPED).rounds(heads=Schedule(level=0.25), compensation="none")
    assert only.notes == (TOGETHER, "3 heads were asked for and 6 go.")


@pytest.mark.parametrize("way", ["global", "suggest"])
def test_that_heads_go_in_whole_groups_is_said_also_where_no_share_of_them_is_asked_for(way):
    """In every round; of heads that take no part nothing is said."""
    bench = Bench(GROUPED)
    assert [each.notes for each in bench.rounds(**WAYS[way], rounds=2)] == [(TOGETHER,)] * 2
    assert bench.rounds(**WAYS[way], heads=Schedule(level=0))[-1].notes == ()


@pytest.mark.parametrize("damage", ["predicted", "measured"])
def test_a_suggestion_is_no_worse_than_uniform_shares_by_its_own_account(damage):
    """By layer and with units of one price, every uniform plan is among those that it could have suggested."""
    how = {"allocation": "suggest", "suggestion": Suggestion(damage=damage)}
    proposal = Bench("opt").rounds(**how, heads=Schedule(level=0))[-1].proposal
    assert proposal.damage <= proposal.uniform + 1e-12


@pytest.mark.parametrize("by", ["layer", "block"])
def test_a_share_of_the_parameters_can_be_suggested(by):
    """To the nearest step, with the model as it was, whatever lies over it."""
    bench = Bench()
    bench.overlay.lay(planned(bench.rounds()[-1].scores, bench.anatomy, (0.5,) * 3, (0.5,) * 3), "none", None)
    before = bench.seen()
    with bench.overlay.lifted():
        wish = Suggest(0.2, "activation", suggestion=Suggestion(by=by))
        proposal = finish(suggesting_share(bench.evidence, bench.overlay, bench.blocks, wish))
    assert torch.equal(bench.seen(), before)
    step = max(part.price for part in proposal.parts) * (1 if by == "layer" else 2)
    assert abs(price_of(proposal.parts, proposal.counts) - 0.2 * bench.anatomy.parameters) <= step


@pytest.mark.parametrize("kind, other", [("heads", "neurons"), ("neurons", "heads")])
def test_custom_shares_say_which_kind_a_suggestion_may_take_whatever_their_level_says(kind, other):
    """A level counts for nothing beside custom shares: a kind with some takes part, a kind with none does not."""
    bench, some, none = Bench(), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0)
    wish = {kind: Schedule(level=0, shape="custom", blocks=some), other: Schedule(level=1, shape="custom", blocks=none)}
    proposal = finish(suggesting_share(bench.evidence, bench.overlay, bench.blocks, Suggest(0.05, "activation", **wish)))
    assert {part.kind for part in proposal.parts} == {kind} and sum(proposal.counts)


@pytest.mark.parametrize(
    "share, words", [(0.99, "cannot go: all units that may go make 0."), (-0.1, "from 0 to 1"), (2, "from 0 to 1")]
)
def test_a_share_that_cannot_go_is_refused(share, words):
    """With how much could."""
    bench = Bench()
    with pytest.raises(BadInput, match=words):
        finish(suggesting_share(bench.evidence, bench.overlay, bench.blocks, Suggest(share, "activation")))


@pytest.mark.parametrize(("way", "each"), [("schedule", 1), ("measured", 5)])
def test_given_up_after_any_step_the_model_is_as_it_was(way, each):
    """Between two rounds a plan lies over the model; whoever leaves takes it off. Of many steps that are alike some are tried."""
    bench = Bench()
    bench.overlay.lay(planned(bench.rounds()[-1].scores, bench.anatomy, (0.25,) * 3, (0.25,) * 3), "none", None)
    before = bench.seen()
    wish = Prune("activation", **HALF, **WAYS[way], rounds=2)
    for count in itertools.count(1, each):
        with bench.overlay.lifted():
            steps = planning(Evidence(bench.model, bench.anatomy), bench.overlay, bench.blocks, wish)
            done = len(list(itertools.islice(steps, count)))
            steps.close()
        assert torch.equal(bench.seen(), before), count
        if done < count:
            break
    assert count > 4
