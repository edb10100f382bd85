"""Tests of engine/pruning/agreement.py: against pandas, layer by layer, with ties and with layers that have no order."""

import pandas
import pytest
import torch

from engine.pruning.agreement import Agreement, agreements
from engine.pruning.plan import Scores


def drawn(seed: int, heads=(4, 0, 1, 7), neurons=(30, 2, 0, 12), steps: int = 6) -> Scores:
    """Random scores with many ties."""
    generator = torch.Generator().manual_seed(seed)
    of_kind = (tuple(tuple(torch.randint(0, steps, (n,), generator=generator).double().tolist()) for n in sizes)
               for sizes in (heads, neurons))  # fmt: skip
    return Scores(*of_kind)


def test_the_correlation_is_that_of_pandas():
    """Of every pair and kind the mean over the layers in which there is one, which pandas finds as well."""
    scores = [drawn(seed) for seed in range(4)]
    found = list(agreements(scores))
    assert [(each.kind, each.one, each.other) for each in found] == [
        (kind, one, other) for kind in ("heads", "neurons") for one in range(4) for other in range(one + 1, 4)
    ]
    for each in found:
        layers = zip(getattr(scores[each.one], each.kind), getattr(scores[each.other], each.kind), strict=True)
        wanted = [
            pandas.DataFrame({"one": one, "other": other}).corr(method="spearman").loc["one", "other"]
            for one, other in layers
            if len(set(one)) > 1 and len(set(other)) > 1
        ]
        assert each.layers == len(wanted) > 0
        assert each.correlation == pytest.approx(sum(wanted) / len(wanted), abs=1e-12)


def test_the_ends_of_the_scale():
    """The same order is 1, however the scores are spaced, and the opposite order −1."""
    up, far, down = (Scores((order,), ()) for order in ((1.0, 2.0, 3.0), (-5.0, 0.1, 900.0), (3.0, 2.0, 1.0)))
    assert [each.correlation for each in agreements([up, far, down])] == pytest.approx([1, -1, -1])


def test_a_layer_without_an_order_is_left_out():
    """One unit, none, or units that are all alike: nothing is invented for them."""
    one, other = Scores(((1.0, 2.0), (1.0,), (), (5.0, 5.0)), ()), Scores(((3.0, 4.0), (2.0,), (), (1.0, 2.0)), ())
    assert list(agreements([one, other])) == [Agreement(0, 1, "heads", pytest.approx(1), 1)]
    (none,) = agreements([Scores(((1.0, 1.0),), ()), Scores(((1.0, 2.0),), ())])
    assert (none.correlation, none.layers) == (None, 0)


def test_only_what_both_score_is_compared():
    """A criterion for heads alone has no opinion on neurons."""
    both, heads = drawn(0), Scores(drawn(1).heads, ())
    assert [(each.one, each.other, each.kind) for each in agreements([both, heads, both])] == [
        (0, 1, "heads"), (0, 2, "heads"), (1, 2, "heads"), (0, 2, "neurons"),
    ]  # fmt: skip
