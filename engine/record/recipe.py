"""Every choice of an experiment as one frozen, validated description; knows no engine that could carry it out.

A recipe is read with `Recipe.model_validate_json(text)`, written with `recipe.model_dump_json()`, and expands into commands
with `commands_of(recipe)`. Every field has a default. What a field may hold is said once, here: the command line, the page
and the engine refuse the same values with the same sentence, which `engine.record.fields.explain` makes of pydantic's errors.
"""

import unicodedata
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from engine.record.catalogue import CRITERIA, METHODS, check_corpus, check_model, unscored
from engine.record.errors import BadInput, naming, shorten
from engine.record.knobs import knob
from engine.record.schedules import shares

PROMPT_LIMIT = 2000

Shape = Literal["uniform", "linear", "exponential", "custom"]
Allocation = Literal["schedule", "global", "suggest"]
By = Literal["layer", "block"]
Damage = Literal["predicted", "measured"]
Compensation = Literal["none", "bias", "least-squares", "sequential"]
Method = Literal[METHODS.names()]  # the files of the folder: a new one is a new choice of the form
Decay = Literal["cosine", "linear", "constant"]
Targets = Literal["all", "attention", "mlp"]
Student = Literal["full", "lora"]
Ramp = Literal["linear", "cubic"]
Recover = Literal["end", "rounds"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any, about: ValidationInfo) -> Any:
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:  # JSON has one kind of number: 1e3 is whole
            return int(value) if cls.model_fields[about.field_name].annotation is int else value
        return value


def _impossible(field: str, value: object, why: str) -> PydanticCustomError:
    """What a validator raises where `field` has a value that other fields forbid; `explain` makes the sentence of it."""
    if isinstance(value, str):  # pydantic raises over half a surrogate pair, even where its message does not show it
        value = value.encode("utf-8", "backslashreplace").decode()
    return PydanticCustomError("impossible", "{why}", {"field": field, "value": value, "why": why})


class Protection(_Frozen):
    """The layers at the ends of the model of which nothing goes."""

    first: int = knob(0, 0, 10_000, reason="So many layers at the front lose nothing.")
    last: int = knob(0, 0, 10_000, reason="So many layers at the back lose nothing.")


class Suggestion(_Frozen):
    """How the allocation "suggest" looks for shares."""

    by: By = knob("layer", reason="A share for each layer, or one for all layers of a block.")
    damage: Damage = knob(
        "predicted",
        reason="predicted: from statistics and gradients. measured: from the loss on a little text, which takes longer and, "
        "layer by layer, drowns small differences in noise.",
    )


