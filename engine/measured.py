"""What was measured of the model on the desk and what it wrote, stage by stage, all of it in one way; asks for neither by itself.

Perplexities stand beside one another only where they were measured on the same text, as many tokens of it and in sequences of the
same length. Who measures in another way measures what it is to stand beside again; what cannot be measured any more is dropped,
and an event says so.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress

from torch import nn

from engine.desk import Desk
from engine.planning import kept_promise
from engine.record.commands import Tune
from engine.record.errors import blaming
from engine.record.events import Evaluated, Event, TextSampled
from engine.record.lifecycle import Degraded
from engine.record.recipe import Measuring
from engine.record.standing import Standing, beside
from engine.recovery.checksums import Damaged
from engine.text.sample import sample

Events = Generator[Event, None, None]


class Measured:
    """The perplexities of one desk's model by stage, as `found`, and what a suggestion that was followed has promised.
    `writes`: whether a model that was trained does."""

    def __init__(self, desk: Desk, writes: bool = True):
        self._desk, self._writes = desk, writes
        self.found: dict[str, Evaluated] = {}
        self.promised: float | None = None  # how much the loss should rise, by the suggestion that was followed

    def recall(self, standing: Standing) -> None:
        """Know what an earlier process has measured of the model that stands."""
        self.found = dict(standing.perplexity)
        follows = standing.gates is not None and standing.gates.reason.startswith("prune") and not standing.curves
        self.promised = standing.plan.promised if follows and standing.plan is not None else None

    def keep(self, *stages: str) -> None:
        """The model has changed: what was measured at other stages than these is another model's."""
        self.found = {stage: found for stage, found in self.found.items() if stage in stages}
        self.promised = None

    def evaluate(self, model: nn.Module, stage: str, measuring: Measuring) -> Events:
        """Measure the perplexity of a model, as that of a stage; before it what it is to stand beside, where need be."""
        yield from self.renew(measuring, stage)
        yield from self._evaluate(model, stage, measuring)
        if stage == "pruned":
            yield from kept_promise(self.promised, self.found.get("baseline"), self.found[stage])

    def trained(self, model: nn.Module, stage: str, command: Tune) -> Events:
        """Measure a model that a recovery has trained, and have it write, as that asks for it."""
        yield from self.evaluate(model, stage, command.evaluation)
        if self._writes:
            yield self.sample(model, stage, command.prompt, command.seed)

    def sample(self, model: nn.Module, stage: str, prompt: str, seed: int, new: int = 40) -> TextSampled:
        """Continue a prompt by `new` tokens with a model, as the text of a stage."""
        tokenizer = self._desk.loaded.tokenizer
        with blaming("prompt"):
            text = sample(model, tokenizer, prompt, tokens=new, seed=seed)
        pieces, surprises = tuple(token.text for token in text), tuple(token.surprise for token in text)
        read = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])  # the rest may end before `new`
        return TextSampled(stage, prompt, seed, pieces, surprises, read)

    def renew(self, measuring: Measuring, stage: str = "") -> Events:
        """Measure again in this way what was measured in another and still can be, but for a `stage` that is about to be."""
        wanted = self._desk.protocol(measuring)
        old = {name: one for name, one in self.found.items() if name != stage and one.protocol[:3] != wanted}
        if not old:
            return
        models = self._models(old)
        for name, standing_in in models.items():
            with standing_in as model:
                yield from self._evaluate(model, name, measuring)
        gone = [name for name in old if name not in models]
        if gone:
            before = old[gone[0]]
            self.found = {name: one for name, one in self.found.items() if name not in gone}
            why = f"measured on {before.tokens:,} tokens in sequences of {before.sequence_length}, and what was measured is gone"
            yield Degraded(f"the perplexity {' and '.join(gone)}", "none", f"it was {why}")

    def _models(self, old: Mapping[str, Evaluated]) -> dict[str, AbstractContextManager[nn.Module]]:
        """The models that are still to be had of some stages: the one that was loaded, the one that stands, and its control."""
        desk, models = self._desk, {}
        if "baseline" in old:
            models["baseline"] = desk.unpruned()
        stands = "tuned" if "tuned" in self.found else "pruned"
        if stands in old:
            models[stands] = nullcontext(desk.model)
        if "control" in old and desk.stand.control_at is not None:
            with suppress(Damaged):  # then it is one that cannot be measured any more
                models["control"] = nullcontext(desk.control())
        return models

    def _evaluate(self, model: nn.Module, stage: str, measuring: Measuring) -> Events:
        found = yield from self._desk.evaluate(model, measuring)
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        protocol = (self._desk.texts.splits.name, measuring.sequence_length, dtype)
        fact = Evaluated(stage, found.perplexity, found.nll, found.tokens, *protocol)
        self.found = beside(self.found, fact)
        yield fact
