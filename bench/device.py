"""Where a run happens: cpu, cuda or npu behind one set of calls. Nothing else of the project asks which device it is on."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
import os
import sys
from collections.abc import Callable
from typing import Any

import psutil
import torch

from .errors import UserError

KINDS = ("cpu", "cuda", "npu")


def _module(kind: str) -> Any:
    """torch.cuda, torch.npu ...: the functions of an accelerator."""
    return getattr(torch, kind)


def why_absent(kind: str) -> str | None:
    """None if a device of this kind can be used here, else what to do about it."""
    if kind == "cpu":
        return None
    if kind == "cuda":
        if torch.cuda.is_available():
            return None
        return "this torch sees no NVIDIA GPU; check the driver, and that torch is a CUDA build (torch.version.cuda)"
    if not hasattr(torch, "npu"):
        if importlib.util.find_spec("torch_npu") is None:
            return "torch_npu is not installed; install CANN, then pip install 'rankbench[npu]' (it pins torch)"
        try:
            importlib.import_module("torch_npu")
        except (ImportError, RuntimeError) as error:
            return f"torch_npu cannot be imported ({' '.join(str(error).split())[:120]}); source CANN's set_env.sh first"
    return None if torch.npu.is_available() else "torch_npu is there but sees no NPU; check npu-smi info"  # type: ignore[attr-defined]


def resolve(name: str) -> torch.device:
    """The device of `auto`, cpu, cuda, npu, or one with an index such as cuda:1; an NPU is set up for batches of many lengths.

    Raises:
        UserError: it does not exist here.
    """
    if name == "auto":
        name = next(kind for kind in ("npu", "cuda", "cpu") if why_absent(kind) is None)
    kind, _, index = name.partition(":")
    if kind not in KINDS or (index and not index.isdecimal()):
        raise UserError(f"unknown device {name!r}; choose auto, cpu, cuda, npu or one with an index such as cuda:1")
    if reason := why_absent(kind):
        raise UserError(f"device {name} is not available: {reason}")
    if index and kind != "cpu" and int(index) >= _module(kind).device_count():
        raise UserError(f"device {name} is not available: there are {_module(kind).device_count()} of kind {kind}")
    if kind == "npu":
        # Packed batches differ in length: operators that are compiled ahead take any shape, others are compiled for each.
        torch.npu.set_compile_mode(jit_compile=False)  # type: ignore[attr-defined]
    return torch.device(name)


def of_process(name: str, local_rank: int) -> torch.device:
    """The device of one of the processes on this machine that train together; accelerators have one process each.

    Raises:
        UserError: it does not exist, or `name` gives every process the same one.
    """
    device = resolve(name)
    if device.type == "cpu":
        return device
    if device.index is not None:
        raise UserError(f"device {name} is one device, but each of the processes needs its own; use --device {device.type}")
    # Some schedulers show each process its own device alone.
    device = resolve(f"{device.type}:{local_rank if _module(device.type).device_count() > 1 else 0}")
    _module(device.type).set_device(device)
    return device


def collectives(device: torch.device) -> str:
    """Backends of torch.distributed: the vendor's for tensors on the device, gloo for the host."""
    return {"cpu": "cpu:gloo", "cuda": "cpu:gloo,cuda:nccl", "npu": "cpu:gloo,npu:hccl"}[device.type]


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, where it can (glibc): training asks for the same large blocks at every step.

    By default blocks above 32 MB go back to the system each time, and every page that comes again is cleared first: 4 to 14%
    of the steps of DIN and DIEN. What an earlier run of this process left is given back first, so that peaks are each run's own.
    """
    trim_threshold, mmap_max = -1, -4
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, 2**31 - 1)


def supports(device: torch.device, precision: str) -> str | None:
    """None if training in fp32, bf16 or fp16 works on this device, else the reason."""
    if precision == "fp32":
        return None
    if device.type == "cpu":
        return None if precision == "bf16" else "fp16 needs loss scaling on an accelerator; use bf16 or fp32"
    if precision == "bf16" and not _module(device.type).is_bf16_supported():
        return f"{accelerator_name(device)} has no bf16; use fp16"
    return None


def with_float64(device: torch.device) -> torch.device:
    """Where to compute in double precision: on this device if it has that, else on the CPU."""
    return device if device.type == "cuda" else torch.device("cpu")


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """Mixed precision for a forward pass; nothing for fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def grad_scaler(device: torch.device, precision: str) -> Any | None:
    """Loss scaling, which fp16 alone needs."""
    if precision != "fp16":
        return None
    if device.type == "npu":  # the scaler of torch itself goes through float64, which an NPU does not have
        return importlib.import_module("torch_npu.npu.amp").GradScaler()
    return torch.amp.GradScaler(device.type)


