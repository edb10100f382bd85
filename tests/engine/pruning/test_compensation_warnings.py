"""What came of a compensation is told where it is less than what was asked for, and by how many projections."""

from engine.pruning.compensate import Compensation
from engine.pruning.compensation_warnings import doubts, given_biases, without_biases


def record(**changes) -> Compensation:
    """What compensation says of one output projection with a bias, 8 of its channels kept, and enough text."""
    plain = {"layer": 0, "part": "mlp", "method": "least-squares", "removed": 4, "kept": 8, "tokens": 512, "dropped": 1.0}
    plain |= {"compensated": 0.5, "variance": 2.0, "bias": "", "wanted": 40, "exact": True}
    return Compensation(**(plain | changes))


def test_doubts_are_told_as_something_else_than_was_asked():
    """Too little text, by the projection that wants most; a system without one solution; nothing where all is well."""
    assert list(doubts((record(),))) == list(doubts(())) == []
    few, loose = doubts((record(wanted=600), record(wanted=700, exact=False)))
    assert (few.asked, few.did) == ("one on 700 or more", "a fit on 512 tokens")
    assert loose.did == "a pseudo-inverse" and loose.why.startswith("in 1 projection the kept channels depend")
    (loose,) = doubts((record(exact=False), record(exact=False)))
    assert loose.why.startswith("in 2 projections the kept")


def test_biases_are_told_by_what_became_of_them():
    """Given, or left out, which a correction of the mean alone cannot do without; nothing of one that was there."""
    assert [*given_biases((record(),)), *without_biases((record(),))] == []
    assert list(given_biases((record(bias="added"),))) == ["1 output projection without a bias got one."]
    fitted, corrected = without_biases((record(bias="none"),)), without_biases((record(bias="none", method="bias"),) * 2)
    assert list(fitted) == ["1 output projection without a bias got none, so the weights were fitted without one."]
    assert list(corrected) == ["2 output projections without a bias got none, so nothing was corrected there."]
