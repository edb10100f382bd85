"""What happened, as frozen facts in the past tense: plain numbers, strings and tuples; never a tensor, a guess or a time.

`seq` and `at` are stamped by whoever writes the line (`engine.record.folder`), so that what the engine yields depends on
nothing but what it was asked.
"""

from dataclasses import dataclass

from engine.record.agreement import CriteriaCompared
from engine.record.cells import SweepBestFound, SweepCellDone, SweepStarted
from engine.record.costs import Latency, Memory
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    Degraded,
    MemoryEstimated,
    MemorySampled,
    Progressed,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.suggestions import Suggested, SuggestionMeasured
from engine.record.training import RoundBegan, RoundRefused, StepTrained, TrainingResumed, TuningStarted, Validated, WentBack

Counts = tuple[int, ...]  # one number for each layer
Head = tuple[int, int]  # (layer, head)


@dataclass(frozen=True)
class ModelLoaded:
    """A model is there: what it is and, for each layer, how many units it has and what each of them weighs in parameters.

    `groups` counts the key-value groups, each of `heads / groups` heads that go together; `group_parameters` is what goes with
    a whole group, `head_parameters` what goes with one head by itself. `keeps_heads` says of which layers no head can go, since
    all of them share the only key. Lines that were written before these were told have them filled in from the others.
    `revision` is the commit of a model from the hub, and `fingerprint` tells its weights from others; "" where that was not told.
    """

    model: str
    family: str
    parameters: int
    context: int
    vocabulary: int
    heads: Counts
    neurons: Counts
    head_parameters: Counts
    neuron_parameters: Counts
    device: str
    precision: str
    groups: Counts = ()
    group_parameters: Counts = ()
    keeps_heads: tuple[bool, ...] = ()
    revision: str | None = None
    fingerprint: str = ""

    def __post_init__(self):
        if not self.groups:
            object.__setattr__(self, "groups", self.heads)
            object.__setattr__(self, "group_parameters", self.head_parameters)
        if not self.keeps_heads:
            kept = tuple(groups == 1 < heads for heads, groups in zip(self.heads, self.groups, strict=False))
            object.__setattr__(self, "keeps_heads", kept)


@dataclass(frozen=True)
class CorpusLoaded:
    """A text is there: documents and tokens in each of its disjoint splits."""

    corpus: str
    train_documents: int
    calibration_documents: int
    evaluation_documents: int
    train_tokens: int | None  # counted when training first reads them
    calibration_tokens: int
    evaluation_tokens: int
    licence: str | None


@dataclass(frozen=True)
class UnitsScored:
    """Every unit has a score (high = keep). `heads` by layer; the neurons' scores are in `artifact`, a file of the run."""

    criterion: str
    heads: tuple[tuple[float, ...], ...]
    tokens: int
    artifact: str | None
    round: int = 1  # of a pruning; from the second on, the scores are of what the rounds before have left


@dataclass(frozen=True)
class Residual:
    """One output projection ("attention" or "mlp"): the mean squared length of the error in its output if the units just
    went, of the error that is foretold after compensation, and of the output's own variation, all on the calibration text."""

    layer: int
    part: str
    dropped: float
    compensated: float
    variance: float

    @property
    def relative(self) -> float | None:
        """The error after compensation over the variation, from 0; None for an output that never varies."""
        return self.compensated / self.variance if self.variance else None


@dataclass(frozen=True)
class PlanMade:
    """Which units go, what the model would weigh without them, and what compensation is foretold to leave of the error; no
    `residuals` where nothing is compensated.

    The shares are those that were asked for, or, where units compete, those that came of it; `notes` says which heads go
    together and, of shares that were asked for, what that and limits made of them. Of several rounds the last is the one that is
    done, the others are on the way to it, unless they were `laid`: with a recovery between rounds each is. `promised` is by how
    much the loss should rise, in nats per token, where a suggestion was followed.
    """

    heads: tuple[Head, ...]
    head_counts: Counts
    neuron_counts: Counts
    head_shares: tuple[float, ...]
    neuron_shares: tuple[float, ...]
    parameters_before: int
    parameters_after: int
    criterion: str
    residuals: tuple[Residual, ...] = ()
    allocation: str = "schedule"
    notes: tuple[str, ...] = ()
    round: int = 1
    rounds: int = 1
    laid: bool = False
    promised: float | None = None


