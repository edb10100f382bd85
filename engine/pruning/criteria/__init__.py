"""Criteria, one a file: each gives every head and every neuron a score, high = keep; none knows which units will go.

The contract. The file's name is the criterion's name in a recipe, its docstring the help text that people read, and these
literals, read without importing the file, its entry in the menu:

    LABEL   what the menu calls it
    COST    what it takes: a look at the "weights", "one pass" over the calibration text, one "pass + backward", or "many passes";
            "one pass + search" where working out the scores takes longer than the pass, "free" where nothing is looked at
    NEEDS   what is gathered for it, out of `engine.pruning.statistics.NEEDS`; () where that is nothing
    UNITS   what it scores: "heads", "neurons" or both

and one function:

    score(model, anatomy, statistics, seed) -> engine.pruning.plan.Scores

What computes for many seconds says STEPS = True as well, and has `scoring` beside `score`: a generator of `Progressed` with the
same arguments and the same result. Between two of those a run can be stopped.

`model` and its `Anatomy` may be dense, gated or cut; `statistics` is what `calibrate` gathered, or None where NEEDS is empty;
`seed` matters only to what draws numbers. The scores are finite, one for each unit, the same for the same arguments. A head
that shares its keys has a score of its own, though it goes with its group. Scores of different layers, and of heads and
neurons, are not made comparable here. A criterion changes neither weights nor mode nor hooks nor the global random state, and
it runs as named or raises `BadInput`: there is no falling back from one to another. What is not in UNITS is an empty tuple in
the scores, and a plan that would take any of it is refused.
"""

from engine.record.catalogue import CRITERIA

__all__ = ["CRITERIA"]  # the registry of this folder; it lives in the record, where the page can read it too
