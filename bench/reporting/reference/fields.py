"""What a dataclass says of its fields: values, defaults and the docstrings below them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from typing import Any, Literal

from ...typed import OrNaN
from ..board_files import markdown_table

WORDS = {"ge": "from", "gt": "above", "le": "up to", "lt": "below", "min_length": "length from"}


def table(config: type) -> str:
    """Markdown: a row per setting."""
    said, allowed = texts(config), values(config)
    rows = [
        [f"`{field.name}`", f"`{shown(field.default)}`", allowed[field.name], said.get(field.name, "")]
        for field in dataclasses.fields(config)
    ]
    return "\n".join(markdown_table([["setting", "default", "values", "what it does"], *rows]))


def docstring(config: type) -> str:
    """Of the class, as one line."""
    return " ".join((config.__doc__ or "").split())


def shown(value: Any) -> str:
    """A default as YAML has it."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    return "[]" if value == () else str(value)


def values(config: type) -> dict[str, str]:
    """Field -> what it may be."""
    return {name: _values(hint) for name, hint in typing.get_type_hints(config, include_extras=True).items()}


def _values(hint: Any) -> str:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        if hint == OrNaN:
            return "number or null"
        return ", ".join((_values(of[0]), *filter(None, map(_bound, of[1:]))))
    if origin is Literal:
        return ", ".join(map(str, of))
    if origin in (typing.Union, types.UnionType):
        words = dict.fromkeys(_values(one) for one in of if one is not type(None))
        return " or ".join(words) + ", or null" * (type(None) in of)
    if origin is tuple:
        return f"list of {_several(_values(of[0]))}" if of[-1] is ... else f"list: {', '.join(map(_values, of))}"
    if origin is dict:
        return f"{_values(of[0])} → {_values(of[1])}"
    if dataclasses.is_dataclass(hint):
        if is_statement(hint):
            return "[statement](#statements)"
        name = hint.__name__  # type: ignore[union-attr]
        return f"[{name}](#{name.lower()})"
    return {int: "whole number", float: "number", bool: "true or false", str: "text", Any: "any value"}.get(hint, str(hint))


def _several(one: str) -> str:
    return {"whole number": "whole numbers", "number": "numbers", "text": "texts"}.get(one, one.replace("list:", "lists:"))


def is_statement(one: Any) -> bool:
    """Whether a dataclass is told from others by a `kind` of its own."""
    return len(typing.get_args(typing.get_type_hints(one).get("kind"))) == 1


def _bound(limit: Any) -> str:
    """Of annotated_types: each has one value, called as in WORDS. Other marks of a type say nothing of values."""
    return next((f"{word} {getattr(limit, name)}" for name, word in WORDS.items() if hasattr(limit, name)), "")


def texts(config: type) -> dict[str, str]:
    """The docstring below each field, of the class and those it inherits from; the nearest one counts."""
    found: dict[str, str] = {}
    for one in reversed(config.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, [*body.body[1:], None], strict=True):
            described = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and described:
                found[statement.target.id] = " ".join(str(after.value.value).split())  # type: ignore[union-attr]
    return found
