"""Choosing a device, what it supports, and what is said when it is not there."""

from __future__ import annotations

import contextlib
import importlib.util
import mmap

import pytest
import torch

from rankbench.bench import device as devices
from rankbench.bench.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def without_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a CPU alone, whatever this one has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delattr(torch, "npu", raising=False)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch_npu" else find(name, *rest))


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as questions go: nothing can be put on them."""
    monkeypatch.delattr(torch, "npu", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")


@pytest.mark.usefixtures("without_accelerator")
def test_auto_is_the_cpu_where_nothing_else_is() -> None:
    assert devices.resolve("auto") == devices.resolve("cpu") == CPU


@pytest.mark.usefixtures("without_accelerator")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", "device cuda is not available: this torch sees no NVIDIA GPU"),
        ("cuda:1", "device cuda:1 is not available"),
        ("npu", "device npu is not available: torch_npu is not installed; install CANN, then pip install"),
        ("gpu", "unknown device 'gpu'; choose auto, cpu, cuda, npu"),
        ("cuda:x", "unknown device 'cuda:x'"),
        ("cuda:-1", "unknown device 'cuda:-1'"),
        ("", "unknown device ''"),
    ],
)
def test_an_absent_device_is_an_error_that_says_what_to_do(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        devices.resolve(name)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_by_index() -> None:
    assert devices.resolve("auto") == torch.device("cuda")
    assert devices.resolve("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UserError, match="device cuda:2 is not available: there are 2 of kind cuda"):
        devices.resolve("cuda:2")


@pytest.mark.usefixtures("two_gpus")
def test_a_precision_that_the_device_lacks_is_named() -> None:
    assert devices.supports(torch.device("cuda"), "bf16") == "Tesla T4 has no bf16; use fp16"
    assert devices.supports(torch.device("cuda"), "fp16") is None
    assert devices.supports(CPU, "fp16") == "fp16 needs loss scaling on an accelerator; use bf16 or fp32"
    assert devices.supports(CPU, "bf16") is None and devices.supports(CPU, "fp32") is None


def test_autocast_computes_in_the_precision_that_was_asked_for() -> None:
    left, right = torch.ones(2, 2), torch.ones(2, 2)
    with devices.autocast(CPU, "bf16"):
        assert (left @ right).dtype == torch.bfloat16
    context = devices.autocast(CPU, "fp32")
    assert isinstance(context, contextlib.nullcontext)
    with context:
        assert (left @ right).dtype == torch.float32


def test_fp16_alone_scales_its_loss() -> None:
    assert devices.grad_scaler(CPU, "fp32") is None and devices.grad_scaler(CPU, "bf16") is None
    scaler = devices.grad_scaler(CPU, "fp16")
    assert isinstance(scaler, torch.amp.GradScaler) and scaler.scale(torch.ones(())).item() > 1


def test_peak_memory_keeps_the_largest_sample() -> None:
    memory = devices.PeakMemory(CPU)
    before = memory.megabytes()
    with mmap.mmap(-1, 2**27) as block:  # of the system, not of what the process was given before and keeps
        block.write(b"1" * 2**27)
        memory.sample()
    assert memory.megabytes() >= before + 100
    assert memory.megabytes() >= before + 100, "what was freed still counts"


def test_random_state_comes_back() -> None:
    state = devices.random_state(CPU)
    first = torch.rand(3)
    torch.rand(5)
    devices.set_random_state(CPU, state)
    assert torch.equal(torch.rand(3), first)


def test_the_cpu_has_no_accelerator_settings() -> None:
    devices.synchronize(CPU)
    assert devices.accelerator_name(CPU) is None
    assert devices.matmul_settings(CPU) == {}
    assert not devices.is_simulated(CPU)
    assert devices.threads()["torch"] == torch.get_num_threads()
