"""Tests of engine/pruning/allocate.py: budgets, limits and order, against loops that try everything, and on random scores."""

import itertools
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest

from engine.pruning.allocate import (
    Part,
    by_damage,
    by_ranking,
    by_schedule,
    group_notes,
    parts_of,
    plan_of,
    price_of,
    share_notes,
    shares_of,
)
from engine.pruning.plan import Plan, Scores
from engine.record.errors import BadInput
from engine.record.recipe import Protection, Schedule
from engine.record.schedules import count

NOTHING = Protection()


def layer(index: int, heads: int, neurons: int, size: int = 1, keeps: bool = False) -> SimpleNamespace:
    """A layer in numbers: heads in groups of `size`, 30 parameters a head, 7 a neuron."""
    groups = tuple(tuple(range(first, first + size)) for first in range(0, heads, size))
    return SimpleNamespace(
        index=index, heads=heads, neurons=neurons, head_groups=groups, removable_groups=() if keeps else groups,
        group_parameters=30 * size, neuron_parameters=7,
    )  # fmt: skip


def anatomy(*layers: SimpleNamespace) -> SimpleNamespace:
    """What `dissect` would say of them."""
    return SimpleNamespace(layers=layers)


def drawn(draw: random.Random, model: SimpleNamespace) -> Scores:
    """Random scores; ties are common."""

    def kind(of: str) -> tuple:
        return tuple(tuple(draw.choice([draw.random(), 0.5]) for _ in range(getattr(one, of))) for one in model.layers)

    return Scores(kind("heads"), kind("neurons"))


def some_model(draw: random.Random) -> SimpleNamespace:
    """One to five layers of other widths each, as after a cut; some share keys."""
    size = draw.choice([1, 1, 2, 3])
    return anatomy(*(layer(at, size * draw.randint(0, 4), draw.randint(0, 12), size) for at in range(draw.randint(1, 5))))


def schedules(draw: random.Random) -> dict[str, Schedule]:
    """Levels, caps and floors for both kinds."""
    found = {}
    for kind in ("heads", "neurons"):
        cap = draw.choice([1.0, draw.uniform(0.3, 1)])
        found[kind] = Schedule(level=draw.uniform(0, cap), cap=cap, floor=draw.choice([0, 0, 1, 2]))
    return found


def all_ways(parts: tuple, shares: dict, draw: random.Random) -> list:
    """What each allocation takes at the budget of the schedule, with damages that rise at random."""
    scheduled = by_schedule(parts, shares)
    budget = price_of(parts, scheduled)
    curves = [list(itertools.accumulate([0.0, *(draw.random() for _ in part.groups)])) for part in parts]
    return [scheduled, by_ranking(parts, budget), by_damage(parts, curves, budget), by_damage(parts, curves, budget, "block")]


def test_limits_hold_for_every_allocation():
    """Five hundred random models: no layer over its cap or under its floor, nothing from a protected one, whole groups only."""
    draw = random.Random(0)
    for _ in range(500):
        model, asked = some_model(draw), schedules(draw)
        protect = Protection(first=draw.choice([0, 0, 1]), last=draw.choice([0, 0, 1]))
        parts = parts_of(drawn(draw, model), model, asked, protect)
        shares = {kind: tuple(draw.random() for _ in model.layers) for kind in asked}
        for counts in all_ways(parts, shares, draw):
            plan = plan_of(parts, counts)
            for one in model.layers:
                free = protect.first <= one.index < len(model.layers) - protect.last
                for kind, gone in (("heads", plan.heads_of(one.index)), ("neurons", plan.neurons_of(one.index))):
                    units = getattr(one, kind)
                    assert len(gone) <= (asked[kind].cap * units + 1e-6 if free else 0)
                    assert not gone or units - len(gone) >= asked[kind].floor
                for group in one.head_groups:
                    assert len(set(group) & set(plan.heads_of(one.index))) in (0, len(group))