_GRAPHS = {"cuda": "CUDAGraph", "npu": "NPUGraph"}
"""Of an accelerator's module: its class of graphs."""


def why_no_graphs(device: torch.device) -> str | None:
    """None if work on this device can be recorded and replayed, else the reason."""
    if device.type not in _GRAPHS:
        return f"graphs are recorded on an accelerator, not on {device.type}"
    if not hasattr(_module(device.type), _GRAPHS[device.type]):
        return f"this torch_{device.type} has no graphs (torch.{device.type}.{_GRAPHS[device.type]}); a later one has"
    return None


def graphs(device: torch.device) -> tuple[Any, Callable[[], Any]]:
    """The accelerator's module, which knows streams and records, and what makes a new graph."""
    module = _module(device.type)
    return module, getattr(module, _GRAPHS[device.type])


def synchronize(device: torch.device) -> None:
    """Wait until everything that was started on the device is done, so that clocks tell the truth."""
    if device.type != "cpu":
        _module(device.type).synchronize(device)


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of the device's peak memory. A process's own peak cannot be reset."""
    if device.type != "cpu":
        _module(device.type).reset_peak_memory_stats(device)


class PeakMemory:
    """Peak memory of a cell in MB: allocated on an accelerator; on the CPU the largest resident size seen at each `sample`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.process = psutil.Process()
        self.largest = 0
        reset_peak_memory(device)

    def sample(self) -> None:
        """Look now."""
        self.largest = max(self.largest, self.process.memory_info().rss)

    def megabytes(self) -> float:
        """The peak so far."""
        self.sample()
        if self.device.type == "cpu":
            return self.largest / 2**20
        return _module(self.device.type).max_memory_allocated(self.device) / 2**20


def allocated(run: Callable[[], object], device: torch.device) -> int:
    """Bytes of tensors that live at once at the most while `run` runs, beyond those that lived before."""
    if device.type != "cpu":
        before = _module(device.type).memory_allocated(device)
        reset_peak_memory(device)
        run()
        synchronize(device)
        return _module(device.type).max_memory_allocated(device) - before
    profiler: Any = torch.autograd.profiler.profile(profile_memory=True)
    with profiler:
        run()
    events = [event for event in profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda one: one.start_ns())), default=0)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """State of the random generators that training draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        state[device.type] = _module(device.type).get_rng_state(device).cpu()
    return state


def set_random_state(device: torch.device, state: dict[str, torch.Tensor]) -> None:
    """Restores what `random_state` gave."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type != "cpu":
        _module(device.type).set_rng_state(state[device.type].cpu(), device)


def accelerator_name(device: torch.device) -> str | None:
    """Model of the accelerator, None on the CPU."""
    return None if device.type == "cpu" else _module(device.type).get_device_name(device)


def is_simulated(device: torch.device) -> bool:
    """True for a device that a test imitates in software; its results never enter a board."""
    return device.type == "npu" and "torch_npu" not in sys.modules


def matmul_settings(device: torch.device) -> dict[str, str]:
    """Whether fp32 matrix products may be rounded on the way (TF32 on NVIDIA, HF32 on Ascend)."""
    if device.type == "cuda":
        return {"tf32": str(torch.backends.cuda.matmul.allow_tf32)}
    if device.type == "npu" and not is_simulated(device):
        return {"hf32": str(torch.npu.matmul.allow_hf32)}  # type: ignore[attr-defined]
    return {}


def threads() -> dict[str, int | str]:
    """Threads that torch uses, and what the environment asked for."""
    return {"torch": torch.get_num_threads(), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "unset")}
