"""A device called `npu` in Python over the CPU's memory: what would break on an accelerator breaks on a laptop.

Tensors are real PrivateUse1 tensors, so that everything passes torch's own dispatcher, autograd, optimisers and autocast under
the device type `npu`: mixed devices, float64 on the device and hidden synchronisations are seen. It says nothing about numbers or
speed of a real NPU. `install` renames PrivateUse1 once and for all: call it in a process of its own.

Four pieces make it whole:
1. torch's Python registration of PrivateUse1: the name, the guard, `torch.npu`;
2. DLPack capsules of CPU tensors whose device field is changed: they come back as npu tensors over the same memory;
3. a fallback for all operations: run on CPU aliases of the arguments, results wrapped again, views kept views;
4. autocast, storage copies and `torch.load`, for which torch expects kernels of the backend.
"""

from __future__ import annotations

import collections
import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration as registration

from . import simulated_graphs

SYNCS: collections.Counter[str] = collections.Counter()
"""Operation -> how often the host waited for the device."""
SENT: collections.Counter[str] = collections.Counter()
"""Type -> how often the host sent numbers to the device."""
OPERATIONS: collections.Counter[str] = collections.Counter()
"""Operation -> how often it reached the device."""

_KEYS = torch._C.DispatchKey
_CPU_KEYS = torch._C.DispatchKeySet(_KEYS.CPU)
_EXTERNAL_DEVICE = 12
"""kDLExtDev, which ATen reads as PrivateUse1; in a DLTensor it stands behind the pointer to the data."""

_WAITS = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_consecutive",
    "aten::unique_dim", "aten::equal", "aten::bincount",
}  # fmt: skip
_ONLY_GEOMETRY = {"aten::as_strided", "aten::view", "aten::_reshape_alias", "aten::unfold", "aten::set_"}
"""Their CPU kernels never touch the data."""
_IN_LOW_PRECISION = ("mm", "addmm", "bmm", "baddbmm", "matmul", "linear", "scaled_dot_product_attention")
_IN_FLOAT32 = ("layer_norm", "log_softmax.int", "softmax.int", "binary_cross_entropy_with_logits", "sum")

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_storage_clone = torch.UntypedStorage.clone
_libraries: list[torch.library.Library] = []


def to_npu(cpu: Tensor) -> Tensor:
    """The same memory as an npu tensor.

    Raises:
        TypeError: float64, which an NPU does not have.
    """
    if cpu.dtype in (torch.float64, torch.complex128):
        raise TypeError(f"an npu has no {str(cpu.dtype).removeprefix('torch.')}")
    cpu, boolean = cpu.detach().resolve_conj().resolve_neg(), cpu.dtype is torch.bool
    if cpu.data_ptr() == 0:  # DLPack needs memory behind it
        whole = torch.empty_strided([max(size, 1) for size in cpu.shape], cpu.stride(), dtype=cpu.dtype)
        cpu = whole[tuple(slice(size) for size in cpu.shape)]
    capsule = torch.utils.dlpack.to_dlpack(cpu.view(torch.uint8) if boolean else cpu)
    ctypes.c_int32.from_address(_capsule_pointer(capsule, b"dltensor") + 8).value = _EXTERNAL_DEVICE
    npu = torch.utils.dlpack.from_dlpack(capsule)
    return npu.view(torch.bool) if boolean else npu


def to_cpu(npu: Tensor) -> Tensor:
    """The same memory as a CPU tensor, for as long as the npu tensor lives."""
    size = npu.untyped_storage().nbytes()
    if size == 0 or npu.numel() == 0:
        return torch.empty_strided(npu.size(), npu.stride(), dtype=npu.dtype)
    memory = (ctypes.c_byte * size).from_address(npu.untyped_storage().data_ptr())
    flat = torch.frombuffer(memory, dtype=torch.uint8)[: size - size % npu.element_size()].view(npu.dtype)
    return flat.as_strided(npu.size(), npu.stride(), npu.storage_offset())


