"""What the comparisons of criteria say together: a sentence, a chart and tables over models; compares no scores itself.

Each model is one replicate. A correlation with `random` is averaged over its draws first; what else is said leaves `random` out,
with which nothing agrees but by chance.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from engine.record.agreement import RankCorrelation
from engine.record.agreement_file import KINDS, Agreed
from engine.record.catalogue import CRITERIA
from engine.record.experiments.criteria import ORACLE
from engine.record.figure import Figure, Series, Table
from engine.record.scale import CHANCE
from engine.record.spread import NEAR, as_number, estimate, estimate_correlation, fishers_z, nearest

QUESTION = "How alike do the criteria rank the units?"
JUDGED = (
    "By Spearman's correlation of the scores inside each layer, and its mean over the layers: 1 where two criteria, by"
    " schedule, prune the same, 0 where they have nothing in common ([methods](methods.md#criteria)). Each model is one"
    " replicate. Two criteria are the most alike, or the least, where the next two are beyond the spread over models. Which one"
    " chooses better is not asked: two that agree may both be wrong."
)
Pair = tuple[str, str]
Found = Mapping[Pair, Mapping[str, float]]  # two criteria, in alphabetical order → model → how alike they are


def answer(results: Sequence[Agreed]) -> str:
    """For heads and for neurons: which criteria are most and least alike, who is most like the oracle, and what chance does."""
    return " ".join(_of_kind(by_pair(results, kind), kind, _nearest(results, kind)) for kind in KINDS)


def by_pair(results: Sequence[Agreed], kind: str) -> Found:
    """How alike each two criteria rank one kind of unit on each model, where that is known; over draws of chance the mean."""
    told: dict[Pair, dict[str, list[float]]] = {}
    for each in results:
        for one in (one for found in each.found.values() for one in found):
            if one.kind == kind and one.correlation is not None:
                told.setdefault(_pair(one), {}).setdefault(each.model, []).append(one.correlation)
    return {pair: {model: fmean(values) for model, values in of.items()} for pair, of in sorted(told.items())}


def figures(results: Sequence[Agreed]) -> dict[str, dict[str, Figure]]:
    """A heat map for each kind of unit by its name, a panel for each model; nothing where nothing was compared."""
    drawn: dict[str, dict[str, Figure]] = {}
    for each, kind in ((each, kind) for kind in KINDS for each in results):
        found = {pair: of[each.model] for pair, of in by_pair([each], kind).items()}
        names = [name for name in each.criteria if any(name in pair for pair in found)]
        rows = tuple(Series(name, tuple(names), tuple(_cell(found, name, other) for other in names)) for name in names)
        if rows:
            title, name = f"How alike criteria rank the {kind}", f"criteria-agreement-{kind}"
            how = {"value_label": "rank correlation", "ends": (-1.0, 1.0)}
            drawn.setdefault(name, {})[each.model] = Figure(name, "heat", title, "", "", rows, **how)
    return drawn


def table(agreed: Agreed) -> Table:
    """One model's correlations, a row and a column for each criterion: heads above the diagonal, neurons below it."""
    heads, neurons = ({pair: of[agreed.model] for pair, of in by_pair([agreed], kind).items()} for kind in KINDS)
    rows = []
    for at, name in enumerate(agreed.criteria):
        cells = [(heads if at < to else neurons).get(tuple(sorted((name, other)))) for to, other in enumerate(agreed.criteria)]
        rows.append((name, *map(_told, cells)))
    return Table(("", *agreed.criteria), tuple(rows))


def over_models(results: Sequence[Agreed]) -> Table:
    """A row for each two criteria and kind of unit, the most alike first, with the interval over models."""
    rows = []
    for kind in KINDS:
        most = _nearest(results, kind)
        told = {pair: estimate_correlation(of.values(), most) for pair, of in by_pair(results, kind).items()}
        for pair, found in sorted(told.items(), key=lambda each: -each[1].mean):
            rows.append((kind, " and ".join(pair), *map(_told, (found.mean, found.low, found.high)), found.count))
    return Table(("units", "criteria", "correlation", "from", "to", "models"), tuple(rows))


def without_oracle(results: Sequence[Agreed]) -> dict[str, list[str]]:
    """By each criterion of many passes the models on which it was not compared."""
    absent = {name: [each.model for each in results if name not in each.criteria] for name in _oracles()}
    return {name: models for name, models in absent.items() if models}


def _of_kind(found: Found, kind: str, most: float) -> str:
    chance = {pair: of for pair, of in found.items() if CHANCE in pair}
    told = {pair: of for pair, of in found.items() if pair not in chance}
    if len(told) < 2:
        return f"Of {kind} it cannot be told yet."
    pairs = {" and ".join(pair): of for pair, of in told.items()}
    (alike, how), (unlike, little) = (_end(pairs, sign, most) for sign in (1, -1))
    said = [f"On {kind} {alike} are the most alike, {how}; {unlike} the least, {little}."]
    for oracle in _oracles():
        others = {" and ".join(name for name in pair if name != oracle): of for pair, of in told.items() if oracle in pair}
        if len(others) > 1:
            said.append("The oracle, {}, is most like {}, {}.".format(oracle, *_end(others, 1, most)))
    if chance:
        widest = max(abs(value) for of in chance.values() for value in of.values())
        said.append(f"With {CHANCE} no correlation goes beyond {widest:.2f}.")
    return " ".join(said)


def _end(told: Mapping[str, Mapping[str, float]], sign: int, most: float) -> tuple[str, str]:
    """Of what has a correlation on each model, the name of that which is most (`sign` 1) or least (-1) alike, and how alike it
    is, with whether that can be told from the next. A 1 counts as `most`."""
    means = {name: estimate_correlation(of.values(), most) for name, of in told.items()}
    first, second = sorted(means, key=lambda name: -sign * means[name].mean)[:2]
    pairs = [(of_model, told[second][model]) for model, of_model in told[first].items() if model in told[second]]
    apart = estimate(fishers_z(one, most) - fishers_z(other, most) for one, other in pairs)
    beside = "beyond" if apart is not None and apart.sign == sign else "which cannot be told from"
    return first, f"at {as_number(means[first])}, {beside} {second} ({means[second].mean:.2f})"


def _nearest(results: Sequence[Agreed], kind: str) -> float:
    """What a correlation of 1 counts as where the fewest units were ranked."""
    layers = [max((one.layers for one in each.pairs if one.kind == kind), default=0) for each in results]
    told = [nearest(each.units[kind], of) for each, of in zip(results, layers, strict=True) if of]
    return min(told, default=NEAR)


def _oracles() -> list[str]:
    return [name for name in CRITERIA.names() if CRITERIA.entry(name).facts["COST"] == ORACLE]


def _told(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}".replace("-0.00", "0.00")


def _pair(one: RankCorrelation) -> Pair:
    return min(one.one, one.other), max(one.one, one.other)


def _cell(found: Mapping[Pair, float], name: str, other: str) -> float:
    return 1.0 if name == other else found.get((min(name, other), max(name, other)), math.nan)
