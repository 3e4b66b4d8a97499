"""docs/reference/table.md: every key of the YAML file that describes a table of one's own."""

from __future__ import annotations

import dataclasses

from ...data.sources.schema import Feature
from ...data.sources.table_config import Columns, TableConfig
from ...data.steps.declared import STEPS, Step
from ..board_files import markdown_table
from .fields import docstring, shown, texts, values

FEATURE_EXAMPLES = {"column": "price", "kind": "number", "separator": '"|"'}


def rows(config: type) -> list[list[str]]:
    """Header, and key, type, default, example and meaning of every field."""
    said, allowed = texts(config), values(config)
    table = [["key", "type", "default", "example", "what it says"]]
    for field in dataclasses.fields(config):
        example = field.metadata.get("example") or FEATURE_EXAMPLES[field.name]
        kind = field.metadata.get("values") or allowed[field.name]
        table.append([f"`{field.name}`", kind, _default(field), f"`{example}`", said.get(field.name, "")])
    return table


def _default(field: dataclasses.Field[object]) -> str:
    if told := field.metadata.get("left_out"):
        return told
    if field.default is dataclasses.MISSING:
        return "required"
    return "one space" if field.default == " " else f"`{shown(field.default)}`"


def _keys(step: type[Step]) -> str:
    """The keys of a step, each with its default and its meaning."""
    said = texts(step)
    return " ".join(
        f"`{field.name}` ({shown(field.default)}){f': {told}' if (told := said.get(field.name)) else ';'}"
        for field in dataclasses.fields(step)
        if field.name != "step"
    ).rstrip(";")


def steps() -> list[list[str]]:
    """Header, and name, meaning and keys of every step."""
    found = [[f"`{name}`", docstring(step), _keys(step)] for name, step in STEPS.items()]
    return [["step", "what it does", "keys (default)"], *found]


def page() -> str:
    """The whole page."""
    told = "\n".join(markdown_table(steps()))
    keys, columns, features = ("\n".join(markdown_table(rows(one))) for one in (TableConfig, Columns, Feature))
    return f"""\
# Keys of a table of your own

Generated from the schema by `rankbench ls keys --markdown`; a test holds it up to date. A table of events and a YAML file
beside it are a data set: [your own data](../howto/own-data.md) shows how to write the file, and says how times, ids and
repeated rows are read. `events` is required, and `label` unless there are impression
lists; every other key may be left out. A key that is unknown, has no
value or stands twice is an error, and so is a reference (`*name`).

{keys}

## Columns

The keys of `columns`. A role that is left out has the default name.

{columns}

## Features

An entry of `user_features`, `item_features` or `context_features` is the name of a column, or these keys, as in
`{{column: price, kind: number}}`.

{features}

## Steps

An entry of `steps` is the name of a step, or its keys, as in `{{step: k-core, users: 10}}`. `rows: training` counts and leaves
out rows of training alone, `rows: all` all rows; [steps](../howto/own-data.md#steps) says what that means for a test.

{told}

## Another data set as the source

`source` names a registered data set, another YAML file or `simulator`, whose rows are taken; `name`, `margin` and `steps` are the
only other keys (beside `source: simulator`, also its settings). `steps` stand in place of those of the source.
"""
