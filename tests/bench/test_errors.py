"""What the machine lacks is said in one line that tells what to do; a fault of the program keeps its traceback."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from rankbench.bench import cli, doctor
from rankbench.bench.errors import MACHINE, of_machine, why


@pytest.mark.parametrize("number", sorted(MACHINE - {errno.ENOMEM}))
def test_what_the_system_refuses_names_the_file_and_the_reason(number: int) -> None:
    said = str(of_machine(OSError(number, os.strerror(number), "here/it.npy")))
    assert said.startswith(f"here/it.npy cannot be used ({os.strerror(number)}); ")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"),
    ],
)
def test_memory_that_runs_out_is_said(error: Exception) -> None:
    assert str(of_machine(error)).startswith("memory ran out (")


def test_a_write_of_numpy_that_comes_short_is_a_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError) as short:
        np.zeros(10_000).tofile(full)
    assert why(short.value) == os.strerror(errno.ENOSPC) and of_machine(short.value) is not None


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("shapes differ"), FileNotFoundError(2, "none"), OSError("what")])
def test_other_errors_are_the_programs_own(error: Exception) -> None:
    assert of_machine(error) is None


def test_a_command_ends_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lacking(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "cache/logs")

    monkeypatch.setattr(doctor, "examine", lacking)
    assert cli.main(["doctor"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rankbench: error: cache/logs cannot be used (Read-only file system); ")