@pytest.mark.parametrize("cap, groups", [(0.9, 2), (0.85, 2), (0.55, 1), (0.3, 0)])
def test_a_cap_is_not_rounded_up_to_a_whole_group_and_what_that_holds_back_is_said(cap, groups):
    """Three groups of two heads: all of them are more than 0.9, two more than 0.55, and one more than 0.3."""
    model, shares = anatomy(layer(0, 6, 8, 2)), {"heads": (cap,), "neurons": (0.0,)}
    asked = {"heads": Schedule(level=cap, cap=cap), "neurons": Schedule(level=0.0)}
    parts = parts_of(Scores(((0.0,) * 6,), ((0.0,) * 8,)), model, asked, NOTHING)
    for counts in all_ways(parts, shares, random.Random(8)):
        assert len(plan_of(parts, counts).heads) == 2 * groups
    held = "In 1 layer fewer heads go than the shares ask for: limits hold the others."
    few = f"{6 * cap:.1f}".removesuffix(".0")
    assert share_notes(parts, (groups, 0), shares) == (f"{few} heads were asked for and {2 * groups} go.", held)


def test_the_budget_is_met_to_the_nearest_unit():
    """Both competing allocations miss it by half of the dearest group at most, wherever the limits leave that much to take."""
    draw = random.Random(1)
    for _ in range(500):
        model, asked = some_model(draw), schedules(draw)
        parts = parts_of(drawn(draw, model), model, asked, NOTHING)
        shares = shares_of(asked, len(model.layers), NOTHING)
        counts, ranked, traded, _ = all_ways(parts, shares, draw)
        budget, dearest = price_of(parts, counts), max((part.price for part in parts), default=0)
        assert abs(price_of(parts, ranked) - budget) <= dearest / 2
        assert abs(price_of(parts, traded) - budget) <= dearest / 2


def test_one_ranking_is_an_exhaustive_sort():
    """The plain loop: standardise, sort all units of all layers, take from the front for as long as that comes nearer."""
    draw = random.Random(2)
    for _ in range(200):
        model = some_model(draw)
        parts = parts_of(drawn(draw, model), model, {"heads": Schedule(), "neurons": Schedule()}, NOTHING)
        budget = draw.uniform(0, 1.1) * sum(part.price * len(part.groups) for part in parts)
        everything = []
        for at, part in enumerate(parts):
            mean = sum(part.scores) / max(1, len(part.scores))
            spread = (sum((score - mean) ** 2 for score in part.scores) / max(1, len(part.scores))) ** 0.5
            everything += [((score - mean) / spread if spread else 0.0, at, place) for place, score in enumerate(part.scores)]
        wanted, removed = [0] * len(parts), 0
        for _, at, _ in sorted(everything):
            if abs(removed + parts[at].price - budget) > abs(removed - budget):
                break
            wanted[at] += 1
            removed += parts[at].price
        assert by_ranking(parts, budget) == tuple(wanted)


def test_the_least_damage_is_that_of_trying_everything():
    """Convex curves and equal prices: no combination of counts with the same number of units does less damage."""
    draw = random.Random(3)
    for _ in range(100):
        parts = tuple(
            Part("neurons", at, tuple((unit,) for unit in range(units)), (0.0,) * units, 7, 0, draw.randint(0, units))
            for at, units in enumerate(draw.choices(range(5), k=3))
        )
        curves = [list(itertools.accumulate([0.0, *sorted(draw.random() for _ in part.groups)])) for part in parts]
        wanted = draw.randint(0, sum(part.most for part in parts))
        counts = by_damage(parts, curves, 7 * wanted)
        assert sum(counts) == wanted
        tried = itertools.product(*(range(part.most + 1) for part in parts))
        best = min(sum(c[k] for c, k in zip(curves, each, strict=True)) for each in tried if sum(each) == wanted)
        assert sum(c[k] for c, k in zip(curves, counts, strict=True)) == pytest.approx(best)


