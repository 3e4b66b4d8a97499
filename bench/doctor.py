"""What this machine offers and what it lacks, found without assuming that torch can even be imported."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import packages, resources
from .data.sources import DATASETS

LEAST_MEMORY_GB, LEAST_DISK_GB, LEAST_FILES = 2.0, 2.0, 100_000
"""Below which a long run is likely to fail: ml-1m takes .6 to 1 GiB a process; records, scores, weights and checkpoints of a
board some hundred MB."""
LEAST_OPEN_FILES = 512
"""A process has some dozen files and pipes open, and one for each array of a log; a database or a search adds its own."""


@dataclass(frozen=True)
class Condition:
    """One line of `rankbench doctor`."""

    name: str
    value: str
    state: Literal["ok", "none", "warn", "FAIL"] = "ok"
    """none: not here, and not needed by everybody. warn: a long run may fail by this. FAIL: `rankbench run` cannot work before
    this is mended."""


def examine(root: Path | None, cache: Path, results: Path) -> list[Condition]:
    """Everything that decides whether and where a benchmark can run."""
    return [
        Condition("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"),
        *_torch(),
        _cann(),
        *_packages(),
        _compiler(),
        _memory(),
        _open_files(),
        _data_root(root),
        _folder("cache", cache),
        _folder("results", results),
    ]


def why_torch_fails(error: BaseException) -> str:
    """One line about an error of `import torch`, with the cure for an accelerator backend that torch loads by itself."""
    text = " ".join(str(error).split())
    backend = re.search(r"backend extension: (\w+)", text)
    if backend is None:
        return f"torch cannot be imported: {text[:200]}"
    library = "CANN: source its set_env.sh" if backend[1] == "torch_npu" else "the libraries that it needs"
    return (
        f"torch cannot be imported because it loads {backend[1]} by itself, which fails here; provide {library}, "
        f"or set TORCH_DEVICE_BACKEND_AUTOLOAD=0 to go on without it, or uninstall {backend[1].replace('_', '-')}"
    )


def _torch() -> list[Condition]:
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        return [Condition("torch", why_torch_fails(error), state="FAIL")]
    from . import device as devices

    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
    findings = [Condition("torch", f"{torch.__version__}, built for {built_for}")]
    for kind in devices.KINDS:
        reason = devices.why_absent(kind)
        findings.append(Condition(kind, reason, "none") if reason else Condition(kind, _device(devices.resolve(kind))))
    threads = devices.threads()
    findings.append(Condition("threads", f"torch uses {threads['torch']}; OMP_NUM_THREADS is {threads['OMP_NUM_THREADS']}"))
    findings.append(Condition("--device auto", str(devices.resolve("auto"))))
    from . import energy

    counted, words = energy.said()
    findings.append(Condition("energy", words, "ok" if counted else "none"))
    return [*findings, *_kernels()]


def _kernels() -> list[Condition]:
    """What runs on the CPU; the reason, where it is not the preferred implementation."""
    import torch

    from . import implementations

    rows = list(implementations.table(torch.device("cpu")))
    chosen = Condition("kernels", ", ".join(f"{row.operation} {row.implementation}" for row in rows if row.chosen))
    passed_over = {}
    for row in rows:
        if row.available != "available":
            passed_over[row.available] = [*passed_over.get(row.available, []), f"{row.operation}={row.implementation}"]
    return [chosen, *(Condition("kernels", f"not {', '.join(which)}: {why}", "none") for why, which in passed_over.items())]


def _device(device: object) -> str:
    import torch

    from . import device as devices

    assert isinstance(device, torch.device)
    precisions = [precision for precision in ("fp32", "bf16", "fp16") if devices.supports(device, precision) is None]
    settings = [f"{key} {value}" for key, value in devices.matmul_settings(device).items()]
    return ", ".join([devices.accelerator_name(device) or "always here", " ".join(precisions), *settings])


def _cann() -> Condition:
    home = os.environ.get("ASCEND_TOOLKIT_HOME") or os.environ.get("ASCEND_HOME_PATH")
    return (
        Condition("CANN", home)
        if home
        else Condition("CANN", "ASCEND_TOOLKIT_HOME is not set (set_env.sh of CANN sets it)", "none")
    )


def _packages() -> list[Condition]:
    """Versions of rankbench and of what it requires, extras left out."""
    try:
        required = importlib.metadata.requires("rankbench") or []
    except importlib.metadata.PackageNotFoundError:
        return [Condition("rankbench", "not installed: pip install -e .", state="FAIL")]
    names = [re.split(r"[^\w.-]", text)[0] for text in required if "extra ==" not in text]
    versions = {name: packages.version(name) for name in ("rankbench", *names)}
    lacking = [name for name, version in versions.items() if version is None]
    if lacking:
        return [Condition("packages", f"missing: {', '.join(lacking)}; pip install {' '.join(lacking)}", state="FAIL")]
    return [Condition("packages", ", ".join(f"{name} {version}" for name, version in versions.items()))]


def _compiler() -> Condition:
    path = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if path is None:
        return Condition("compiler", "no g++, c++ or clang++; fused kernels of the CPU need one", "none")
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Condition("compiler", f"{path} does not run: {error}", "none")
    return Condition("compiler", answer.splitlines()[0] if answer else path)


def _data_root(root: Path | None) -> Condition:
    if root is None:
        return Condition(
            "data root", "neither RANKBENCH_DATA nor --data-root; data sets are fetched from their publishers", "none"
        )
    if not os.access(root, os.R_OK | os.X_OK):
        return Condition("data root", f"{root} cannot be read; let this user read it, or name another one", "FAIL")
    held = [name for name in DATASETS if (root / name).is_dir()]
    return Condition("data root", f"{root} with {', '.join(held) if held else 'no folder named as in `rankbench ls datasets`'}")


def _memory() -> Condition:
    found = resources.memory()
    said = f"{found.total_gb:.1f} GiB, {found.available_gb:.1f} of them to be had"
    if found.available_gb < LEAST_MEMORY_GB:
        return Condition("memory", f"{said}; that is little: end other programs, and use --jobs 1", "warn")
    return Condition("memory", said)


def _open_files() -> Condition:
    found = resources.open_files()
    if found.soft >= LEAST_OPEN_FILES:
        return Condition("open files", f"{found.soft} at most")
    cure = f"ulimit -n {min(found.hard, 4096)}" if found.hard >= LEAST_OPEN_FILES else "ask for a higher limit (limits.conf)"
    return Condition("open files", f"{found.soft} at most, which several processes or a search may need; {cure}", "warn")


def _folder(name: str, folder: Path) -> Condition:
    """Whether a folder can be written, or made, and how much fits."""
    found = resources.disk(folder)
    if not found.writable:
        return Condition(name, f"{folder} cannot be written; let this user write to {found.folder}", state="FAIL")
    said = f"{folder}, {found.free_gb:.1f} GiB free"
    if found.free_gb < LEAST_DISK_GB:
        return Condition(name, f"{said}; that is little: free some space or choose another folder", "warn")
    if found.files is not None and found.files < LEAST_FILES:
        return Condition(name, f"{said}, but only {found.files:,} more files fit there", "warn")
    return Condition(name, said)
