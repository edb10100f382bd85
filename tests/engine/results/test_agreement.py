"""Tests of engine/results/agreement.py: what several comparisons say together, where it is known beforehand."""

import math
from statistics import fmean, stdev

import pytest

from engine.record.agreement import RankCorrelation
from engine.record.agreement_file import Agreed
from engine.results.agreement import answer, by_pair, figures, over_models, table, without_oracle

MODELS = ("gpt2-tiny", "opt-tiny", "pythia-tiny", "smollm2-135m")
UNITS = {"heads": 6, "neurons": 60}  # in the largest layer
NAMES = ("ablation", "magnitude", "random", "taylor")
HEADS = {  # two criteria → how alike on each of the models
    ("ablation", "magnitude"): (0.2, 0.3, 0.25, None),
    ("ablation", "taylor"): (0.8, 0.82, 0.78, None),
    ("magnitude", "taylor"): (-0.5, -0.4, -0.45, -0.42),
    ("random", "taylor"): (0.3, -0.3, 0.1, 0.0),
}


def made(numbers: dict, models=MODELS, kind: str = "heads", seeds=(0,)) -> list[Agreed]:
    """A comparison for each model, in which seeds after the first have what is drawn alone."""
    results = []
    for place, model in enumerate(models):
        told = [RankCorrelation(*pair, kind, of[place], 6) for pair, of in numbers.items() if of[place] is not None]
        found = {seed: tuple(one for one in told if seed == seeds[0] or "random" in (one.one, one.other)) for seed in seeds}
        names = tuple(name for name in NAMES if any(name in (one.one, one.other) for one in told))
        results.append(Agreed(model, "medium", "2026-11-22", {}, "", "text", 512, 32, 1.0, UNITS, names, found))
    return results


def test_the_most_and_the_least_alike_count_where_the_next_are_beyond_the_spread():
    """Over models; the oracle has its own sentence, and random is not the least, though it is nobody's like."""
    said = answer(made(HEADS))
    assert "On heads ablation and taylor are the most alike, at 0.80 (0.75 to 0.85, 3 replicates), beyond ablation and" in said
    assert (
        "magnitude and taylor the least, at -0.44 (-0.51 to -0.37, 4 replicates), beyond ablation and magnitude (0.25)." in said
    )
    assert "The oracle, ablation, is most like taylor, at 0.80 (0.75 to 0.85, 3 replicates), beyond magnitude (0.25)." in said
    assert "With random no correlation goes beyond 0.30." in said and said.endswith("Of neurons it cannot be told yet.")


def test_where_models_disagree_it_cannot_be_told():
    """What is the most alike on one model is the least on another."""
    swapped = HEADS | {("ablation", "magnitude"): (0.7, 0.9, 0.6, None), ("magnitude", "taylor"): (0.9, 0.6, 0.8, 0.1)}
    said = answer(made(swapped))
    assert said.count("which cannot be told from") == 3 and "beyond ablation" not in said and "beyond magnitude" not in said


def test_who_leads_by_a_model_that_the_next_lacks_cannot_be_told_from_it():
    """On the models that both were measured on it is the other way round."""
    told = {("ablation", "taylor"): (0.70, 0.71, 0.72, None), ("magnitude", "taylor"): (0.5, 0.5, 0.5, 0.99)}
    said = answer(made(told))
    assert "magnitude and taylor are the most alike" in said and "which cannot be told from ablation and taylor (0.71)" in said


def test_one_model_alone_tells_nothing_apart():
    """Its numbers are said, without an interval; and of fewer than two pairs nothing is said."""
    said = answer(made(HEADS, MODELS[:1]))
    assert "at 0.80 (1 replicate), which cannot be told from ablation and magnitude (0.20)" in said
    assert (
        answer(made({("magnitude", "taylor"): (0.5,) * 4})) == "Of heads it cannot be told yet. Of neurons it cannot be told yet."
    )
    assert answer([]) == answer(made({("random", "taylor"): (0.5,) * 4}))


def test_criteria_that_rank_the_same_are_told_as_1():
    """On every model, or on all but one; nothing lies beyond 1, and what is alike by as much cannot be told from it."""
    both = {("ablation", "taylor"): (1.0, 1.0, 1.0, 1.0), ("magnitude", "taylor"): (1.0, 1.0, 0.97, 1.0)}
    said = answer(made(both))
    assert "at 1.00 (1.00 to 1.00, 4 replicates), which cannot be told from magnitude and taylor (0.99)" in said
    assert "the least, at 0.99 (0.97 to 1.00, 4 replicates)" in said


def test_draws_of_chance_are_averaged_before_models_are_compared():
    """A plain mean over the seeds; what has no chance in it stands once."""
    results = made(HEADS, seeds=(0, 1))
    drawn = {0: results[0].found[0], 1: (RankCorrelation("random", "taylor", "heads", -0.1, 6),)}
    (one,) = [Agreed(**{**vars(results[0]), "found": drawn})]
    assert by_pair([one], "heads")["random", "taylor"] == {"gpt2-tiny": pytest.approx(0.1)}
    assert by_pair([one], "heads")["ablation", "taylor"] == {"gpt2-tiny": 0.8}


def test_the_interval_over_models_is_that_of_fishers_z():
    """By hand: the mean and Student's point of the area tangents, and back."""
    rows = {row[1]: row for row in over_models(made(HEADS)).rows}
    z = [math.atanh(value) for value in HEADS["magnitude", "taylor"]]
    half = 3.182 * stdev(z) / 2
    wanted = [f"{math.tanh(value):.2f}" for value in (fmean(z), fmean(z) - half, fmean(z) + half)]
    assert rows["magnitude and taylor"] == ("heads", "magnitude and taylor", *wanted, 4)
    assert [row[1] for row in over_models(made(HEADS)).rows] == [
        "ablation and taylor", "ablation and magnitude", "random and taylor", "magnitude and taylor"]  # fmt: skip


def test_heads_stand_above_the_diagonal_and_neurons_below():
    """In the table of one model; what was not compared is a dash."""
    (heads,), (neurons,) = made(HEADS, MODELS[:1]), made({("magnitude", "taylor"): (0.9,)}, MODELS[:1], "neurons")
    both = Agreed(**{**vars(heads), "found": {0: heads.found[0] + neurons.found[0]}})
    told = table(both)
    assert told.head == ("", *NAMES)
    assert told.rows[1] == ("magnitude", None, None, None, "-0.50") and told.rows[3] == ("taylor", None, "0.90", None, None)
    drawn = figures([both])
    assert list(drawn) == ["criteria-agreement-heads", "criteria-agreement-neurons"]
    rows = drawn["criteria-agreement-neurons"]["gpt2-tiny"].series
    assert [(row.name, row.x, row.y) for row in rows] == [
        ("magnitude", ("magnitude", "taylor"), (1.0, 0.9)), ("taylor", ("magnitude", "taylor"), (0.9, 1.0))]  # fmt: skip


def test_what_was_compared_without_the_oracle_is_known():
    """By model."""
    assert without_oracle(made(HEADS)) == {"ablation": ["smollm2-135m"]}
