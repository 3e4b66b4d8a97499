"""docs/reference/records.md: what a run record and a board hold, key by key."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from ...analysis.leaderboard import Board
from ...analysis.statements import Statement
from ...records.schema import METRICS, SCHEMA_VERSION, SLICES, RunRecord
from ..board_files import markdown_table
from .fields import docstring, is_statement, texts, values


def page() -> str:
    """The whole page."""
    run = list(dict.fromkeys(_within(RunRecord)))
    kinds = [one for one in dict.fromkeys(_within(Statement)) if is_statement(one)]
    board = [one for one in dict.fromkeys(_within(Board)) if one not in run and one not in kinds]
    slices = ", ".join(f"`{name}`" for name in SLICES)
    return f"""\
# Run records and boards

Generated from the schema by `rankbench ls records --markdown`; a test holds it up to date. A run is one JSON file below the
results folder, `runs/<data set>@<split>/<model>/<cell>/seed-<n>.json`, with the scores of its test rows beside it; a board
is `boards/<data set>@<split>/board.json`. Both are read strictly: a key too many or too few, a value of another type or
another schema version is an error. From Python, `rankbench.load_runs` and `rankbench.load_board` give the same values with
types.

`rankbench pack` makes one file of a finished cell, `<cell>.zip` beside its folder, which holds the records and scores of its
seeds byte for byte; `--unpack` takes them out again. Every command reads both forms, seeds that came later may lie loose beside
the zip, and weights are never in it. A zip that holds anything else is an error, and so is a loose file that differs from the one
of its name in the zip.

## The run record

Schema version {SCHEMA_VERSION}.

{_tables(run)}

### Metrics of a slice

A slice is a part of the examples: {slices}. Numbers that are undefined, such as an AUC over one class, are null.

{_listed(["metric", "what it is"], [[f"`{name}`", said] for name, said in METRICS.items()])}

## The board

{_tables(board)}

### Statements

What a board says beside its table, as typed values; each has a `kind`.

{_listed(["kind", "what it says", "keys"], [_statement(one) for one in kinds])}
"""


def _within(holder: Any) -> Iterator[type]:
    """Dataclasses that a type is or holds, each before those that it holds."""
    if isinstance(holder, type) and dataclasses.is_dataclass(holder):
        yield holder
        for hint in typing.get_type_hints(holder, include_extras=True).values():
            yield from _within(hint)
    for hint in typing.get_args(holder):
        yield from _within(hint)


def _tables(classes: list[type]) -> str:
    return "\n\n".join(f"### {one.__name__}\n\n{docstring(one)}\n\n{_keys(one)}" for one in classes)


def _keys(holder: type) -> str:
    said, allowed, hints = texts(holder), values(holder), typing.get_type_hints(holder)
    rows = [[f"`{name}`", allowed[name], said.get(name) or _about(hints[name])] for name in allowed]
    return _listed(["key", "type", "what it is"], rows)


def _about(hint: Any) -> str:
    """What the first dataclass that a type is or holds says of itself."""
    held = next(_within(hint), None)
    return "" if held is None or is_statement(held) else docstring(held)


def _statement(one: type) -> list[str]:
    hints = typing.get_type_hints(one)
    kind = typing.get_args(hints.pop("kind"))[0]
    return [f"`{kind}`", docstring(one), ", ".join(f"`{name}`" for name in hints)]


def _listed(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(markdown_table([header, *rows]))
