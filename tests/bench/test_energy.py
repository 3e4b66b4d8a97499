"""Energy is what counters say; where they say nothing it is unknown, in the record as in memory."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
from pathlib import Path

import pytest
import torch

from rankbench.bench import energy
from rankbench.bench.analysis.costs import train_joules
from rankbench.bench.energy import Meter
from rankbench.bench.errors import UserError
from rankbench.bench.records.schema import Energy, RunRecord, from_json, to_json
from rankbench.bench.records.store import Store
from support.records import predictions, record

CPU = torch.device("cpu")


def counter(folder: Path, name: str, microjoules: int, largest: int = 1_000_000_000) -> Path:
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest}\n")
    return folder / "energy_uj"


def test_packages_and_their_memory_are_added_up_and_nothing_twice(tmp_path: Path) -> None:
    one = counter(tmp_path / "intel-rapl:0", "package-0", 5_000_000)
    counter(tmp_path / "intel-rapl:0:0", "core", 4_000_000)
    memory = counter(tmp_path / "intel-rapl:0:1", "dram", 1_000_000)
    counter(tmp_path / "intel-rapl:1", "psys", 9_000_000)
    counter(tmp_path / "intel-rapl-mmio:0", "package-0", 5_000_000)
    assert [folder.name for folder in energy.domains(tmp_path)] == ["intel-rapl:0", "intel-rapl:0:1"]
    meter = Meter(CPU, tmp_path)
    one.write_text("7500000")
    memory.write_text("1250000")
    spent = meter.lap()
    assert spent.cpu == pytest.approx(2.75) and math.isnan(spent.accelerator)
    assert meter.lap().cpu == 0.0, "a lap is counted once"
    assert energy.said(tmp_path) == (True, "RAPL counts 2 domains")


def test_a_counter_that_begins_again_is_followed(tmp_path: Path) -> None:
    file = counter(tmp_path / "intel-rapl:0", "package-0", 999_000_000)
    meter = Meter(CPU, tmp_path)
    file.write_text("3000000")
    assert meter.lap().cpu == pytest.approx(4.0)


@pytest.mark.parametrize("broken", ["absent", "unreadable", "taken away"])
def test_what_cannot_be_read_is_unknown_for_good(tmp_path: Path, broken: str) -> None:
    if broken != "absent":
        file = counter(tmp_path / "intel-rapl:0", "package-0", 1)
    if broken == "unreadable":
        file.write_text("no number")
    meter = Meter(CPU, tmp_path)
    if broken == "taken away":
        file.unlink()
    assert math.isnan(meter.lap().cpu)
    if broken == "taken away":
        file.write_text("5000000")
        assert math.isnan(meter.lap().cpu), "of a part of the time nothing is said"
    assert energy.said(tmp_path)[0] is (broken == "taken away")


def test_a_card_is_asked_by_its_own_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for NVML: no card was at hand."""
    asked, millijoules = [], iter([1_000, 1_000, 3_500])
    fake = types.ModuleType("pynvml")
    fake.NVMLError = type("NVMLError", (Exception,), {})  # type: ignore[attr-defined]
    fake.nvmlInit = lambda: None  # type: ignore[attr-defined]
    fake.nvmlDeviceGetHandleByUUID = asked.append  # type: ignore[attr-defined]
    fake.nvmlDeviceGetTotalEnergyConsumption = lambda handle: next(millijoules)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid="ab-12"))
    meter = Meter(torch.device("cuda", 1), Path("/nowhere"))
    assert meter.lap().accelerator == pytest.approx(2.5) and asked == ["GPU-ab-12"]

    def refused(handle: object) -> int:
        raise fake.NVMLError

    fake.nvmlDeviceGetTotalEnergyConsumption = refused  # type: ignore[attr-defined]
    assert energy.card(torch.device("cuda", 1)) is None, "a card before Volta"


def with_energy(made: RunRecord, spent: Energy | None) -> RunRecord:
    assert made.cost is not None
    return dataclasses.replace(made, cost=dataclasses.replace(made.cost, energy=spent))


def test_records_without_energy_stay_as_they_were_byte_for_byte(tmp_path: Path) -> None:
    old = record("din", predictions(1.0))
    text = to_json(old)
    assert "energy" not in json.loads(text)["cost"] and from_json(text, "here") == old
    new = with_energy(old, Energy(12.5, None))
    assert json.loads(to_json(new))["cost"]["energy"] == {"cpu": 12.5, "accelerator": None}
    assert from_json(to_json(new), "here") == new
    Store(tmp_path).write(new, None)
    with pytest.raises(UserError, match=r"cost.energy.cpu must be at least 0"):
        from_json(to_json(with_energy(old, Energy(-1.0, None))), "here")


def test_a_row_has_energy_if_all_of_its_runs_have() -> None:
    plain = record("din", predictions(1.0))
    runs = [with_energy(plain, Energy(joules, None)) for joules in (10.0, 20.0)]
    assert train_joules(runs) == 15.0
    assert train_joules([*runs, plain]) is None
    on_card = dataclasses.replace(with_energy(plain, Energy(None, 7.0)), device="cuda")
    assert train_joules([on_card]) == 7.0
    assert train_joules([with_energy(plain, Energy(None, 7.0))]) is None, "a card is no part of a run on the CPU"
