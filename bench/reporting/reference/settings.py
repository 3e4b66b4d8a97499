"""docs/reference/settings.md: what `--set data.KEY=VALUE` and `--set train.KEY=VALUE` may change."""

from __future__ import annotations

from ...config import DataConfig, TrainConfig
from .fields import docstring, table


def page() -> str:
    """The whole page."""
    return f"""\
# Settings

Generated from the code by `rankbench ls settings --markdown`; a test holds it up to date. A setting stands in a YAML file that
`--config` names, below its section, or in `--set section.key=value`, which overrides the file. A key that does not exist is an
error that names the nearest one; so is a setting that changes nothing.

A setting of training for one model alone has the model's name before it: `--set din.train.lr=2e-3`. The settings of the models
themselves are on the page of [models](models.md), the keys of a table of your own on [that of tables](table.md).

## data

{docstring(DataConfig)}

{table(DataConfig)}

## train

{docstring(TrainConfig)}

{table(TrainConfig)}
"""
