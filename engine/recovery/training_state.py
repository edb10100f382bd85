"""Where a training is between two steps, as a bookmark has it: put into one, and taken up from one; knows no text and no loop."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from engine.record.events import Degraded, TrainingResumed, Validated
from engine.record.training import ARMS
from engine.recovery.bookmarks import Bookmark, Bookmarks
from engine.recovery.stepper import Stepper
from engine.recovery.watch import Watch


@dataclass
class Place:
    """After `step` steps, `found` being the last validation and `halvings` those of the learning rate so far."""

    step: int
    found: Validated
    halvings: int = 0


def keep(marks: Bookmarks, stepper: Stepper, watch: Watch, place: Place) -> Iterator[Degraded]:
    """Write a bookmark, or say that there is none."""
    parts = stepper.tensors() | {"best": dict(zip(stepper.names, watch.kept, strict=False))}
    if marks.with_base:
        parts["base"] = frozen(stepper)
    plain = {"found": asdict(place.found), "halvings": place.halvings, "stepper": stepper.state(), "watch": watch.state()}
    why = marks.write(place.step, plain, {part: tensors for part, tensors in parts.items() if tensors})
    if why:
        asked = f"a bookmark of {ARMS[place.found.arm]} after step {place.step}"
        yield Degraded(asked, "none; should the process end, the steps since the last one are lost", why)


def take_up(mark: Bookmark, stepper: Stepper, watch: Watch) -> tuple[Place, TrainingResumed]:
    """Stand where the training of a bookmark stood, the weights included, and say so."""
    plain = mark.plain
    place = Place(plain["step"], Validated(**plain["found"]), plain["halvings"])
    with torch.no_grad():
        mine = frozen(stepper)
        for name, tensor in mark.tensors("base"):
            mine[name].copy_(tensor)
    stepper.put(place.step, plain["stepper"], mark.tensors)
    best = dict(mark.tensors("best"))
    watch.put(plain["watch"], [best[name] for name in stepper.names] if best else [])
    return place, TrainingResumed(place.found.arm, place.step, place.found.step)


def frozen(stepper: Stepper) -> Mapping[str, Tensor]:
    """What does not train, by name."""
    return {name: one for name, one in stepper.model.named_parameters() if not one.requires_grad}
