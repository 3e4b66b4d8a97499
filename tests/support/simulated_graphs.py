"""Graphs of the simulated npu: every operation that reaches the device while one is recorded is done again, on the same memory,
at each replay, whatever the host would decide by then.

As on a card, recording itself does nothing: what it wrote to is put back. Whoever waits for the device meanwhile, or sends it
something, is stopped. Other threads, which put the next batches together, are not recorded.
"""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

COUNTS: collections.Counter[str] = collections.Counter()
"""How many graphs were recorded, and how often one was replayed."""

Run = Callable[..., Any]
_recording: NPUGraph | None = None


class NPUGraph:
    """torch.npu.NPUGraph."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Run, tuple[Any, ...], dict[str, Any], Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        """What is written to, by where it lies: tensors of the CPU over the whole memory, and what they held."""

    def pool(self) -> tuple[int, int]:
        return (0, 1)

    def replay(self) -> None:
        from .simulated_npu import to_cpu

        COUNTS["replayed"] += 1
        for operation, run, args, kwargs, result in self.calls:
            again = run(operation, *args, **kwargs)
            for old, new in zip(_tensors(result), _tensors(again), strict=True):
                if old is not new and _place(old) not in {_place(one) for one in _tensors((args, kwargs))}:
                    to_cpu(old).copy_(to_cpu(new))

    def note(self, operation: Any, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do an operation and remember it."""
        from .simulated_npu import to_cpu

        for tensor in _written(operation, args, kwargs):
            if tensor.device.type == "npu" and _place(tensor) not in self.before:
                whole = to_cpu(tensor.detach().as_strided((tensor.untyped_storage().nbytes() // tensor.element_size(),), (1,), 0))
                self.before[_place(tensor)] = whole, whole.clone()
        result = run(operation, *args, **kwargs)
        if not operation._schema.name.startswith(("aten::empty", "aten::new_empty")):  # memory alone, which is there
            self.calls.append((operation, run, args, kwargs, result))
        return result

    def put_back(self) -> None:
        for whole, held in self.before.values():
            whole.copy_(held)
        self.before.clear()


def recording() -> NPUGraph | None:
    """What operations of this thread belong to."""
    return None if threading.current_thread().name.startswith("ThreadPoolExecutor") else _recording


@contextlib.contextmanager
def graph(npu_graph: NPUGraph, pool: object = None, stream: object = None, capture_error_mode: str = "global") -> Iterator[None]:
    """torch.npu.graph."""
    global _recording
    _recording = npu_graph
    COUNTS["recorded"] += 1
    try:
        yield
    finally:
        _recording = None
    npu_graph.put_back()


class Stream:
    """torch.npu.Stream: the simulated device does everything at once."""

    def __init__(self, device: object = None) -> None:
        pass

    def wait_stream(self, other: Stream) -> None:
        pass


@contextlib.contextmanager
def nothing(_: object) -> Iterator[None]:
    """torch.npu.stream, torch.npu.device."""
    yield


def _tensors(value: Any) -> list[Tensor]:
    return [one for one in tree_leaves(value) if isinstance(one, Tensor)]


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _written(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Arguments that an operation writes to."""
    if operation._schema.name in ("aten::_copy_from", "aten::_copy_from_and_resize"):
        return [args[1]]
    arguments = operation._schema.arguments
    named = {one.name: value for one, value in zip(arguments, args, strict=False)} | kwargs
    return _tensors([named.get(one.name) for one in arguments if one.alias_info is not None and one.alias_info.is_write])
