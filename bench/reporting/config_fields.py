"""What a config's dataclass says of its fields: values, defaults and the docstrings below them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from typing import Any, Literal

from ..config import DataConfig, TrainConfig

WORDS = {"ge": "from", "gt": "above", "le": "up to", "lt": "below", "min_length": "length from"}


def settings_page() -> str:
    """docs/settings.md: what `--set data.KEY=VALUE` and `--set train.KEY=VALUE` may change."""
    return f"""\
# Settings

Generated from the code by `rankbench ls settings --markdown`; a test holds it up to date. A setting stands in a YAML file that
`--config` names, below its section, or in `--set section.key=value`, which stands above the file. A key that does not exist is an
error that names the nearest one; so is a setting that changes nothing.

`model.train.lr` is a setting of training for one model alone: `--set din.train.lr=2e-3`. Settings of the models themselves are in
[models.md](models.md), columns of a table of your own in [data.md](data.md).

## data

{_docstring(DataConfig)}

{table(DataConfig)}

## train

{_docstring(TrainConfig)}

{table(TrainConfig)}
"""


def _docstring(config: type) -> str:
    return " ".join((config.__doc__ or "").split())


def table(config: type) -> str:
    """Markdown: a row per field."""
    said, allowed = texts(config), values(config)
    rows = ["| setting | default | values | what it does |", "|---|---|---|---|"]
    for field in dataclasses.fields(config):
        cells = (f"`{field.name}`", f"`{_shown(field.default)}`", allowed[field.name], said.get(field.name, ""))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _shown(value: Any) -> str:
    """As YAML has it."""
    if isinstance(value, float):
        return f"{value:g}"
    return {None: "null", True: "true", False: "false", (): "[]"}.get(value, str(value))


def values(config: type) -> dict[str, str]:
    """Field -> what it may be."""
    return {name: _values(hint) for name, hint in typing.get_type_hints(config, include_extras=True).items()}


def _values(hint: Any) -> str:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return ", ".join((_values(of[0]), *(_bound(one) for one in of[1:])))
    if origin is Literal:
        return ", ".join(map(str, of))
    if type(None) in of:
        return f"{' or '.join(_values(one) for one in of if one is not type(None))}, or null"
    if origin is tuple:
        return f"list of {_values(of[0])}"
    return {int: "whole number", float: "number", bool: "true or false", str: "text"}.get(hint, str(hint))


def _bound(limit: Any) -> str:
    """Of annotated_types: each has one value, called as in WORDS."""
    return next(f"{word} {getattr(limit, name)}" for name, word in WORDS.items() if hasattr(limit, name))


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
