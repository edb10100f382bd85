"""Tests of engine/recovery/checkpoints.py: what is written comes back to the bit."""

import json
import os
import resource
import shutil
import stat
from dataclasses import replace

import pytest
import torch

from engine.evaluation.memory import peak
from engine.pruning.plan import Plan
from engine.record.disk import Unwritten
from engine.record.errors import BadInput
from engine.record.faults import Faults
from engine.record.recipe import Calibration
from engine.recovery import checkpoints
from engine.recovery.checkpoints import LOADED, Checkpoint, Origin
from engine.recovery.checksums import Damaged, sealed
from tests.families import FAMILIES, logits, make

PLAN = Plan(heads={(1, 2), (0, 0)}, neurons={(0, 7), (1, 1), (0, 3)})


def stand(**changes) -> Checkpoint:
    """A stand with something in every field."""
    given = {"parent": None, "reason": "prune", "plan": PLAN, "method": "bias", "calibration": Calibration(tokens=300)}
    return replace(LOADED, **(given | changes))


def test_a_stand_comes_back_as_it_was_written(tmp_path):
    """Every field; names count up."""
    first = checkpoints.write(tmp_path, stand(), {}, None)
    second = checkpoints.write(tmp_path, stand(parent=first.name, trained=5), {}, {"x": torch.zeros(2)})
    assert (first.name, second.name) == ("step-000001", "step-000002")
    assert checkpoints.read(tmp_path, first.name) == first == stand(name="step-000001")
    assert checkpoints.read(tmp_path, second.name) == second
    assert (first.weights, second.weights) == (None, "step-000002")


def test_a_copy_that_somebody_has_made_beside_a_checkpoint_is_no_number(tmp_path):
    """Whatever it is called; the next checkpoint counts on from those that are."""
    first = checkpoints.write(tmp_path, stand(), {}, None)
    for name in ("step-000001.bak", "step-", "step-0000x9"):
        shutil.copytree(tmp_path / first.name, tmp_path / name)
    assert checkpoints.write(tmp_path, stand(), {}, None).name == "step-000002"


def test_no_name_is_the_model_as_it_was_loaded(tmp_path):
    """Nothing is read for it."""
    assert checkpoints.read(tmp_path / "nowhere", None) == LOADED


def test_tensors_come_back_to_the_bit(tmp_path):
    """Whatever their type and layout."""
    fitted = {"a.weight": torch.randn(4, 3).T, "b": torch.randn(2, dtype=torch.float64), "c": torch.randn(3).to(torch.bfloat16)}
    name = checkpoints.write(tmp_path, stand(), fitted, None).name
    found = checkpoints.tensors_of(tmp_path, name, "fitted")
    assert set(found) == set(fitted)
    assert all(torch.equal(found[one], fitted[one]) and found[one].dtype == fitted[one].dtype for one in fitted)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_can_be_taken_and_put_back(family, tmp_path):
    """Through a file, into a model of other weights; tied weights are one."""
    model, other = make(family, seed=0), make(family, seed=1)
    assert not torch.equal(logits(model), logits(other))
    name = checkpoints.write(tmp_path, stand(), {}, checkpoints.parameters_of(model)).name
    checkpoints.put_parameters(other, checkpoints.tensors_of(tmp_path, name, "weights"))
    assert torch.equal(logits(model), logits(other))


def test_no_second_copy_of_the_weights_is_made_to_write_them(tmp_path):
    """Neither the model's own nor the control's; a copy would be seen."""
    model, found = make("gpt2"), []

    def writing():
        found.append(checkpoints.write(tmp_path, stand(), {}, checkpoints.parameters_of(model)))
        checkpoints.add_control(tmp_path, found[0], model)

    assert peak(writing, torch.device("cpu")) == 0
    assert peak(lambda: found.append([one.detach().clone() for one in model.parameters()]), torch.device("cpu")) > 0
    assert (tmp_path / found[0].name / "control.safetensors").exists()


def test_a_control_belongs_to_the_stand_that_it_was_trained_beside(tmp_path):
    """Its steps are those of the model; what follows knows where its weights lie."""
    model = make("gpt2")
    tuned = checkpoints.write(tmp_path, stand(trained=7), {}, {"x": torch.zeros(1)})
    with_control = checkpoints.add_control(tmp_path, tuned, model)
    assert (with_control.control, with_control.control_at) == (7, tuned.name)
    assert checkpoints.read(tmp_path, tuned.name) == with_control
    found = checkpoints.tensors_of(tmp_path, tuned.name, "control")
    assert all(torch.equal(found[name], parameter) for name, parameter in model.named_parameters())
    later = checkpoints.write(tmp_path, replace(with_control, parent=tuned.name), {}, None)
    assert checkpoints.read(tmp_path, later.name).control_at == tuned.name


