"""Names of plug-ins: three ways to give one, no import to list them, a guess for a wrong one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset import DATASETS
from llm_eval.errors import Unknown
from llm_eval.evaluation import EVALUATORS
from llm_eval.models import MODELS
from llm_eval.registry import Registry
from llm_eval.scaling_methods import SCALING_METHODS

ALL = [DATASETS, EVALUATORS, MODELS, SCALING_METHODS]
LAZY = {"ordered": "collections:OrderedDict", "absent": "no_such_module_here:Thing"}


def install(folder: Path, group: str, name: str, target: str) -> None:
    """An installed distribution with one entry point and the module that it names."""
    info = folder / "plugged-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    (folder / "plugged_in.py").write_text("class Plugged:\n    pass\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, as site-packages is; what is imported from it is forgotten again."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "plugged_in", raising=False)
    return folder


def test_the_decorator_registers_and_returns_the_class() -> None:
    """A decorated class is the class itself, under its name."""
    registry: Registry[type[Any]] = Registry("thing")

    @registry.add("mine")
    class Mine:
        """Some plug-in."""

    assert registry.get("mine") is Mine
    assert "mine" in registry


def test_a_later_registration_replaces_an_earlier_one() -> None:
    """A cell of a notebook that is run again registers its new class."""
    registry: Registry[type[Any]] = Registry("thing")
    for kind in (int, str):
        registry.add("mine")(kind)
    assert registry.get("mine") is str
    assert registry.names() == ["mine"]


def test_what_is_forgotten_is_gone_under_every_name() -> None:
    """A class that is taken out is unknown again, and a built-in it hid comes back."""
    registry: Registry[type[Any]] = Registry("thing", LAZY)
    registry.add("ordered")(registry.add("mine")(int))
    registry.add("other")(str)
    registry.forget(int)
    assert registry.names() == ["absent", "ordered", "other"]
    assert registry.get("ordered") is not int


def test_one_class_may_have_several_names() -> None:
    """Registering under a second name keeps the first."""
    registry: Registry[type[Any]] = Registry("thing")
    registry.add("a")(registry.add("b")(int))
    assert (registry.get("a"), registry.get("b")) == (int, int)


def test_listing_imports_nothing() -> None:
    """A built-in whose module cannot be imported is listed, and told of only when it is used."""
    registry: Registry[type[Any]] = Registry("thing", LAZY)
    assert registry.names() == ["absent", "ordered"]
    assert "absent" in registry
    with pytest.raises(ModuleNotFoundError, match="no_such_module_here"):
        registry.get("absent")


def test_a_built_in_is_imported_when_asked_for() -> None:
    """The string of a built-in gives the object it stands for."""
    from collections import OrderedDict

    assert Registry("thing", LAZY).get("ordered") is OrderedDict


def test_what_a_user_registers_wins_over_a_built_in() -> None:
    """A user's own class replaces the built-in of the same name."""
    registry: Registry[type[Any]] = Registry("thing", LAZY)
    registry.add("ordered")(int)
    assert registry.get("ordered") is int


def test_two_registries_share_nothing() -> None:
    """The name of a model is no name of a dataset."""
    one: Registry[type[Any]] = Registry("one")
    one.add("x")(int)
    assert "x" not in Registry("two")


def test_a_wrong_name_is_answered_with_a_guess() -> None:
    """A typo is told with its kind and with what was meant."""
    with pytest.raises(Unknown, match="no model called 'orcale'") as caught:
        MODELS.get("orcale")
    assert "did you mean 'oracle'" in caught.value.hint


def test_an_installed_plug_in_is_found(site: Path) -> None:
    """Another distribution adds a name by an entry point; listing it does not import it."""
    install(site, "hret.thing", "plugged", "plugged_in:Plugged")
    registry: Registry[type[Any]] = Registry("thing", LAZY)
    assert registry.names() == ["absent", "ordered", "plugged"]
    assert "plugged_in" not in sys.modules
    assert registry.get("plugged").__name__ == "Plugged"


def test_a_built_in_wins_over_an_installed_plug_in(site: Path) -> None:
    """A distribution cannot silently take the place of a built-in."""
    from collections import OrderedDict

    install(site, "hret.thing", "ordered", "plugged_in:Plugged")
    assert Registry("thing", LAZY).get("ordered") is OrderedDict


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.kind)
def test_every_kind_can_be_plugged_into(registry: Registry[Any], site: Path) -> None:
    """The group of each kind is one that a distribution may have: words joined by dots."""
    group = "hret." + registry.kind.replace(" ", "_")
    assert re.fullmatch(r"\w+(\.\w+)*", group)
    install(site, group, "plugged", "plugged_in:Plugged")
    assert registry.get("plugged").__name__ == "Plugged"


@pytest.mark.parametrize("registry", [EVALUATORS, MODELS], ids=lambda r: r.kind)
def test_every_built_in_is_there_under_its_own_name(registry: Registry[Any]) -> None:
    """No string of a registry points to nothing, and each class calls itself what it is called."""
    found = {name: registry.get(name).name for name in registry.names()}
    assert found
    assert all(name == own for name, own in found.items())
