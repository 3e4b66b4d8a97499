"""Programs run where their tensors lie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from rankbench.kernels.started import start


class Program:
    """Notes how it is started."""

    arg_names = ("x", "n", "TILE")

    def __init__(self) -> None:
        self.started: list[tuple[tuple[int, ...], dict[str, Any], list[str]]] = []
        self.current: list[str] = ["cuda:0"]

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda **given: self.started.append((grid, given, list(self.current)))


def test_a_program_takes_what_it_has_a_name_for_on_the_gpu_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    program, tensor = Program(), torch.zeros(2)

    @contextlib.contextmanager
    def current(device: torch.device) -> Iterator[None]:
        program.current.append(str(device))
        yield
        program.current.pop()

    monkeypatch.setattr(torch.cuda, "device", current)
    start(program, (3, 4), {"x": tensor, "n": 2, "other": 5}, TILE=8)
    there = tensor.as_subclass(type("There", (torch.Tensor,), {"device": property(lambda _: torch.device("cuda", 1))}))
    start(program, (3,), {"n": 2, "x": there}, TILE=8)
    assert program.started == [
        ((3, 4), {"x": tensor, "n": 2, "TILE": 8}, ["cuda:0"]),
        ((3,), {"x": there, "n": 2, "TILE": 8}, ["cuda:0", "cuda:1"]),
    ]
