"""Nested values as tensors in a row and back: a program takes and gives tensors alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor in dataclasses, tuples, lists, dictionaries and objects with slots, by its place, in one order."""
    if isinstance(value, Tensor):
        return {name: value}
    found: dict[str, Tensor] = {}
    for key, part in _parts(value):
        found |= tensors(part, f"{name}.{key}" if name else key)
    return found


def with_tensors(value: Any, given: Iterable[Tensor]) -> Any:
    """The same nested value around other tensors, in the order of `tensors`.

    Raises:
        ValueError: they are more or fewer than there are places.
    """
    others, places = list(given), tensors(value)
    if len(others) != len(places):
        raise ValueError(f"{len(others)} tensors for {len(places)} places")
    remaining = iter(others)
    return _replaced(value, lambda _: next(remaining))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, (tuple, list)):
        yield from zip(getattr(value, "_fields", map(str, range(len(value)))), value, strict=True)
    elif is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value) if field.init)
    else:
        yield from ((key, getattr(value, key)) for key in getattr(value, "__slots__", ()))


def _replaced(value: Any, other: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return other(value)
    made = {key: _replaced(part, other) for key, part in _parts(value)}
    if isinstance(value, dict):
        return dict(zip(value, made.values(), strict=True))
    if isinstance(value, (tuple, list)):
        kind = type(value)
        return kind(*made.values()) if hasattr(kind, "_fields") else kind(made.values())
    if is_dataclass(value):
        return type(value)(**made)
    if not made:
        return value
    new = copy.copy(value)
    for key, part in made.items():
        setattr(new, key, part)
    return new
