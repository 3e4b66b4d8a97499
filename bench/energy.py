"""Energy as the hardware counts it: RAPL of processor packages (Linux powercap), NVML of NVIDIA cards.

Both count all that ran on the package or the card, whoever started it. Many systems let root alone read RAPL, and virtual
machines have none; NVML needs the package nvidia-ml-py and a card of Volta's generation or later. What cannot be read is unknown,
never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Joules:
    """NaN: unknown."""

    cpu: float
    """Of all processor packages, and of memory where it has a counter of its own."""
    accelerator: float
    """Of the one card that is asked about."""


@dataclass
class _Domain:
    """One RAPL counter, in microjoules; it begins again at 0 behind its range."""

    folder: Path
    range: int
    last: int

    @classmethod
    def at(cls, folder: Path) -> _Domain:
        """Raises OSError or ValueError: it cannot be read."""
        return cls(folder, int((folder / "max_energy_range_uj").read_text()), int((folder / "energy_uj").read_text()))

    def lap(self) -> float:
        """Joules since the last look, which lies less than one range back: about an hour at full load, on a small package."""
        now = int((self.folder / "energy_uj").read_text())
        spent = now - self.last if now >= self.last else now + self.range - self.last
        self.last = now
        return spent / 1e6


@dataclass
class Meter:
    """Counts from the moment when it is made."""

    device: torch.device
    powercap: Path = POWERCAP
    _domains: list[_Domain] | None = field(init=False)
    _card: Callable[[], float] | None = field(init=False)
    _card_last: float = field(init=False, default=math.nan)

    def __post_init__(self) -> None:
        try:
            self._domains = [_Domain.at(folder) for folder in domains(self.powercap)] or None
        except (OSError, ValueError):
            self._domains = None
        self._card = card(self.device)
        if self._card is not None:
            self._card_last = self._card()

    def lap(self) -> Joules:
        """Since the last lap, or the beginning."""
        return Joules(self._cpu(), self._accelerator())

    def _cpu(self) -> float:
        if self._domains is None:
            return math.nan
        try:
            return math.fsum(domain.lap() for domain in self._domains)
        except (OSError, ValueError):  # taken away meanwhile: what is known no longer covers the whole
            self._domains = None
            return math.nan

    def _accelerator(self) -> float:
        if self._card is None:
            return math.nan
        now, before = self._card(), self._card_last
        self._card_last = now
        return now - before


def domains(powercap: Path = POWERCAP) -> list[Path]:
    """Folders of the counters that together are processors and their memory: packages, and `dram` within them."""
    found = []
    for folder in sorted(powercap.glob("intel-rapl:*")):  # so named on AMD's processors too
        try:
            name = (folder / "name").read_text().strip()
        except OSError:
            continue
        if name.startswith("package") or name == "dram":
            found.append(folder)
    return found


def card(device: torch.device) -> Callable[[], float] | None:
    """Joules that an NVIDIA card took since its driver was loaded; None if it does not say."""
    if device.type != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        # By its own id: torch numbers the cards that it is shown, NVML all of them.
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None

    def joules() -> float:
        try:
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
        except pynvml.NVMLError:
            return math.nan

    return joules


def said(powercap: Path = POWERCAP) -> tuple[bool, str]:
    """Whether the energy of processors can be read here, and in words why or why not."""
    found = domains(powercap)
    if not found:
        return False, "this machine shows no RAPL counters; costs of runs are without the energy of processors"
    try:
        for folder in found:
            _Domain.at(folder)
    except (OSError, ValueError):
        return False, f"{found[0]}/energy_uj cannot be read; root alone may, unless it is made readable"
    return True, f"RAPL counts {len(found)} domain{'' if len(found) == 1 else 's'}"
