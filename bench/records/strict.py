"""Dataclasses as JSON and back, strictly: a key too many, a key too few or a value of another type is an error."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from ..errors import UserError

T = TypeVar("T")
Broken = Callable[[str], UserError]
"""What is wrong with a file -> the error that names the file and says what to do."""


def finite(value: Any) -> Any:
    """Plain values for JSON: tuples as lists, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load(text: str, broken: Broken) -> Any:
    """What a JSON text holds; NaN and Infinity, which JSON does not know, are refused."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise broken(f"is not JSON ({error.msg}, line {error.lineno})") from None
    except ValueError as error:
        raise broken(f"is not JSON ({error})") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}")


def read(cls: type[T], raw: Any, broken: Broken) -> T:
    """A dataclass from plain values; a null where a float stands is NaN."""
    return _read(cls, raw, broken, "")


def _read(hint: Any, value: Any, broken: Broken, key: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        fields = {f.name for f in dataclasses.fields(hint)}
        if not isinstance(value, dict) or value.keys() != fields:
            given = value.keys() if isinstance(value, dict) else set()
            wrong = ", ".join(sorted(fields ^ given)) or "its value"
            raise broken(f"is broken: {key or 'the whole'} has missing or unknown keys ({wrong})")
        hints = typing.get_type_hints(hint)
        return hint(**{name: _read(hints[name], value[name], broken, f"{key}.{name}".lstrip(".")) for name in value})
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        options = [arg for arg in args if arg is not type(None)]
        # `float | int`: a count stays an int.
        return _read(next((arg for arg in options if arg is type(value)), options[0]), value, broken, key)
    if origin is Literal and value in args:
        return value
    if origin is dict and isinstance(value, dict):
        return {name: _read(args[1], entry, broken, f"{key}.{name}") for name, entry in value.items()}
    if origin is tuple and isinstance(value, list):
        return tuple(_read(args[0], entry, broken, f"{key}[{at}]") for at, entry in enumerate(value))
    if hint is float and value is None:
        return math.nan
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise broken(f"is broken: {key} has the wrong type ({str(value)[:60]!r})")
