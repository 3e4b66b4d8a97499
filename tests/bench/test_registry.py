"""Names of models: found, selected, suggested, and never imported before they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rankbench.bench import registry
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