def _on_npu(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "npu"


def _view(base: Tensor, like: Tensor) -> Tensor:
    """A view of `base` with the geometry of `like`."""
    geometry = (list(like.size()), list(like.stride()), like.storage_offset())
    view = torch.ops.aten.as_strided.default.redispatch(_CPU_KEYS, base, *geometry)
    return view if view.dtype == like.dtype else torch.ops.aten.view.dtype.redispatch(_CPU_KEYS, view, like.dtype)


def _set_memory(npu: Tensor, new: Tensor) -> None:
    geometry = (new.storage_offset(), list(new.size()), list(new.stride()))
    torch.ops.aten.set_.source_Storage_storage_offset.redispatch(_CPU_KEYS, npu, new.untyped_storage(), *geometry)


def _resize(npu: Tensor, size: list[int]) -> Tensor:
    old, new = to_cpu(npu), torch.empty(size, dtype=npu.dtype)
    kept = min(old.numel(), new.numel())
    if kept and old.is_contiguous():
        new.view(-1)[:kept] = old.reshape(-1)[:kept]
    _set_memory(npu, to_npu(new))
    return npu


class _Call:
    """One operation on CPU aliases, and its results as npu tensors: arguments that were changed, views of them, or new ones."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self.npu_of: dict[int, Tensor] = {}
        self.owner: dict[int, Tensor] = {}
        self.on_npu = False

    def unwrap(self, value: Any) -> Any:
        if _on_npu(value):
            self.on_npu, alias = True, to_cpu(value)
            self.kept.append(alias)
            self.npu_of[id(alias)] = value
            if alias.untyped_storage().nbytes():
                self.owner[alias.untyped_storage().data_ptr()] = value
            return alias
        if isinstance(value, torch.device) and value.type == "npu":
            self.on_npu = True
            return torch.device("cpu")
        return type(value)(self.unwrap(entry) for entry in value) if isinstance(value, list | tuple) else value

    def wrap(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if id(value) in self.npu_of:
                return self.npu_of[id(value)]
            if not self.on_npu:
                return value
            base = self.owner.get(value.untyped_storage().data_ptr()) if value.untyped_storage().nbytes() else None
            return _view(base, value) if base is not None and value.numel() else to_npu(value)
        return type(value)(self.wrap(entry) for entry in value) if isinstance(value, list | tuple) else value

    def run(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        wanted = [str(argument.type) for argument in operation._schema.arguments]
        # A number that torch has wrapped as a tensor arrives as a number again.
        args = tuple(
            torch.tensor(value) if kind == "Tensor" and isinstance(value, int | float) else value
            for value, kind in zip(args, wanted, strict=False)
        )
        args, kwargs = self.unwrap(args), {key: self.unwrap(value) for key, value in kwargs.items()}
        before = [(alias, alias.shape, alias.untyped_storage().data_ptr()) for alias in self.kept]
        result = operation(*args, **kwargs)
        for alias, shape, place in before:  # an `out` argument may have been given other memory
            if alias.shape != shape or alias.untyped_storage().data_ptr() != place:
                _set_memory(self.npu_of[id(alias)], to_npu(alias.clone()))
        return self.wrap(result)


def _fallback(operation: Any, *args: Any, **kwargs: Any) -> Any:
    graph, name = simulated_graphs.recording(), operation._schema.name
    if graph is None:
        return _done(operation, *args, **kwargs)
    if name in _WAITS or (name == "aten::_copy_from" and _on_npu(args[0]) != _on_npu(args[1])):
        raise RuntimeError(f"{name} asks the host, which nobody does while a graph is recorded")
    if name in _ONLY_GEOMETRY:
        return _done(operation, *args, **kwargs)
    return graph.note(operation, _done, args, kwargs)


def _done(operation: Any, *args: Any, **kwargs: Any) -> Any:
    name = operation._schema.name
    OPERATIONS[name] += 1
    if name in _WAITS:
        SYNCS[name] += 1
    if name == "aten::_copy_from":
        source, target = args[:2]
        if _on_npu(source) and not _on_npu(target):
            SYNCS["device to host"] += 1
        if _on_npu(target) and not _on_npu(source):
            SENT[str(source.dtype)] += 1
        (to_cpu(target) if _on_npu(target) else target).copy_(to_cpu(source) if _on_npu(source) else source)
        return target
    if name == "aten::_copy_from_and_resize":
        return (args[1].resize_(args[0].shape) if args[0].shape != args[1].shape else args[1]).copy_(args[0])
    if name == "aten::resize_":
        return _resize(args[0], list(args[1]))
    if name in _ONLY_GEOMETRY:
        return operation.redispatch(_CPU_KEYS, *args, **kwargs)
    return _Call().run(operation, args, kwargs)


def _autocast(operation: Any, dtype: torch.dtype | None) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(_KEYS.AutocastPrivateUse1)):
            wanted = torch.get_autocast_dtype("npu") if dtype is None else dtype
            cast = lambda x: x.to(wanted) if _on_npu(x) and x.is_floating_point() else x  # noqa: E731
            return operation(*map(cast, args), **{key: cast(value) for key, value in kwargs.items()})

    return run


def _convolution(*args: Any) -> Any:
    return _fallback(torch.ops.aten.convolution.default, *args)


def _convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> Any:
    *geometry, groups, mask = rest
    sizes = [weight.size(1) * groups if geometry[3] else weight.size(0)]
    return _fallback(torch.ops.aten.convolution_backward.default, grad, x, weight, sizes, *geometry, groups, mask)


class _Module(registration._DummyBackendModule):
    """torch.npu."""

    __name__ = "torch.npu"
    compiles_for_each_shape = True
    """torch_npu's default on some generations."""

    NPUGraph, graph = simulated_graphs.NPUGraph, staticmethod(simulated_graphs.graph)
    Stream = simulated_graphs.Stream
    stream = device = staticmethod(simulated_graphs.nothing)

    def current_stream(self, device: Any = None) -> simulated_graphs.Stream:
        return simulated_graphs.Stream()

    def is_bf16_supported(self) -> bool:
        return True

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16, torch.float32]

    def set_device(self, device: torch.device) -> None:
        assert device.index == 0, "a process sees one device"

    def set_compile_mode(self, jit_compile: bool) -> None:
        self.compiles_for_each_shape = jit_compile

    def synchronize(self, device: Any = None) -> None:
        SYNCS["synchronize"] += 1

    def get_device_name(self, device: Any = None) -> str:
        return "simulated npu"

    def manual_seed(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)

    def get_rng_state(self, device: Any = "npu") -> Tensor:
        return torch.default_generator.get_state()

    def set_rng_state(self, state: Tensor, device: Any = "npu") -> None:
        torch.default_generator.set_state(state)

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        pass

    def max_memory_allocated(self, device: Any = None) -> int:
        return 0