def test_no_checkpoint_has_the_name_of_one_that_it_comes_from(tmp_path):
    """Also where somebody has removed the folders, as a chain of names that leads to itself would have no end."""
    first = checkpoints.write(tmp_path / "kept", stand(), {}, None)
    second = checkpoints.write(tmp_path / "kept", replace(stand(), parent=first.name), {}, None)
    shutil.rmtree(tmp_path / "kept")
    third = checkpoints.write(tmp_path / "kept", replace(stand(), parent=second.name), {}, None)
    assert [one.name for one in (first, second, third)] == ["step-000001", "step-000002", "step-000003"]


def test_a_failure_leaves_no_half_checkpoint(tmp_path):
    """Neither under its name nor beside its place: the place is taken by a file."""
    checkpoints.write(tmp_path, stand(), {}, None)
    (tmp_path / "step-000001" / "state.json").unlink()
    (tmp_path / "step-000001").rmdir()
    blocked = tmp_path / "checkpoints"
    blocked.write_text("")
    with pytest.raises(Unwritten, match="File exists"):
        checkpoints.write(blocked, stand(), {}, None)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_a_disk_that_takes_no_more_leaves_nothing_and_is_told(tmp_path):
    """For real: no file of this process may be larger than 64 KB for a while."""
    tensors = {"large": torch.ones(30_000)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        with pytest.raises(Unwritten) as caught:
            checkpoints.write(tmp_path, stand(), {}, tensors)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    why = "The checkpoint could not be written to disk (File too large); see that it can be written there and ask again."
    assert str(caught.value) == why
    assert list(tmp_path.iterdir()) == []
    assert checkpoints.write(tmp_path, stand(), {}, tensors).name == "step-000001"


def test_whoever_interrupts_the_writing_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C is as good as a full disk."""

    def interrupted(*paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(tmp_path, stand(), {}, {"x": torch.zeros(1)})
    assert list(tmp_path.iterdir()) == []


def test_a_disk_is_full_where_that_is_asked_for(tmp_path):
    """At the second checkpoint, twice; the third try gets its name."""
    faults = Faults("checkpoint@2x2")
    first = checkpoints.write(tmp_path, stand(), {}, None, faults)
    for _ in range(2):
        with pytest.raises(Unwritten, match="No space left on device"):
            checkpoints.write(tmp_path, stand(), {}, None, faults)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert checkpoints.write(tmp_path, stand(), {}, None, faults).name == "step-000002"


def test_checkpoints_are_plain_json_and_safetensors_for_their_owner(tmp_path):
    """Mode 0700, and no other format."""
    name = checkpoints.write(tmp_path, stand(), {"a": torch.zeros(1)}, {"b": torch.zeros(1)}).name
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == [
        "fitted.safetensors",
        "state.json",
        "weights.safetensors",
    ]
    plain = json.loads((tmp_path / name / "state.json").read_text())
    assert plain["plan"] == {"heads": [[0, 0], [1, 2]], "neurons": [[0, 3], [0, 7], [1, 1]]}


def test_the_line_of_a_stand_tells_what_was_done_first_to_last(tmp_path):
    """In plain numbers, for the card of a saved model."""
    pruned = checkpoints.write(tmp_path, stand(), {}, None)
    tuned = checkpoints.write(tmp_path, stand(parent=pruned.name, reason="tune", method="none", trained=4), {}, None)
    closed = {"heads": 2, "neurons": 3}
    assert checkpoints.line_of(tmp_path, tuned) == [
        {"reason": "prune", "closed": closed, "compensation": "bias", "trained_steps": 0},
        {"reason": "tune", "closed": closed, "compensation": "none", "trained_steps": 4},
    ]
    assert checkpoints.line_of(tmp_path, LOADED) == []


BROKEN = {
    "an older version's, without the text that compensation read": (
        "has no 'calibration'",
        lambda plain: plain.pop("calibration"),
    ),
    "a newer version's": ("newer", lambda plain: plain.update(newer=1)),
    "a plan of another shape": ("step-000001", lambda plain: plain.update(plan=[1])),
    "a calibration that is none": ("tokens", lambda plain: plain.update(calibration={"tokens": -1})),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_checkpoint_of_another_version_is_refused_in_one_sentence(tmp_path, how):
    """Rather than read with something that was never measured."""
    why, change = BROKEN[how]
    name = checkpoints.write(tmp_path, stand(), {}, None).name
    plain = json.loads((tmp_path / name / "state.json").read_text())
    del plain["checksum"]
    change(plain)
    (tmp_path / name / "state.json").write_text(sealed(plain))
    with pytest.raises(BadInput, match=why) as caught:
        checkpoints.read(tmp_path, name)
    assert "\n" not in str(caught.value) and str(caught.value).endswith("start a new run.")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", None])
def test_a_torn_checkpoint_is_refused_in_one_sentence(tmp_path, text):
    """Half a file, another value, none at all."""
    name = checkpoints.write(tmp_path, stand(), {}, None).name
    (tmp_path / name / "state.json").unlink()
    if text is not None:
        (tmp_path / name / "state.json").write_text(text)
    with pytest.raises(Damaged, match="^checkpoint 'step-000001' is damaged: its state.json .*[^.]\\.$"):
        checkpoints.read(tmp_path, name)


@pytest.mark.parametrize("lost", [("plan",), ("parent", "reason"), None])
def test_a_checkpoint_that_has_lost_its_checksum_and_more_is_damaged(tmp_path, lost):
    """It is of no version before the checksums, which had these entries as well; None: all of it is lost."""
    name = checkpoints.write(tmp_path, stand(), {}, None).name
    path = tmp_path / name / "state.json"
    plain = json.loads(path.read_text())
    gone = ("checksum", "files", *lost) if lost else tuple(plain)
    path.write_text(json.dumps({key: value for key, value in plain.items() if key not in gone}))
    with pytest.raises(
        Damaged, match=f"'step-000001' is damaged: its state.json has no '{(lost or ('name',))[0]}' and no checksum"
    ):
        checkpoints.read(tmp_path, name)


PARTS = ("weights", "control", "fitted")


def whole(folder) -> str:
    """The name of a checkpoint that has every part."""
    one = checkpoints.write(folder, stand(trained=1), {"a": torch.ones(5)}, {"a": torch.ones(5)})
    return checkpoints.add_control(folder, one, torch.nn.Linear(2, 3)).name


@pytest.mark.parametrize("part", PARTS)
def test_tensors_that_are_cut_short_or_gone_are_refused(tmp_path, part):
    """In one sentence that names the file."""
    name = whole(tmp_path)
    path = tmp_path / name / f"{part}.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Damaged, match=f"its {part}.safetensors is not as it was written.$"):
        checkpoints.tensors_of(tmp_path, name, part)
    path.unlink()
    with pytest.raises(Damaged, match=f"its {part}.safetensors is gone.$"):
        checkpoints.tensors_of(tmp_path, name, part)


@pytest.mark.parametrize("part", PARTS)
def test_any_bit_that_flips_in_tensors_is_found(tmp_path, part):
    """A number that changed reads as well as the one that was written: only the checksum tells them apart."""
    name = whole(tmp_path)
    path = tmp_path / name / f"{part}.safetensors"
    written = path.read_bytes()
    for place in range(0, len(written), 7):
        path.write_bytes(written[:place] + bytes([written[place] ^ 1 << place % 8]) + written[place + 1 :])
        with pytest.raises(Damaged, match=f"{part}.safetensors is not as it was written"):
            checkpoints.tensors_of(tmp_path, name, part)
    path.write_bytes(written)
    assert checkpoints.tensors_of(tmp_path, name, part)


def test_any_bit_that_flips_in_a_state_is_found_or_changes_nothing(tmp_path):
    """In state.json, the checksums in it included; a line break that became another blank says the same as before."""
    name = whole(tmp_path)
    path, before = tmp_path / name / "state.json", checkpoints.read(tmp_path, name)
    written, found = path.read_bytes(), 0
    for place in range(len(written)):
        path.write_bytes(written[:place] + bytes([written[place] ^ 1 << place % 8]) + written[place + 1 :])
        try:
            assert checkpoints.read(tmp_path, name) == before
        except Damaged:
            found += 1
    assert found > 0.7 * len(written)


def test_a_checkpoint_from_before_the_checksums_is_read_unchecked(tmp_path):
    """As it was then: with nothing in its state.json that says what its files should be."""
    name = checkpoints.write(tmp_path, stand(), {}, {"a": torch.ones(5)}).name
    path, before = tmp_path / name / "state.json", checkpoints.read(tmp_path, name)
    plain = json.loads(path.read_text())
    del plain["checksum"], plain["files"]
    path.write_text(json.dumps(plain))
    assert checkpoints.read(tmp_path, name) == before
    assert torch.equal(checkpoints.tensors_of(tmp_path, name, "weights")["a"], torch.ones(5))
    assert checkpoints.tensors_of(tmp_path, name, "fitted") == {}


def test_a_checkpoint_in_the_place_of_another_is_damaged(tmp_path):
    """The two of one run exchanged, and those of another run and another model, whole as they are."""
    mine = Origin(1700000000.25, "abc")
    for _ in range(2):
        checkpoints.write(tmp_path, stand(of=mine), {}, {"a": torch.ones(5)})
    assert checkpoints.read(tmp_path, "step-000001", mine).of == mine
    for of, why in ((replace(mine, run=1.5), "another run"), (replace(mine, model="abd"), "another model")):
        with pytest.raises(Damaged, match=f"'step-000001' is damaged: it is of {why}.$"):
            checkpoints.read(tmp_path, "step-000001", of)
        with pytest.raises(Damaged, match=why):
            checkpoints.tensors_of(tmp_path, "step-000001", "weights", None, of)
    (tmp_path / "step-000001").rename(tmp_path / "step")
    (tmp_path / "step-000002").rename(tmp_path / "step-000001")
    with pytest.raises(Damaged, match="'step-000001' is damaged: it is 'step-000002' by what it says itself.$"):
        checkpoints.read(tmp_path, "step-000001", mine)
    with pytest.raises(Damaged, match="by what it says itself"):
        checkpoints.tensors_of(tmp_path, "step-000001", "weights")


def test_a_checkpoint_that_does_not_say_what_it_is_of_is_read(tmp_path):
    """One of a version before that; nor does a run whose beginning is nowhere refuse its own."""
    name = checkpoints.write(tmp_path, stand(), {}, None).name
    path = tmp_path / name / "state.json"
    plain = json.loads(path.read_text())
    del plain["of"], plain["checksum"]
    path.write_text(sealed(plain))
    assert checkpoints.read(tmp_path, name, Origin(1.5, "abc")) == stand(name=name)
    other = checkpoints.write(tmp_path, stand(of=Origin(1.5, "abc")), {}, None).name
    assert checkpoints.read(tmp_path, other).name == other


MISFITS = {
    "another model's": lambda tensors: checkpoints.parameters_of(make("opt", dtype=torch.float32)),
    "another width": lambda tensors: tensors | {"transformer.wte.weight": torch.ones(3, 2)},
    "one is missing": lambda tensors: {name: one for name, one in tensors.items() if name != "transformer.wpe.weight"},
    "a bias too long": lambda tensors: tensors | {"transformer.wpe.bias": torch.ones(1)},
    "one too many": lambda tensors: tensors | {"transformer.bias": torch.ones(1)},
}


@pytest.mark.parametrize("how", MISFITS)
def test_tensors_that_have_no_place_in_the_model_are_damage(how, tmp_path):
    """Before one of them is put there. A bias that compensation gave a projection has its place."""
    model = make("gpt2", dtype=torch.float32)
    tensors = checkpoints.parameters_of(model)
    for part, wanted in (("weights", MISFITS[how](tensors)), ("fitted", {"transformer.h.9.mlp.c_proj.weight": torch.ones(1)})):
        name = checkpoints.write(
            tmp_path, stand(), wanted if part == "fitted" else {}, wanted if part == "weights" else None
        ).name
        with pytest.raises(Damaged, match=f"its {part}.safetensors has (no )?[a-z]"):
            checkpoints.tensors_of(tmp_path, name, part, model)
    llama = make("llama")
    given = {"model.layers.0.mlp.down_proj.bias": torch.ones(llama.config.hidden_size)}
    name = checkpoints.write(tmp_path, stand(), given, checkpoints.parameters_of(llama) | given).name
    for part in ("weights", "fitted"):
        assert set(given) <= set(checkpoints.tensors_of(tmp_path, name, part, llama))


def test_the_line_of_a_stand_says_where_it_is_lost(tmp_path):
    """A model whose earlier checkpoint is damaged can still be saved with its card."""
    pruned = checkpoints.write(tmp_path, stand(), {}, None)
    tuned = checkpoints.write(tmp_path, stand(parent=pruned.name, reason="tune", trained=4), {}, None)
    (tmp_path / pruned.name / "state.json").write_text("{")
    reasons = [step["reason"] for step in checkpoints.line_of(tmp_path, tuned)]
    assert reasons == ["what is not known, since its state.json is not JSON", "tune"]
