"""The claims of the two documents that this project began with, each held against the results; every verdict is computed.

One document is the description of a notebook that prunes attention heads of GPT-2, OPT and Pythia and fine-tunes them; the other
is a study that prunes the MLPs of GPT-2 in a front, a middle and a back block. Over models, each model is one replicate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.record.experiments import criteria, front_against_back, how_much, schedules, sensitivity
from engine.record.result import Result
from engine.record.spread import Estimate, as_ratio, estimate

NOTEBOOK, STUDY = "notebook", "study"
CONFIRMED, NOT, CONFOUNDED, UNTOLD, UNMEASURED = "confirmed", "not confirmed", "confounded", "cannot be told", "not measured"
Results = Mapping[str, Sequence[Result]]  # by experiment


@dataclass(frozen=True)
class Claim:
    """What a document says, in our words, what the results make of it, and the numbers behind that."""

    source: str
    said: str
    verdict: str
    why: str


def claims(results: Sequence[Result]) -> tuple[Claim, ...]:
    """Every claim, in the order of the documents; "not measured" where the results for it are not there."""
    by = {name: [each for each in results if each.experiment == name] for name in {each.experiment for each in results}}
    return tuple(Claim(source, said, *judge(by)) for source, said, judge in CLAIMS)


def _entropy(results: Results) -> tuple[str, str]:
    told = {each.model: criteria.against_chance(each.found, "heads") for each in results.get("criteria", ())}
    told = {model: found for model, found in told.items() if {"entropy", "magnitude"} <= found.keys()}
    over_chance = estimate(found["entropy"].mean for found in told.values())
    over_magnitude = estimate(found["entropy"].mean - found["magnitude"].mean for found in told.values())
    if over_chance is None:
        return UNMEASURED, ""
    why = f"entropy has {as_ratio(over_magnitude, '.3f')} magnitude's perplexity and {as_ratio(over_chance, '.3f')} random's"
    signs = {over_chance.sign, over_magnitude.sign}
    return CONFIRMED if signs == {-1} else NOT if 1 in signs else UNTOLD, why


def _better_than_chance(results: Results) -> tuple[str, str]:
    told = [criteria.against_chance(each.found, "heads") for each in results.get("criteria", ())]
    both = {name: estimate(found[name].mean for found in told if name in found) for name in ("magnitude", "entropy")}
    if None in both.values():
        return UNMEASURED, ""
    why = " and ".join(f"{name} has {as_ratio(found, '.3f')} random's perplexity" for name, found in both.items())
    signs = {found.sign for found in both.values()}
    return CONFIRMED if signs == {-1} else NOT if 1 in signs else UNTOLD, why


def _thirty(results: Results) -> tuple[str, str]:
    told = {each.model: how_much.is_special(each.found, "heads", "tuned") for each in results.get("how-much", ())}
    if not told:
        return UNMEASURED, ""
    special = [model for model, is_special in told.items() if is_special]
    plain = [model for model, is_special in told.items() if is_special is False]
    costs = _costs(results, "heads", "pruned")
    why = f"after recovery the loss bends most at 30 % on {len(special)} of {len(told)} models and does not on {len(plain)}"
    why += f"; 30 % of the heads cost {as_ratio(costs, '.3f')} the whole model's perplexity before recovery" if costs else ""
    return CONFIRMED if len(special) == len(told) else NOT if plain else UNTOLD, why


def _powerful(results: Results) -> tuple[str, str]:
    found = results.get("how-much", ())
    over_whole = _over_models(found, lambda each: how_much.over_untrained(each.found, "heads", how_much.ASKED))
    over_control = _costs(results, "heads", "tuned")
    if over_whole is None or over_control is None:
        return UNMEASURED, ""
    why = f"without 30 % of the heads, recovered, perplexity is {as_ratio(over_whole, '.3f')} the untrained whole model's"
    why += f" but {as_ratio(over_control, '.3f')} that of the control, trained just as much"
    if over_control.sign < 0:
        return CONFIRMED, why
    return CONFOUNDED if over_whole.sign < 0 else NOT if over_whole.sign > 0 else UNTOLD, why


def _blocks_differ(results: Results) -> tuple[str, str]:
    told = {each.model: sensitivity.leading(each.found, "neurons") for each in results.get("sensitivity", ())}
    told = {model: ends for model, ends in told.items() if ends is not None and ends[2] is not None}
    if not told:
        return UNMEASURED, ""
    sure = [ends for ends in told.values() if ends[2].sign > 0]
    why = "; ".join(f"{model}: {ends[0]} before {ends[1]}, {as_ratio(ends[2])}" for model, ends in told.items())
    return CONFIRMED if len(sure) == len(told) else UNTOLD, why


def _back(results: Results) -> tuple[str, str]:
    told, spared = _back_over_front(results), _back_over_front(results, front_against_back.SPARED)
    if not told:
        return UNMEASURED, ""
    over, without = (estimate(each.mean for each in found.values()) for found in (told, spared))
    lower = sum(each.sign < 0 for each in told.values())
    why = f"with more gone from the back perplexity is {as_ratio(over, '.3f')} the mirror image's"
    why += f"; it is lower on {lower} of {len(told)} models"
    why += f"; with the first layer left whole {as_ratio(without, '.3f')}" if without else ""
    if over.sign < 0 and without is not None:
        return CONFIRMED if without.sign < 0 else CONFOUNDED, why
    return NOT if over.sign > 0 else UNTOLD, why


def _linear(results: Results) -> tuple[str, str]:
    found = results.get("schedules", ())
    matched = _over_models(found, lambda each: schedules.exponential_over_linear(each.found))
    apart = _over_models(found, lambda each: schedules.steep_over_gentle(each.found))
    if matched is None or apart is None:
        return UNMEASURED, ""
    why = f"matched on level and steepness, exponential has {as_ratio(matched, '.3f')} linear's perplexity"
    why += f"; a steep exponential beside a gentle linear one, as in the study, {as_ratio(apart, '.3f')}"
    if matched.sign > 0:
        return CONFIRMED, why
    return CONFOUNDED if apart.sign > 0 else NOT if matched.sign < 0 else UNTOLD, why


def _everywhere(results: Results) -> tuple[str, str]:
    told = _back_over_front(results)
    if len(told) < 2:
        return UNMEASURED, ""
    signs = {each.sign for each in told.values()}
    words = {1: "the front", -1: "the back", 0: "cannot be told"}
    why = "the better place to prune: " + ", ".join(f"{words[each.sign]} on {name}" for name, each in told.items())
    return (UNTOLD if signs == {0} else CONFIRMED if len(signs) == 1 else NOT if {1, -1} <= signs else UNTOLD), why


def _gates(results: Results) -> tuple[str, str]:
    return UNMEASURED, "no experiment trains the same model cut and gated; both have the same logits before training"


def _back_over_front(results: Results, spared: str = "") -> dict[str, Estimate]:
    told: dict[str, Estimate] = {}
    for each in results.get("front-against-back", ()):
        for name in front_against_back.models(each.found):
            more = front_against_back.back_over_front(each.found, name, spared)
            told |= {} if more is None else {name: more}
    return told


def _over_models(results: Sequence[Result], value: Callable[[Result], Estimate | None]) -> Estimate | None:
    return estimate(found.mean for each in results if (found := value(each)) is not None)


def _costs(results: Results, kind: str, stage: str) -> Estimate | None:
    return _over_models(results.get("how-much", ()), lambda each: how_much.cost(each.found, kind, how_much.ASKED, stage))


CLAIMS: tuple[tuple[str, str, Callable[[Results], tuple[str, str]]], ...] = (
    (NOTEBOOK, "Pruned heads and a fine-tuning make a model smaller and better at once.", _powerful),
    (NOTEBOOK, "Of random, magnitude and entropy, entropy mostly chooses heads best.", _entropy),
    (NOTEBOOK, "Choosing heads by magnitude or entropy is better than by lot.", _better_than_chance),
    (NOTEBOOK, "About 30 % of the heads is the best level.", _thirty),
    (NOTEBOOK, "Closed gates recover more easily than heads that are removed.", _gates),
    (STUDY, "The front, the middle and the back block of a model matter differently.", _blocks_differ),
    (STUDY, "Under a limit on size, more of the MLPs should go from the back.", _back),
    (STUDY, "From front to back the share should grow linearly rather than exponentially.", _linear),
    (STUDY, "What holds for GPT-2 holds for other transformers.", _everywhere),
)
