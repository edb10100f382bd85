"""The claims of the two documents that this project began with, each held against the results; every verdict is computed.

One document is the description of a notebook that prunes attention heads of GPT-2, OPT and Pythia and fine-tunes them; the other
is a study that prunes the MLPs of GPT-2 in a front, a middle and a back block. A verdict is one model's: a small model and one of
another size have no common spread, and what counts on one need not count on the next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.record.catalogue import builtin_models
from engine.record.experiments import after_recovery, criteria, front_against_back, how_much, schedules, sensitivity
from engine.record.result import Result
from engine.record.spread import Estimate, as_percent, as_ratio, estimate

NOTEBOOK, STUDY = "notebook", "study"
FIRST = "gpt2-tiny"  # the GPT-2 whose conclusions are held against the other models'
ENDS, SHAPES = {1: "the front", -1: "the back", 0: ""}, {1: "linear", -1: "exponential", 0: ""}  # by the sign of a difference
CONFIRMED, NOT, CONFOUNDED, UNTOLD, UNMEASURED = "confirmed", "not confirmed", "confounded", "cannot be told", "not measured"
Results = Mapping[str, Sequence[Result]]  # by experiment
Judged = tuple[Mapping[str, str], str]  # the verdict on each model, and the numbers behind them


@dataclass(frozen=True)
class Claim:
    """What a document says, in our words, what the results of each model make of it, and the numbers behind that."""

    source: str
    said: str
    verdicts: Mapping[str, str]  # by model; empty where nothing was measured
    why: str

    @property
    def models(self) -> Mapping[str, tuple[str, ...]]:
        """Which models have each verdict, the verdict of most models first; "not measured" without any."""
        found: dict[str, tuple[str, ...]] = {} if self.verdicts else {UNMEASURED: ()}
        for model, verdict in self.verdicts.items():
            found[verdict] = (*found.get(verdict, ()), model)
        return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def claims(results: Sequence[Result]) -> tuple[Claim, ...]:
    """Every claim, in the order of the documents; without verdicts where the results for it are not there."""
    by = {name: [each for each in results if each.experiment == name] for name in {each.experiment for each in results}}
    return tuple(Claim(source, said, *judge(by)) for source, said, judge in CLAIMS)


def _entropy(results: Results) -> Judged:
    found = _against_chance(results, "entropy", "magnitude")
    if not found:
        return {}, ""
    over_chance = {model: told["entropy"] for model, told in found.items()}
    over_magnitude = estimate(told["entropy"].mean - told["magnitude"].mean for told in found.values())
    why = f"entropy has {_each(over_chance)} random's perplexity"
    why += f", and over the models {as_ratio(over_magnitude, '.3f')} magnitude's"
    return {model: _all_below(more, over_magnitude) for model, more in over_chance.items()}, why


def _better_than_chance(results: Results) -> Judged:
    found = _against_chance(results, "magnitude", "entropy")
    each = (f"{name} has {_each({model: told[name] for model, told in found.items()})}" for name in ("magnitude", "entropy"))
    why = f"{', and '.join(each)} random's perplexity" if found else ""
    return {model: _all_below(told["magnitude"], told["entropy"]) for model, told in found.items()}, why


def _thirty(results: Results) -> Judged:
    found = results.get("how-much", ())
    special = {each.model: how_much.is_special(each.found, "heads", "tuned") for each in found}
    where = {
        each.model: max(bends, key=lambda level, bends=bends: bends[level].mean)
        for each in found
        if (bends := how_much.kinks(each.found, "heads", "tuned"))
    }
    most = ", ".join(f"{as_percent(level)} on {model}" for model, level in where.items())
    costs = _costs(results, "pruned")
    why = f"after recovery the loss bends most at {most}" if most else ""
    why += f"; 30 % of the heads cost {_each(costs)} the whole model's perplexity before recovery" if why and costs else ""
    return ({model: {True: CONFIRMED, False: NOT, None: UNTOLD}[told] for model, told in special.items()} if why else {}), why


def _powerful(results: Results) -> Judged:
    found = results.get("how-much", ())
    over_control = _costs(results, "tuned")
    over_whole = {
        each.model: more
        for each in found
        if each.model in over_control
        and (more := how_much.over_untrained(each.found, "heads", how_much.ASKED, _chooser(each))) is not None
    }
    if not over_whole:
        return {}, ""
    why = f"without 30 % of the heads, chosen by {_chooser(found[0])} and recovered, perplexity is"
    why += f" {_each(over_whole)} the untrained whole model's, and {_each(over_control)} the control's,"
    why += " which was trained just as much"
    verdicts = {}
    for model, more in over_whole.items():
        otherwise = CONFOUNDED if more.sign < 0 else NOT if over_control[model].sign > 0 else UNTOLD
        verdicts[model] = CONFIRMED if over_control[model].sign < 0 else otherwise
    return verdicts, why


def _blocks_differ(results: Results) -> Judged:
    told = _leading(results)
    why = "; ".join(f"{model}: {ends[0]} before {ends[1]}, {as_ratio(ends[2])}" for model, (ends, _) in told.items())
    return {model: CONFIRMED if is_sure else UNTOLD for model, (_, is_sure) in told.items()}, why


def _back(results: Results) -> Judged:
    told, spared = _back_over_front(results), _back_over_front(results, front_against_back.SPARED)
    alike = _back_over_front(results, level=front_against_back.LEVELS[0])
    if not told:
        return {}, ""
    why = f"with more gone from the back perplexity is {_each(told)} the mirror image's"
    why += f"; at a level of {as_percent(front_against_back.LEVELS[0])} {_each(alike)}" if alike else ""
    why += f", and with the first layer left whole {_each(spared)}" if spared else ""
    verdicts = {}
    for model, more in told.items():
        better = CONFIRMED if model in spared and spared[model].sign < 0 else CONFOUNDED if model in spared else UNTOLD
        verdicts[model] = {-1: better, 0: UNTOLD, 1: NOT}[more.sign]
    return verdicts, why


def _linear(results: Results) -> Judged:
    matched, apart, shrinking = {}, {}, {}
    for each in results.get("schedules", ()):
        growing = schedules.exponential_over_linear(each.found)
        steep, falling = schedules.steep_over_gentle(each.found), schedules.exponential_over_linear(each.found, growing=False)
        if growing is not None and steep is not None:
            matched |= {each.model: growing}
            apart |= {each.model: steep}
            shrinking |= {} if falling is None else {each.model: falling}
    if not matched:
        return {}, ""
    why = f"growing, and matched on level ({as_percent(schedules.AT)}) and steepness,"
    why += f" exponential has {_each(matched)} linear's perplexity"
    why += f"; shrinking {_each(shrinking)}" if shrinking else ""
    why += f"; a steep exponential beside a gentle linear one, as in the study, {_each(apart)}"
    unmatched = {model: CONFOUNDED if more.sign > 0 else UNTOLD for model, more in apart.items()}
    return {model: {1: CONFIRMED, 0: unmatched[model], -1: NOT}[more.sign] for model, more in matched.items()}, why


def _everywhere(results: Results) -> Judged:
    drawn = {
        "the block that is missed most": {name: ends[0] if sure else "" for name, (ends, sure) in _leading(results).items()},
        "where more should go": {name: ENDS[each.sign] for name, each in _back_over_front(results).items()},
        "where more should go, the first layer left whole": {
            name: ENDS[each.sign] for name, each in _back_over_front(results, front_against_back.SPARED).items()
        },
        "the better of the shapes that grow": {
            each.model: SHAPES[more.sign]
            for each in results.get("schedules", ())
            if (more := schedules.exponential_over_linear(each.found)) is not None
        },
    }
    others = dict.fromkeys(name for told in drawn.values() for name in told if name != FIRST)
    known = {what: told for what, told in drawn.items() if told.get(FIRST)}
    if not known or not others:
        return {}, ""
    outcomes = {what: ", ".join(f"{said or UNTOLD} on {name}" for name, said in told.items()) for what, told in known.items()}
    why = "; ".join(f"{what}: {said}" for what, said in outcomes.items())
    left = [what for what in drawn if what not in known and drawn[what]]
    why += f"; of {FIRST} itself it cannot be told: {', '.join(left)}" if left else ""
    same_text = {model.name for model in builtin_models()} & others.keys()
    why += f"; {', '.join(sorted(same_text))}: trained on {FIRST}'s own text" if same_text else ""
    verdicts = {}
    for name in others:
        said = [(told.get(name, ""), told[FIRST]) for told in known.values()]
        alike = all(its == first for its, first in said) and name not in same_text
        verdicts[name] = NOT if any(its not in ("", first) for its, first in said) else CONFIRMED if alike else UNTOLD
    return verdicts, why


def _gates(results: Results) -> Judged:
    each = ((one.model, after_recovery.cut_over_closed(one.found)) for one in results.get("after-recovery", ()))
    told = {model: more for model, more in each if more is not None}
    if not told:
        return {}, ""
    why = f"heads that are cut before the training end at {_each(told)} the perplexity of closed ones;"
    why += " before it both have the same logits"
    verdicts = {}
    for model, more in told.items():
        alike = more.low is not None and max(-more.low, more.high) < after_recovery.ALIKE
        verdicts[model] = CONFIRMED if more.sign > 0 and not alike else NOT if more.sign < 0 or alike else UNTOLD
    return verdicts, why


def _all_below(*found: Estimate) -> str:
    """What becomes of a claim that all of these are below zero."""
    signs = {each.sign for each in found}
    return CONFIRMED if signs == {-1} else NOT if 1 in signs else UNTOLD


def _against_chance(results: Results, *criteria_told: str) -> dict[str, dict[str, Estimate]]:
    """By model how much higher the loss is by each criterion than by random, heads alone; models that lack one are left out."""
    found = {each.model: criteria.against_chance(each.found, "heads") for each in results.get("criteria", ())}
    return {model: told for model, told in found.items() if told.keys() >= set(criteria_told)}


def _leading(results: Results) -> dict[str, tuple[tuple, bool]]:
    """The block that is missed most on each model, with the next one, and whether that counts."""
    told = {each.model: sensitivity.leading(each.found, "neurons") for each in results.get("sensitivity", ())}
    return {name: (ends, ends[2].sign > 0) for name, ends in told.items() if ends is not None and ends[2] is not None}


def _back_over_front(results: Results, spared: str = "", level: float | None = None) -> dict[str, Estimate]:
    told: dict[str, Estimate] = {}
    for each in results.get("front-against-back", ()):
        for name in front_against_back.models(each.found):
            more = front_against_back.back_over_front(each.found, name, spared, level)
            told |= {} if more is None else {name: more}
    return told


def _costs(results: Results, stage: str) -> dict[str, Estimate]:
    """By model what the asked level of heads costs, as `how_much.cost` has it."""
    found = results.get("how-much", ())
    told = {each.model: how_much.cost(each.found, "heads", how_much.ASKED, stage, _chooser(each)) for each in found}
    return {model: more for model, more in told.items() if more is not None}


def _chooser(result: Result) -> str:
    return how_much.chooser(result.found, "heads")


def _each(told: Mapping[str, Estimate]) -> str:
    """One number for each model, with its interval."""
    return ", ".join(f"{as_ratio(more, '.3f')} on {name}" for name, more in told.items())


CLAIMS: tuple[tuple[str, str, Callable[[Results], Judged]], ...] = (
    (NOTEBOOK, "Pruned heads and a fine-tuning make a model smaller and better at once.", _powerful),
    (NOTEBOOK, "Of random, magnitude and entropy, entropy mostly chooses heads best.", _entropy),
    (NOTEBOOK, "Choosing heads by magnitude or entropy is better than by lot.", _better_than_chance),
    (NOTEBOOK, "About 30 % of the heads is the best level.", _thirty),
    (NOTEBOOK, "Closed gates recover more easily than heads that are removed.", _gates),
    (STUDY, "The front, the middle and the back block of a model matter differently.", _blocks_differ),
    (STUDY, "Under a limit on size, more of the MLPs should go from the back.", _back),
    (STUDY, "From front to back the share should grow linearly rather than exponentially.", _linear),
    (STUDY, "What holds for GPT-2 holds for other transformers, trained on other data.", _everywhere),
)