@dataclass(frozen=True)
class Previewed:
    """What a plan would cost, measured with it laid over the model and taken off again; it is what pruning would give."""

    heads: tuple[Head, ...]
    head_counts: Counts
    neuron_counts: Counts
    parameters_before: int
    parameters_after: int
    perplexity: float
    tokens: int
    sequence_length: int
    residuals: tuple[Residual, ...] = ()
    asked: str = ""  # `engine.record.commands.fingerprint` of the command that this answers


@dataclass(frozen=True)
class GatesChanged:
    """The gates that are closed now, and why: "prune", "by hand", "undo", "reset", "restored" or "guard"."""

    heads: tuple[Head, ...]
    head_counts: Counts
    neuron_counts: Counts
    parameters_before: int
    parameters_after: int
    reason: str


@dataclass(frozen=True)
class Compensated:
    """The output projections that lost units were corrected by `method`; `notes` says what could not be done."""

    method: str
    tokens: int
    residuals: tuple[Residual, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Evaluated:
    """A perplexity with its protocol: exp(nll / tokens) over packed blocks of the evaluation split, no padding."""

    stage: str
    perplexity: float
    nll: float
    tokens: int
    corpus: str
    sequence_length: int
    dtype: str

    @property
    def protocol(self) -> tuple[str, int, int, str]:
        """How it was measured; only what was measured alike can be compared."""
        return self.corpus, self.tokens, self.sequence_length, self.dtype


@dataclass(frozen=True)
class CheckpointSaved:
    """The model as it stands is on disk under `checkpoints/`; `parent` is where an undo goes (None: as it was loaded)."""

    checkpoint: str
    parent: str | None
    reason: str


@dataclass(frozen=True)
class Undone:
    """The model stands again as at `checkpoint` (None: as it was loaded)."""

    checkpoint: str | None


@dataclass(frozen=True)
class TextSampled:
    """A continuation of the prompt, token by token, each with its surprise (−log p in nats; None: nothing precedes it)."""

    stage: str
    prompt: str
    seed: int
    tokens: tuple[str, ...]
    surprises: tuple[float | None, ...]
    prompt_tokens: int


@dataclass(frozen=True)
class ModelCut:
    """The closed units are gone, in a copy: what it weighs and what it costs to run, beside the dense model.

    `difference` is the largest between its logits and the gated model's. `file_before` and `file_after` are the bytes of
    `model.safetensors` as either is saved, in float32, and `file_stored` those that the dense model's files of weights have in
    whatever they are stored; None in runs that did not ask. `machine` says where times and memory were measured.
    """

    parameters_before: int
    parameters_after: int
    bytes_before: int
    bytes_after: int
    latency: tuple[Latency, ...]
    difference: float
    memory: tuple[Memory, ...] = ()
    file_before: int | None = None
    file_after: int | None = None
    machine: str = ""
    file_stored: int | None = None


@dataclass(frozen=True)
class ModelSaved:
    """The smaller model lies in `folder` of the run folder; `size` is the bytes of all its files."""

    folder: str
    size: int


Event = (
    RunStarted | WorkerStarted | CommandStarted | CommandFinished | CommandRefused | CommandStopped | ModelLoaded | CorpusLoaded
    | UnitsScored | CriteriaCompared | Suggested | PlanMade | Previewed | GatesChanged | Compensated | Evaluated | TuningStarted
    | SuggestionMeasured | RoundBegan | RoundRefused | TrainingResumed | StepTrained | Validated | WentBack | CheckpointSaved
    | Undone | TextSampled | ModelCut | ModelSaved | SweepStarted | SweepCellDone | SweepBestFound | Progressed | MemorySampled
    | MemoryEstimated | Degraded | WorkerRestarted | RunPaused | RunResumed | RunFinished | RunStopped | RunFailed
)  # fmt: skip
EVENTS: dict[str, type] = {each.__name__: each for each in Event.__args__}
ENDS = (RunFinished, RunStopped, RunFailed)  # exactly one of these is the last event of a run
