"""What came of a compensation beside what was asked: too little text, a pseudo-inverse, added or missing biases; fits nothing."""

from collections.abc import Iterator

from engine.pruning.compensate import TOKENS_PER_CHANNEL, Compensation
from engine.record.errors import counted
from engine.record.lifecycle import Degraded


def doubts(records: tuple[Compensation, ...]) -> Iterator[Degraded]:
    """What makes a compensation less than what was asked for: too little text, or a system without one solution."""
    wanted = max((one.wanted for one in records), default=0)
    if records and records[0].tokens < wanted:
        few = f"fewer than {TOKENS_PER_CHANNEL} tokens for each channel fit the calibration text rather than the language"
        did = f"a fit on {records[0].tokens:,} tokens"
        yield Degraded(f"one on {wanted:,} or more", did, f"{few}; calibrate on more text or raise the ridge")
    if loose := sum(not one.exact for one in records):
        where = f"{counted(loose, 'projection')} the kept channels depend on one another"
        yield Degraded("Cholesky's factorisation", "a pseudo-inverse", f"in {where}, and a ridge above 0 would tell them apart")


def given_biases(records: tuple[Compensation, ...]) -> Iterator[str]:
    """How many projections had no bias and have one now, in a sentence if there are any."""
    if added := sum(one.bias == "added" for one in records):
        yield f"{counted(added, 'output projection')} without a bias got one."


def without_biases(records: tuple[Compensation, ...]) -> Iterator[str]:
    """How many projections were fitted without a bias, and what came of it, in a sentence if there are any."""
    if bare := [one for one in records if one.bias == "none"]:
        did = "nothing was corrected there" if bare[0].method == "bias" else "the weights were fitted without one"
        yield f"{counted(len(bare), 'output projection')} without a bias got none, so {did}."
