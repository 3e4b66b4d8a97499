"""Dataclasses from plain values, checked by pydantic: records and metadata in JSON, settings in YAML.

One library reads whatever this program reads. A key too many, a key too few, a value of another type, out of its bounds or
not finite is an error of one line that names the key. Bounds are constraints of a field's type, `Annotated[int, Ge(1)]`; what
several fields must fulfil together stands in the dataclass's `__post_init__`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from .errors import UserError, unknown_name

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
Broken = Callable[[str], UserError]
"""What is wrong with a file -> the error that names the file and says what to do."""


class _NullIsNaN:
    """Marks a float that may be undefined: NaN in memory, null in a file."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        number = core_schema.float_schema(allow_inf_nan=True, strict=True)
        return core_schema.no_info_before_validator_function(lambda value: math.nan if value is None else value, number)


OrNaN = Annotated[float, _NullIsNaN()]
"""A number that can be undefined, for example an AUC over one class: NaN in memory, null in a file."""


def finite(value: Any) -> Any:
    """Plain values for JSON: tuples as lists, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_YOUNGER = "younger"


def younger(default: Any) -> Any:
    """A field of a stored dataclass that came when there were files without it: they read as `default`, and where it is that no
    file holds it, so that what is read is written back byte for byte."""
    return dataclasses.field(default=default, metadata={_YOUNGER: True})


def plain(value: Any) -> Any:
    """A dataclass, and all that lies in it, as it is stored: keys with values, without younger fields at their defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {one.name: (one, getattr(value, one.name)) for one in dataclasses.fields(value)}
        return {
            name: plain(held) for name, (one, held) in found.items() if not (_YOUNGER in one.metadata and held == one.default)
        }
    if isinstance(value, dict):
        return {key: plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    return value


def as_json(value: Any) -> str:
    """A dataclass as it is stored: declared order, one space indent, floats that read back exactly, null for NaN."""
    return json.dumps(finite(plain(value)), indent=1, allow_nan=False) + "\n"


def text_of(path: Path, broken: Broken) -> str:
    """The text of a small file, UTF-8, of which one that another program wrote may begin with a mark.

    Raises:
        UserError: what `broken` makes of a file that is not there, cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise broken("cannot be read: it is not UTF-8 text") from None
    except FileNotFoundError:
        raise broken("does not exist") from None
    except OSError as error:
        raise broken(f"cannot be read: {error.strerror or error}") from None


def parse(text: str, broken: Broken) -> Any:
    """What a JSON text holds; NaN and Infinity, which JSON does not know, are refused."""
    from pydantic_core import from_json

    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise broken(f"is not JSON ({error})") from None


def read(cls: type[T], text: str, broken: Broken) -> T:
    """A dataclass from its JSON text, every key there but younger ones.

    Raises:
        UserError: what `broken` makes of the first thing that is wrong.
    """
    parse(text, broken)
    return _validated(cls, f"[{text}]", lambda said: broken(f"is broken: {said}"), "")


def from_dict(cls: type[T], values: Mapping[Any, Any], where: str, base: T | None = None) -> T:
    """A dataclass from plain values; keys that are absent keep the values of `base` (or the defaults).

    Raises:
        UserError: a key that does not exist (with the nearest one), a value of the wrong type or out of bounds, named as
            `where.key`, or a combination that the class refuses with a ValueError.
    """
    given = {} if base is None else {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}  # type: ignore[arg-type]
    # A day in YAML is no value of any setting, but may be meant as text.
    text = json.dumps([{**given, **values}], default=str)
    return _validated(cls, text, UserError, where)


@functools.cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    # The settings of an adapter hold for dataclasses within what it reads, not for one that it is made of: hence the tuple.
    return TypeAdapter(tuple[cls], config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))  # type: ignore[valid-type]


def _validated(cls: type[T], text: str, refuse: Callable[[str], UserError], where: str) -> T:
    from pydantic import ValidationError

    try:
        read: tuple[T] = _adapter(cls).validate_json(text)
    except ValidationError as error:
        raise refuse(_said(cls, error, where)) from None
    return read[0]


_WANTED = {
    "int_type": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list such as [200, 80]",
    "list_type": "a list",
    "dict_type": "keys with values",
    "dataclass_type": "keys with values",
    "finite_number": "a finite number",
    "none_required": "null",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list of at least {min_length}",
}
"""Kind of pydantic's error -> what a value must be."""

_BRANCHES = ("int", "float", "str", "bool")
"""What pydantic puts behind a key whose value may be of several types."""

_KEY = "[key]"
"""What it puts behind a key that is wrong itself."""


def _said(cls: type, error: ValidationError, where: str) -> str:
    """The first thing that is wrong, in one line; a key that does not exist goes before one that is missing."""
    details = error.errors(include_url=False)
    first = next((one for one in details if one["type"] == "unexpected_keyword_argument"), details[0])
    kind, place = first["type"], first["loc"][1:]  # behind the adapter's tuple
    if kind == "value_error":
        return f"{_path(where, place) or 'the whole'}: {first['ctx']['error']}"  # type: ignore[typeddict-item]
    if kind == "unexpected_keyword_argument":
        inside = _path(where, place[:-1])
        return str(unknown_name(f"key{' in ' if inside else ''}{inside}", str(place[-1]), _keys(cls, place[:-1])))
    if kind == "missing":
        lacking = [str(one["loc"][-1]) for one in details if one["type"] == "missing" and one["loc"][1:-1] == place[:-1]]
        return f"{_path(where, place[:-1]) or 'it'} lacks {', '.join(lacking)}"
    of_key = bool(place) and place[-1] == _KEY
    if place and (of_key or place[-1] in _BRANCHES):
        place = place[:-1]
    name, value = _path(where, place[:-1] if of_key else place), first["input"]
    if kind == "literal_error":
        known = typing.get_args(typing.get_args(_hint(cls, place[:-1]))[0]) if of_key else _choices(cls, place)
        return str(unknown_name(f"{'key' if of_key else 'value'} of {name}", str(value)[:60], map(str, known)))
    bounds = {key: f"{bound:g}" if isinstance(bound, float) else bound for key, bound in first.get("ctx", {}).items()}
    wanted = _WANTED[kind].format(**bounds) if kind in _WANTED else first["msg"].lower()
    shown = str(value) if isinstance(value, int | float) else repr(value)
    return f"{name or 'it'} must be {wanted}, not {shown[:60]}"


def _path(where: str, place: Sequence[int | str]) -> str:
    text = where
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _hint(cls: Any, place: Sequence[int | str]) -> Any:
    """The type at a place within what `cls` holds."""
    hint = cls
    for part in place:
        if (tagged := _tagged(hint, part)) is not None:
            hint = tagged
            continue
        hint = _plain(hint)
        arguments = typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            hint = typing.get_type_hints(hint, include_extras=True)[str(part)]
        elif typing.get_origin(hint) is dict:
            hint = arguments[1]
        elif typing.get_origin(hint) is tuple and isinstance(part, int):
            hint = arguments[0] if arguments[-1] is ... else arguments[part]
    return _plain(hint)


def _tagged(hint: Any, part: int | str) -> Any:
    """Of a union of dataclasses that are told apart by their `kind`, the one whose kind pydantic put into the place."""
    while typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    members = [one for one in typing.get_args(hint) if dataclasses.is_dataclass(one)]
    if typing.get_origin(hint) not in (typing.Union, types.UnionType) or len(members) < 2:
        return None
    return next(one for one in members if part in typing.get_args(typing.get_type_hints(one)["kind"]))


def _plain(hint: Any) -> Any:
    """Without constraints and without null."""
    while True:
        arguments = typing.get_args(hint)
        if typing.get_origin(hint) is Annotated:
            hint = arguments[0]
        elif typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(one for one in arguments if one is not type(None))
        else:
            return hint


def _keys(cls: type, place: Sequence[int | str]) -> list[str]:
    return [f.name for f in dataclasses.fields(_hint(cls, place))]


def _choices(cls: type, place: Sequence[int | str]) -> tuple[Any, ...]:
    hint = _hint(cls, place)
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
