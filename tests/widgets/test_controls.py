"""The form without a browser: labels, help, what it shows, and how it says that something is wrong."""

import pytest

from engine.record.catalogue import CRITERIA
from engine.record.recipe import Recipe, Schedule
from widgets.choices import choices_of, criterion_help
from widgets.controls import HELP, LABELS, OTHER, TAKING, Controls

WORDS = ("Model", "Text", "Criterion", "Heads", "Neurons", "Shape", "Steepness", "Apply to", "Front", "Middle", "Back",
         "Recovery steps", "Prompt")  # fmt: skip


@pytest.fixture
def touched() -> list[None]:
    """One entry for each time that the form said something was moved."""
    return []


@pytest.fixture
def controls(touched: list[None]) -> Controls:
    """The form of the default recipe."""
    return Controls(choices_of(Recipe(), 6), lambda: touched.append(None))


def test_every_control_carries_its_label_and_its_help(controls: Controls) -> None:
    """The words by which people, and acceptance tests, find them."""
    assert set(WORDS) <= set(LABELS.values())
    for name, widget in controls._each.items():
        assert widget.description == LABELS[name]
        assert widget.tooltip == HELP[name] and len(HELP[name]) > 20


def test_the_models_that_need_no_network_come_first(controls: Controls) -> None:
    """The others say what they need, and how much it is; the names of the built-in ones stand alone."""
    labels = [label for label, _ in controls._each["model"].options]
    needs = [index for index, label in enumerate(labels) if "(" in label]
    built_in = [index for index, label in enumerate(labels) if "(" not in label and label != OTHER]
    assert max(built_in) < min(needs)
    assert any("needs the network" in labels[index] and "MB" in labels[index] for index in needs)
    assert dict(controls._each["model"].options)["gpt2-tiny"] == "gpt2-tiny"


def test_what_is_shown_is_what_is_read(controls: Controls) -> None:
    """A recipe set and read comes back, and counts as nobody's movement."""
    for recipe in (
        Recipe(neurons=Schedule(level=0.5, shape="linear", steepness=4.0), prompt="Two"),
        Recipe(model="some/model", corpus="file:/tmp/x.txt"),
        Recipe(model="gpt2@main", corpus="wikipedia-dump:/tmp/x.xml.bz2"),
        Recipe(model="smollm2-135m", corpus="hub:some/data/set"),
        Recipe(corpus="wikitext-2", criterion="magnitude"),
        Recipe(corpus={"train": "/tmp/a; b.txt", "calibration": "/tmp/c", "evaluation": "/tmp/d.txt"}),
    ):
        choices = choices_of(recipe, 6)
        controls.show(choices)
        assert controls.read() == choices
    assert controls.drain() == []


def test_a_movement_by_hand_is_noted_and_told(controls: Controls, touched: list[None]) -> None:
    """In the order in which it came; a second look finds nothing."""
    controls._each["heads"].value = 0.7
    controls._each["shape"].value = "exponential"
    assert len(touched) == 2
    assert controls.drain() == ["heads", "shape"]
    assert controls.drain() == []


def test_fields_for_a_name_and_a_path_are_there_when_they_are_needed(controls: Controls) -> None:
    """And until they are filled in, the form says what is missing."""
    assert controls._each["model_name"].layout.display == "none" == controls._each["corpus_path"].layout.display
    controls._each["model"].value = OTHER
    controls.unfold()
    assert controls._each["model_name"].layout.display is None
    assert controls.incomplete()[0] == "model"
    controls._each["model_name"].value = "some/model"
    assert controls.incomplete() is None and controls.read().model == "some/model"


def test_three_paths_are_written_in_one_line(controls: Controls) -> None:
    """In the order that the sentence below says; as long as one is missing, it is there."""
    controls._each["corpus"].value = "paths:"
    assert controls.incomplete() == ("corpus", TAKING["paths:"])
    controls.show(controls.read())  # as the page does
    assert controls._each["corpus_path"].layout.display is None and controls._each["corpus"].value == "paths:"
    for written in ("", "a.txt", "a.txt; b.txt", "a.txt; ; c.txt", "a.txt; b.txt; c.txt; d.txt"):
        controls._each["corpus_path"].value = written
        assert controls.incomplete() == ("corpus", TAKING["paths:"])
    controls._each["corpus_path"].value = " a.txt;b c.txt ; /d"
    assert controls.incomplete() is None
    assert controls.read().corpus == {"train": "a.txt", "calibration": "b c.txt", "evaluation": "/d"}