def _clone_storage(storage: torch.UntypedStorage) -> torch.UntypedStorage:
    """What copies of a state_dict end in."""
    if storage.device.type != "npu":
        return _storage_clone(storage)
    memory = torch.empty(storage.nbytes(), dtype=torch.uint8)
    ctypes.memmove(memory.data_ptr(), storage.data_ptr(), storage.nbytes())
    return to_npu(memory).untyped_storage()


def _tag(storage: Any) -> str | None:
    return "npu:0" if storage.device.type == "npu" else None


def _restore(storage: Any, location: Any) -> torch.UntypedStorage | None:
    """torch.load onto the device, for which torch would ask an allocator of the backend."""
    if not str(location).startswith("npu"):
        return None
    untyped = storage.untyped() if hasattr(storage, "untyped") else storage
    memory = torch.empty(untyped.nbytes(), dtype=torch.uint8)
    memory.untyped_storage().copy_(untyped)
    return to_npu(memory).untyped_storage()


def install() -> None:
    """Make `npu` a device of this process, for good."""
    registration._setup_privateuseone_for_python_backend(
        "npu", _Module(), registration._DummyPrivateUse1Hook(), registration._DummyDeviceGuard()
    )
    torch.serialization.register_package(5, _tag, _restore)
    torch.UntypedStorage.clone = _clone_storage  # type: ignore[method-assign]
    everything, others = torch.library.Library("_", "IMPL"), torch.library.Library("_", "IMPL")
    everything.fallback(_fallback, "PrivateUse1")
    others.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    autocast = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for names, dtype in ((_IN_LOW_PRECISION, None), (_IN_FLOAT32, torch.float32)):
        for name in names:
            base, _, overload = name.partition(".")
            autocast.impl(name, _autocast(getattr(getattr(torch.ops.aten, base), overload or "default"), dtype))
    # Their kernels for unknown backends raise, which outranks a fallback.
    convolutions = torch.library.Library("aten", "IMPL")
    convolutions.impl("convolution_overrideable", _convolution, "PrivateUse1")
    convolutions.impl("convolution_backward_overrideable", _convolution_backward, "PrivateUse1")
    _libraries.extend((everything, others, autocast, convolutions))
