"""Names of models: found, selected, suggested, and never imported before they are used."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rankbench
from rankbench.bench import cli, registry
from rankbench.bench.errors import UserError
from rankbench.bench.registry import Entry


def test_the_models_of_the_comparison_are_there() -> None:
    assert set(registry.MODELS) >= {
        "random",
        "popularity",
        "ctr",
        "lr",
        "dnn",
        "deepfm",
        "dcnv2",
        "din",
        "sasrec",
        "llama",
        "hstu",
    }


def test_listing_models_imports_no_library() -> None:
    code = "import sys; from rankbench.bench import registry; print(len(registry.MODELS), 'torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == [str(len(registry.MODELS)), "False"]


def test_an_unknown_model_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"unknown model 'hstuu'; did you mean 'hstu'\? \(known: .*din"):
        registry.info("hstuu")


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if "deepctr" in name or name == "rankbench.baselines.deepfm"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent("deepctr_torch"), *sys.meta_path])
    with pytest.raises(UserError, match=r"model deepfm needs the package deepctr_torch: pip install deepctr.torch"):
        registry.info("deepfm")


class Absent:
    """Makes one package look as if it were not installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self.name)


def test_a_fault_within_the_package_is_not_taken_for_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.MODELS, "broken", Entry("baselines.there_is_no_such_file:INFO", "classical", ""))
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_file"):
        registry.info("broken")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("din", ("din",)),
        ("hstu,din", ("din", "hstu")),
        (" din , din ", ("din",)),
        ("generative", tuple(name for name, entry in registry.MODELS.items() if entry.family == "generative")),
        ("core", tuple(name for name, entry in registry.MODELS.items() if entry.core)),
        ("floor,hstu", ("random", "popularity", "own-rate", "ctr", "lr", "hstu")),
        ("all", tuple(registry.MODELS)),
        ("all,din", tuple(registry.MODELS)),
    ],
)
def test_selection_keeps_the_order_of_the_table(text: str, chosen: tuple[str, ...]) -> None:
    assert registry.select(text) == chosen


@pytest.mark.parametrize(
    ("text", "message"), [("clasical", "did you mean 'classical'"), ("", "unknown model ''"), ("din,,hstu", "''")]
)
def test_a_wrong_selection_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        registry.select(text)


FOUR_LINES = """
import dataclasses
from rankbench.baselines.lr import INFO as LR
INFO = dataclasses.replace(LR, name="mine", family="classical", summary="a floor under another name")
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with a model; what is registered in a test is forgotten after it."""
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    monkeypatch.setenv(registry.OWN_MODELS, "")
    (tmp_path / "mine.py").write_text(FOUR_LINES)
    return tmp_path / "mine.py"


def test_a_file_with_a_card_is_a_model_like_all_others(own: Path) -> None:
    """Also in the processes that are started from here, which inherit the environment."""
    assert registry.select(f"din,{own},lr") == ("lr", "din", "mine")
    assert registry.info("mine").summary == registry.MODELS["mine"].summary == "a floor under another name"
    assert registry.select("classical")[-1] == "mine" and "mine" not in registry.select("core")
    assert os.environ[registry.OWN_MODELS] == str(own)
    del registry.MODELS["mine"]
    registry.load_own()
    assert rankbench.register(own) == "mine" and os.environ[registry.OWN_MODELS] == str(own), "once, however often it is loaded"


def test_every_command_knows_what_the_environment_names(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(registry.OWN_MODELS, str(own))
    assert cli.main(["ls", "models"]) == 0 and "a floor under another name" in capsys.readouterr().out
    monkeypatch.setenv(registry.OWN_MODELS, f"{own}{os.pathsep}none.py")
    assert cli.main(["ls", "models"]) == 2 and "none.py; a model of your own is one with INFO" in capsys.readouterr().err


def test_a_card_may_be_registered_again_but_not_in_place_of_another_model(own: Path) -> None:
    card = registry.info(registry.load(own))
    assert rankbench.register(dataclasses.replace(card, summary="better")) == "mine"
    assert registry.MODELS["mine"].summary == "better"
    with pytest.raises(UserError, match="there is a model 'din' in the package; call your own otherwise"):
        rankbench.register(dataclasses.replace(card, name="din"))
    for name in ("all", "train", "Mine", "my model", ""):
        with pytest.raises(UserError, match=f"a model cannot be called {name!r}"):
            rankbench.register(dataclasses.replace(card, name=name))


@pytest.mark.parametrize(
    ("text", "message"),
    [("INFO = 1", "has no INFO = ModelInfo"), ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero")],
)
def test_a_file_that_has_no_model_is_refused(own: Path, text: str, message: str) -> None:
    own.write_text(text)
    with pytest.raises(UserError, match=rf"mine\.py {message}"):
        registry.load(own)