def test_on_a_curve_that_is_not_convex_the_corners_of_its_hull_are_met():
    """A first unit that costs much and a second that costs nothing: they go together, before dearer ones."""
    parts = (
        Part("neurons", 0, ((0,), (1,)), (0.0, 0.0), 1, 0, 2),
        Part("neurons", 1, ((0,), (1,)), (0.0, 0.0), 1, 0, 2),
    )
    assert by_damage(parts, [(0.0, 1.0, 1.0), (0.0, 0.7, 1.4)], 2) == (2, 0)
    assert by_damage(parts, [(0.0, 1.0, 1.0), (0.0, 0.4, 0.8)], 2) == (0, 2)


def test_a_block_rises_together():
    """All layers of a block have the share of the block, rounded for the units that they have."""
    model = anatomy(*(layer(at, 0, units) for at, units in enumerate((4, 8, 4, 8, 4, 8))))
    scores = Scores(((),) * 6, tuple((0.0,) * one.neurons for one in model.layers))
    parts = parts_of(scores, model, {"heads": Schedule(), "neurons": Schedule()}, NOTHING)
    slopes = [0] * 6 + [9, 9, 1, 1, 5, 5]
    curves = [[slope * gone for gone in range(len(part.groups) + 1)] for part, slope in zip(parts, slopes, strict=True)]
    assert by_damage(parts, curves, 7 * 12, "block")[6:] == (0, 0, 4, 8, 0, 0)
    assert by_damage(parts, curves, 7 * 18, "block")[6:] == (0, 0, 4, 8, 2, 4)


@pytest.mark.parametrize("by", ["ranking", "layer", "block"])
def test_a_larger_budget_takes_what_a_smaller_one_took(by):
    """From none to all, unit by unit: counts only grow, and the plans hold one another."""
    draw = random.Random(4)
    for _ in range(30):
        model = some_model(draw)
        parts = parts_of(drawn(draw, model), model, {"heads": Schedule(), "neurons": Schedule()}, NOTHING)
        curves = [list(itertools.accumulate([0.0, *(draw.random() for _ in part.groups)])) for part in parts]
        before = Plan()
        for budget in range(0, sum(part.price * len(part.groups) for part in parts) + 40, 5):
            counts = by_ranking(parts, budget) if by == "ranking" else by_damage(parts, curves, budget, by)
            plan = plan_of(parts, counts)
            assert before.heads <= plan.heads and before.neurons <= plan.neurons
            before = plan
        assert len(before.neurons) == sum(one.neurons for one in model.layers)


def test_what_is_gone_already_goes_first_whatever_it_scores():
    """A second round takes the first one's units and adds to them."""
    draw = random.Random(5)
    for _ in range(200):
        model, asked = some_model(draw), {"heads": Schedule(), "neurons": Schedule()}
        shares = {kind: tuple(draw.random() for _ in model.layers) for kind in asked}
        parts = parts_of(drawn(draw, model), model, asked, NOTHING)
        first = plan_of(parts, by_schedule(parts, {kind: tuple(one / 2 for one in of) for kind, of in shares.items()}))
        parts = parts_of(drawn(draw, model), model, asked, NOTHING, first)
        for counts in all_ways(parts, shares, draw):
            plan = plan_of(parts, counts)
            assert first.heads <= plan.heads and first.neurons <= plan.neurons


def test_the_schedule_is_a_sort_of_every_layer():
    """The plain loop: the groups of a layer by the mean of their scores, of equal ones the first, so many as its share makes."""
    draw = random.Random(6)
    for _ in range(200):
        model = some_model(draw)
        scores = drawn(draw, model)
        asked = {"heads": Schedule(shape="custom", layers=[draw.random() for _ in model.layers]), "neurons": Schedule(level=0.4)}
        shares = shares_of(asked, len(model.layers), NOTHING)
        parts, wanted = parts_of(scores, model, asked, NOTHING), {"heads": set(), "neurons": set()}
        for at, one in enumerate(model.layers):
            for kind, groups in (("heads", one.head_groups), ("neurons", [(unit,) for unit in range(one.neurons)])):
                means = [sum(getattr(scores, kind)[at][unit] for unit in group) / len(group) for group in groups]
                order = sorted(range(len(groups)), key=lambda place, means=means: (means[place], place))
                for place in order[: count(shares[kind][at], len(groups))]:
                    wanted[kind] |= {(at, unit) for unit in groups[place]}
        assert plan_of(parts, by_schedule(parts, shares)) == Plan(**wanted)