class Schedule(_Frozen):
    """How many units of one kind go, and from which layers; `engine.record.schedules` turns it into shares."""

    level: float = knob(0.3, 0, 1, reason="The mean share of units to remove, over all layers.")
    shape: Shape = knob("uniform", reason="How the share grows from the front layers to the back ones.")
    steepness: float = knob(2.0, 0.05, 20, reason="The back block's share over the front's; below 1 the front loses more.")
    blocks: tuple[float, ...] | None = knob(None, reason="Custom shares of the front, middle and back block.")
    layers: tuple[float, ...] | None = knob(None, reason="Custom shares, one for each layer.")
    cap: float = knob(1.0, 0.05, 1, reason="No layer loses more than this share; what is over goes to the other layers.")
    floor: int = knob(0, 0, 1_000_000, reason="The least number of units that every layer keeps.")

    @field_validator("blocks", "layers", mode="before")
    @classmethod
    def _lists_of_shares(cls, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not value:
            raise _impossible("", value, "must be a list of shares from 0 to 1")
        for share in value:
            if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:  # NaN is not either
                raise _impossible("", value, f"holds {shorten(share, 20)}, which is no share from 0 to 1")
        return tuple(map(float, value))

    @model_validator(mode="after")
    def _custom_brings_its_shares(self) -> "Schedule":
        given = [name for name in ("blocks", "layers") if getattr(self, name) is not None]
        if self.shape != "custom":
            if given:
                shares = getattr(self, given[0])
                raise _impossible(given[0], list(shares), f'goes with shape "custom" only, not with "{self.shape}"')
            if self.level > self.cap:
                raise _impossible("level", self.level, f"cannot be reached under a cap of {self.cap}")
            return self
        if len(given) != 1:
            found = "both are" if given else "neither is"
            choice = "blocks (front, middle, back) or layers (one share for each layer)"
            raise _impossible("shape", self.shape, f"takes either {choice}, and {found} given")
        custom = getattr(self, given[0])
        if self.blocks is not None and len(self.blocks) != 3:
            raise _impossible("blocks", list(custom), f"has {len(custom)} shares; it takes three: front, middle and back")
        if max(custom) > self.cap:
            raise _impossible(given[0], list(custom), f"goes over the cap of {self.cap}")
        return self

    @property
    def takes_any(self) -> bool:
        """Whether any unit is to go at all."""
        return any(self.layers or self.blocks or (self.level,))

    def shares(self, layers: int, protect: Protection | None = None) -> tuple[float, ...]:
        """The share that goes from each of `layers` layers; raises `BadInput` for custom shares of another number, and where
        so many layers are protected that the others cannot make up the level."""
        protected = (protect.first, protect.last) if protect else (0, 0)
        return shares(layers, self.level, self.shape, self.steepness, self.blocks, self.layers, self.cap, protected)


NEURONS = Schedule(shape="linear")  # what a recipe that says nothing takes of the neurons


def shares_of_kind(kind: str, schedule: Schedule, layers: int, protect: Protection) -> tuple[float, ...]:
    """The shares that the schedule of the "heads" or the "neurons" asks for; raises `BadInput`, naming its field, as it does."""
    with naming(f"{kind}.{'level' if schedule.layers is None else 'layers'}"):
        return schedule.shares(layers, protect)


class Tuning(_Frozen):
    """Training after pruning."""

    method: Method = knob(
        "full",
        reason="full: every weight that is left, on the text. lora: small matrices beside the weights, added to them at the end. "
        "distil: on the text and towards what the dense model predicts.",
    )
    steps: int = knob(200, 0, 1_000_000, reason="Optimizer steps; 0 trains nothing.")
    learning_rate: float = knob(5e-4, 1e-7, 1, reason="The peak of the learning rate, after the warm-up.")
    batch_size: int = knob(8, 1, 4096, reason="Sequences in a step.")
    accumulation: int = knob(1, 1, 4096, reason="A batch in so many pieces at most: less memory, but for dropout the same step.")
    sequence_length: int = knob(128, 8, 65536, reason="Tokens in a sequence.")
    warmup: float = knob(0.1, 0, 1, reason="The share of the steps in which the learning rate rises from 0.")
    decay: Decay = knob("cosine", reason="How the rate falls after the warm-up: to 0 by half a cosine or a line, or never.")
    weight_decay: float = knob(0.01, 0, 1, reason="AdamW's pull of every matrix towards zero.")
    clip: float = knob(1.0, 0.001, 1000, reason="The largest gradient norm; a larger one is scaled down to it.")
    rank: int = knob(
        8, 1, 4096, reason="lora: the rank of what is added to a weight, its smaller side at most; more trains more."
    )
    targets: Targets = knob("all", reason="lora: which projections are given something to add.")
    temperature: float = knob(1.0, 0.1, 100, reason="distil: above 1, unlikely tokens count for more in what is compared.")
    mix: float = knob(0.5, 0, 1, reason="distil: the dense model's share of the loss; the rest is the text's.")
    student: Student = knob(
        "full",
        reason="distil: what trains, every weight or lora's matrices. Those let the dense model share the weights.",
    )
    patience: int = knob(
        0, 0, 1000, reason="Stop after so many validations without a lower loss, and keep the best weights; 0: make all steps."
    )
    guard: float = knob(
        0.0,
        0,
        1e9,
        reason="Stop where the validation perplexity, once below this, rises above it, and go back to the best weights; undo a "
        "round that ends above it. 0: nowhere.",
    )
    cut_first: bool = knob(False, reason="Train the smaller model, cut already: the same steps in less time and memory.")
    control: bool = knob(True, reason="Train the unpruned model just the same, for comparison.")

    @model_validator(mode="after")
    def _a_piece_has_a_sequence(self) -> "Tuning":
        if self.accumulation > self.batch_size:
            raise _impossible("accumulation", self.accumulation, f"is more than a batch of {self.batch_size} has sequences")
        return self


def _check_tokens(tokens: int, sequence_length: int) -> None:
    if tokens < sequence_length:
        raise _impossible("tokens", tokens, f"does not fill one sequence of {sequence_length}")


class Calibration(_Frozen):
    """The text on which criteria and compensation are measured."""

    tokens: int = knob(16384, 256, 100_000_000, reason="Tokens of the calibration split to read.")
    sequence_length: int = knob(256, 8, 65536, reason="Tokens in a sequence.")

    @model_validator(mode="after")
    def _a_sequence_fits(self) -> "Calibration":
        _check_tokens(self.tokens, self.sequence_length)
        return self


class Measuring(_Frozen):
    """The text on which perplexity is measured."""

    tokens: int = knob(16384, 64, 100_000_000, reason="Tokens of the evaluation split to read.")
    sequence_length: int = knob(256, 8, 65536, reason="Tokens in a sequence.")

    @model_validator(mode="after")
    def _a_sequence_fits(self) -> "Measuring":
        _check_tokens(self.tokens, self.sequence_length)
        return self


class Recipe(_Frozen):
    """Every choice of an experiment."""

    model: str = knob("gpt2-tiny", reason="A catalogue name, a hub id, or a folder on disk.")
    corpus: str | dict[str, str] = knob("wikipedia-sample", reason="A catalogue name, file:PATH, or paths for the three splits.")
    criterion: str = knob("activation", reason="What tells an important unit; the lowest scores go.")
    heads: Schedule = knob(make=Schedule, reason="Which share of the attention heads goes.")
    neurons: Schedule = knob(make=lambda: NEURONS, reason="Which share of the MLP neurons goes.")
    allocation: Allocation = knob(
        "schedule",
        reason="schedule: the shares above, layer by layer. global: all units compete for the parameters that the levels would "
        "take. suggest: the shares that should cost least for as many parameters.",
    )
    suggestion: Suggestion = knob(make=Suggestion, reason='How the allocation "suggest" looks for shares.')
    protect: Protection = knob(make=Protection, reason="The layers at the ends of the model of which nothing goes.")
    compensation: Compensation = knob("least-squares", reason="How what is left makes up for what went.")
    ridge: float = knob(1e-3, 0, 1e6, reason="Holds a fit back: at 0 it is free, at 1,000,000 only the bias is fitted.")
    add_biases: bool = knob(True, reason="Give output projections that have no bias one; plain transformers cannot load it.")
    rounds: int = knob(1, 1, 64, reason="In how many steps the level is reached; what is left is scored anew before each.")
    ramp: Ramp = knob(
        "linear", reason="How the level rises over the rounds: in equal steps, or much at first, little at the end."
    )
    recover: Recover = knob("end", reason="Train once, after the last round, or after every round an equal part of the steps.")
    revive: bool = knob(
        False, reason="With recovery in rounds: what went opens again where the criterion now says so, writing nothing at first."
    )
    tuning: Tuning = knob(make=Tuning, reason="Training after pruning.")
    calibration: Calibration = knob(make=Calibration, reason="The text that criteria and compensation read.")
    evaluation: Measuring = knob(make=Measuring, reason="The text that perplexity is measured on.")
    prompt: str = knob("The history of", reason="What the model continues, before and after.")
    cut: bool = knob(True, reason="Remove the units for good at the end, and save the smaller model.")
    device: Literal["auto", "cpu", "cuda", "mps"] = knob("auto", reason="auto takes an accelerator where there is one.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = knob(
        "auto", reason="The arithmetic of training; weights stay float32."
    )
    seed: int = knob(0, 0, 2**31 - 1, reason="Fixes every choice that chance has a part in.")

    @model_validator(mode="after")
    def _every_round_has_a_step(self) -> "Recipe":
        if self.recover == "rounds" and 0 < self.tuning.steps < self.rounds:
            raise _impossible("rounds", self.rounds, f"is more rounds of recovery than there are steps, {self.tuning.steps}")
        return self

    @field_validator("neurons", mode="before")
    @classmethod
    def _the_rest_as_by_default(cls, value: Any) -> Any:
        # A part of the default schedule changed leaves the rest of it: it is not the heads' one, which is uniform.
        return {"shape": NEURONS.shape} | value if isinstance(value, dict) else value

    @field_validator("model")
    @classmethod
    def _a_model(cls, name: str) -> str:
        return check_model(name)

    @field_validator("criterion")
    @classmethod
    def _a_criterion(cls, name: str) -> str:
        return CRITERIA.entry(name).name

    @model_validator(mode="after")
    def _a_criterion_for_all_that_goes(self) -> "Recipe":
        why = unscored(self.criterion, [kind for kind in ("heads", "neurons") if getattr(self, kind).takes_any])
        if why:
            raise _impossible("criterion", self.criterion, why)
        return self

    @field_validator("corpus", mode="before")
    @classmethod
    def _a_corpus(cls, spec: Any) -> str | dict[str, str]:
        return check_corpus(spec)

    @field_validator("prompt")
    @classmethod
    def _a_prompt(cls, prompt: str) -> str:
        return check_prompt(prompt)


def check_prompt(prompt: str) -> str:
    """Return a prompt that a tokenizer can take; raise `BadInput` for an empty, endless or unprintable one."""
    if len(prompt) > PROMPT_LIMIT:
        raise BadInput(f"prompt {shorten(prompt)} has {len(prompt):,} characters; at most {PROMPT_LIMIT:,} are allowed.")
    odd = next((char for char in prompt if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t"), None)
    if odd is not None:
        raise BadInput(f"prompt {shorten(prompt)} holds the control character U+{ord(odd):04X}; take it out.")
    if not prompt.strip():
        raise BadInput(f"prompt {shorten(prompt)} is empty; write at least one word.")
    return prompt