@pytest.mark.parametrize(
    ("field", "control"),
    [("heads.level", "heads"), ("neurons.blocks", "front"), ("tuning.steps", "steps"), ("prompt", "prompt"),
     ("corpus", "corpus_path"), ("model", "model_name"), ("criterion", "criterion"), ("heads", "heads")],
)  # fmt: skip
def test_a_sentence_stands_right_below_its_control(controls: Controls, field: str, control: str) -> None:
    """By its place in the column, escaped, and announced as an alert."""
    assert controls.refuse(field, "No <b>!")
    assert int(controls._error.layout.order) == int(controls._each[control].layout.order) + 1
    assert 'role="alert"' in controls._error.value and "&lt;b&gt;" in controls._error.value
    controls.refuse("", "")
    assert controls._error.value == "" and controls._error.layout.display == "none"


@pytest.mark.parametrize(
    ("written", "read"),
    [("12", 12), (" 1e3 ", 1000), ("1e9", 10**9), ("-5", -5), ("1.5", "1.5"), ("many", "many"), ("", ""), ("inf", "inf"),
     ("nan", "nan"), ("1,5", "1,5"), ("٣", 3)],
)  # fmt: skip
def test_a_number_is_read_as_it_is_written_or_left_to_be_refused(controls: Controls, written: str, read: object) -> None:
    """Never as another number."""
    controls._each["steps"].value = written
    assert controls.read().steps == read


def test_a_refusal_speaks_of_the_control_by_the_words_beside_it(controls: Controls) -> None:
    """Nobody sees the recipe's field on the page."""
    for field, label in (("tuning.steps", "Recovery steps"), ("heads.level", "Heads"), ("prompt", "Prompt")):
        controls.refuse(field, f"{field} -5 is not allowed.")
        assert f">{label} -5 is not allowed.<" in controls._error.value


def test_a_field_without_a_control_is_left_to_others(controls: Controls) -> None:
    """The status line says it instead."""
    assert not controls.refuse("artifact", "There is no such file.")
    assert controls._error.value == ""


def test_a_held_form_says_why(controls: Controls) -> None:
    """Model and text alone are held, and given back with their help."""
    controls.hold({"model": "Wait.", "corpus": "Wait."})
    assert controls._each["model"].disabled and controls._each["model"].tooltip == "Wait."
    assert not controls._each["heads"].disabled
    controls.hold({})
    assert not controls._each["corpus"].disabled and controls._each["corpus"].tooltip == HELP["corpus"]


def test_what_a_browser_rounds_to_a_step_is_no_movement(controls: Controls, touched: list[None]) -> None:
    """A slider is sent steps only, so that it has nothing to send back; what was set still counts, with all its digits."""
    choices = choices_of(Recipe(neurons=Schedule(level=0.34, shape="linear", steepness=4.0)), 6)
    assert choices.blocks == (0.136, 0.34, 0.544)
    controls.show(choices)
    assert [controls._each[block].value for block in ("front", "middle", "back")] == [0.14, 0.34, 0.54]
    assert controls.drain() == touched == []
    assert controls.read() == choices
    controls._each["front"].value = 0.15
    assert controls.drain() == ["front"]
    assert controls.read().blocks == (0.15, 0.34, 0.544)


def test_the_menu_of_criteria_says_what_each_costs_and_its_tooltip_what_it_goes_by() -> None:
    """The chosen one's, as it is chosen; the other controls keep their help."""
    controls = Controls(choices_of(Recipe(), 3), lambda: None)
    menu = controls._each["criterion"]
    assert dict(menu.options) == {f"{name} ({entry.facts['COST']})": name for name, entry in CRITERIA.entries.items()}
    assert {"random (free)", "obs (one pass + search)", "taylor (pass + backward)"} <= set(dict(menu.options))
    for name in ("taylor", "ablation"):
        menu.value = name
        controls.hold({})
        assert menu.tooltip == criterion_help(name) and controls._each["heads"].tooltip == HELP["heads"]
    controls.hold({"criterion": "Wait."})
    assert menu.tooltip == "Wait."
