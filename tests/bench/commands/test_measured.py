"""How records of speed are named: what is measured tells them apart, and the usual call has the short name."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import torch

from rankbench.bench import cli
from rankbench.bench.commands.measured import record_name
from rankbench.bench.commands.speed import serve


def test_only_what_is_not_usual_is_in_the_name() -> None:
    usual = {"models": (("din", "hstu"), ("din", "hstu"))}
    assert record_name(("training", "ml-1m", "cpu", 1), usual) == "training-ml-1m-cpu-1"
    other = {"models": (("din",), ("din", "hstu")), "load": ((), (0.5,))}
    assert record_name(("training", 1), other) == "training-1-load=none+models=din"


def test_settings_are_in_the_name_in_any_order_and_of_any_length() -> None:
    one, two = "train.precision=bf16", "train.whole_step=graph"
    assert record_name(("large", "base"), {}, [one]) == "large-base-train.precision=bf16"
    assert record_name(("large", "base"), {}, [two, one]) == record_name(("large", "base"), {}, [one, two])
    names = {record_name(("large",), {}, [f"hstu.a={'x' * 300}{end}"]) for end in ("/1", "/2")}
    assert len(names) == 2 and all(len(name) < 120 and "/" not in name for name in names)


SERVE = {
    (): "serving-simulated-50-1000-cpu-1",
    ("--models", "onetrans,hstu,din,sasrec,llama,din-rankmixer"): "serving-simulated-50-1000-cpu-1",
    ("--history", "50", "--threads", "1", "--rounds", "9", "--seconds", "1"): "serving-simulated-50-cpu-1",
    ("--models", "din"): "serving-simulated-50-1000-cpu-1-models=din",
    ("--precision", "fp32,bf16"): "serving-simulated-50-1000-cpu-1-precision=fp32,bf16",
    ("--form", "compiled"): "serving-simulated-50-1000-cpu-1-form=compiled",
    ("--candidates", "5"): "serving-simulated-50-1000-cpu-1-candidates=5",
    ("--load", "none"): "serving-simulated-50-1000-cpu-1-load=none",
    ("--set", "hstu.width=32"): "serving-simulated-50-1000-cpu-1-hstu.width=32",
}


@pytest.mark.parametrize(("options", "name"), SERVE.items())
def test_measurements_of_serving_stand_beside_each_other(options: tuple[str, ...], name: str) -> None:
    assert _serving("simulated", *options) == name


def test_trained_models_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    names = set()
    for content in ("one", "two"):
        (tmp_path / "seed-0.safetensors").write_text(content)
        names.add(_serving("clicks", "--weights", str(tmp_path / "seed-0.safetensors")))
    assert len(names) == 2 and all(name.startswith("serving-clicks-hstu-cpu-1-weights=") for name in names)


def _serving(dataset: str, *options: str) -> str:
    args = cli.build_parser().parse_args(["speed", "serve", *options])
    data = types.SimpleNamespace(log=types.SimpleNamespace(meta=types.SimpleNamespace(name=dataset)))
    scorer = types.SimpleNamespace(info=types.SimpleNamespace(name="hstu"), data=data)
    return serve._record(args, scorer, torch.device("cpu"))  # type: ignore[arg-type]
