"""Numbers as files keep them: rounded, so that the last digits of a sum, which differ between processors, are never stored.

A library adds in an order that suits the processor, and its logarithms differ there in the last digit too: by some 1e-16 of
numbers around 1. Nothing that is measured here is known to better than 1e-4.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

DIGITS = 10
"""After the point of numbers below 1, and in all of larger ones: a million times what processors differ by."""

T = TypeVar("T")


def rounded(value: T) -> T:
    """The same with every float in it rounded, inside dictionaries, lists, tuples and dataclasses too; other values stay."""
    return _rounded(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return _number(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _rounded(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_rounded, value))
    if isinstance(value, list | tuple):
        return type(value)(map(_rounded, value))
    return value


def _number(value: float) -> float:
    if not math.isfinite(value) or value == 0:
        return value
    before = max(0, math.floor(math.log10(abs(value))) + 1)
    # + 0.0: a difference that is rounded away has no sign.
    return round(value, DIGITS - before) + 0.0