def test_two_criteria_of_one_order_prune_alike_by_schedule_and_may_not_by_one_ranking():
    """By hand: in the second layer the same order, but one neuron far below the others, which one ranking takes first."""
    model = anatomy(layer(0, 0, 3), layer(1, 0, 3))
    even, apart = ((0.0, 1.0, 2.0), (0.0, 1.0, 2.0)), ((0.0, 1.0, 2.0), (0.0, 9.0, 10.0))
    asked = {"heads": Schedule(level=0.0), "neurons": Schedule(level=1 / 3)}
    both = [parts_of(Scores(((), ()), neurons), model, asked, NOTHING) for neurons in (even, apart)]
    shares = shares_of(asked, 2, NOTHING)
    assert len({plan_of(parts, by_schedule(parts, shares)) for parts in both}) == 1
    assert [plan_of(parts, by_ranking(parts, 7)).neurons for parts in both] == [{(0, 0)}, {(1, 0)}]


def test_a_layer_that_keeps_its_heads_has_none_to_give():
    """Its only group is in no plan, and the neurons make up for it where units compete."""
    model = anatomy(layer(0, 4, 100, 4, keeps=True), layer(1, 4, 100, 4, keeps=True))
    parts = parts_of(drawn(random.Random(7), model), model, {"heads": Schedule(), "neurons": Schedule()}, NOTHING)
    counts = by_ranking(parts, 700)
    assert not plan_of(parts, counts).heads and price_of(parts, counts) == 700
    assert group_notes(parts) == ("In 2 layers no head can go: all of them share the only key, or none is left.",)


def test_units_without_scores_are_refused_only_where_some_are_to_go():
    """A criterion that scores heads alone plans heads alone, and is refused where neurons are to go as well."""
    model = anatomy(layer(0, 4, 8))
    parts = parts_of(Scores(((0.0, 1.0, 2.0, 3.0),), ()), model, {"heads": Schedule(), "neurons": Schedule()}, NOTHING)
    assert by_schedule(parts, {"heads": (0.5,), "neurons": (0.0,)}) == (2,)
    with pytest.raises(BadInput, match="does not score neurons"):
        by_schedule(parts, {"heads": (0.5,), "neurons": (0.1,)})


@pytest.mark.parametrize(
    "schedule, protect, field",
    [
        (Schedule(shape="custom", layers=[0.1]), NOTHING, "heads.layers"),
        (Schedule(level=0.9), Protection(first=1), "heads.level"),
    ],
)
def test_shares_that_do_not_fit_the_model_blame_their_field(schedule, protect, field):
    """Of another number of layers, or more than the layers that may lose any can give."""
    with pytest.raises(BadInput) as caught:
        shares_of({"heads": schedule}, 3, protect)
    assert caught.value.field == field


def test_allocation_needs_no_torch():
    """Plain arithmetic, in a process that never loads torch."""
    code = "import sys, engine.pruning.allocate; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize("kind", ["heads", "neurons"])
def test_shares_for_another_number_of_layers_are_refused_by_the_name_of_their_field(kind):
    """Of two schedules the one that does not fit is named, with its value and what is allowed."""
    schedules = {"heads": Schedule(), "neurons": Schedule()} | {kind: Schedule(shape="custom", layers=(0.1, 0.2))}
    with pytest.raises(BadInput, match=rf"^{kind}\.layers: custom shares by layer: \[0.1, 0.2\] has 2 values") as refused:
        shares_of(schedules, 6, Protection())
    assert refused.value.field == f"{kind}.layers"
