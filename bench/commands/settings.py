"""Settings from the command line, for the commands that train."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import registry
from ..config import Settings, read_settings
from ..errors import UserError

if TYPE_CHECKING:
    from ..data.sources.schema import DataRoots

TUNED = Path("tuned")
"""In place of a config file: what sweeps found."""


def settings(args: argparse.Namespace, models: tuple[str, ...]) -> Settings:
    """The config file, then --dataset and --split, then --set.

    Args:
        models: that run.

    Raises:
        UserError: something cannot be read, or is set for a model that does not run.
    """
    names = tuple(registry.MODELS)
    base = read_settings(args.config, names) if args.config not in (None, TUNED) else Settings()
    chosen = {key: value for key in ("dataset", "split") if (value := getattr(args, key)) is not None}
    for key in chosen:
        if any(assignment.partition("=")[0] == f"data.{key}" for assignment in args.set):
            raise UserError(f"--{key} and --set data.{key} say the same thing twice; leave one out")
    found = replace(base, data={**base.data, **chosen}).changed(args.set, names)
    if idle := [name for name in found.models if name not in models]:
        where = "--set" if idle[0] not in base.models else f"config file {args.config}"
        raise UserError(
            f"{where} has settings of {idle[0]}, which does not run here (--models {','.join(models)}); leave them out"
        )
    return found


def settings_or_tuned(args: argparse.Namespace, models: tuple[str, ...], roots: DataRoots) -> Settings:
    """The same; with `--config tuned` on top of what sweeps found for `models`: what --set changes is tuned no more.

    Raises:
        UserError: no sweep found settings of a model for the chosen data.
    """
    asked = settings(args, models)
    if args.config != TUNED:
        return asked
    from ..search.tuned import tuned_settings

    return tuned_settings(models, asked, roots, args.results).changed(args.set, tuple(registry.MODELS))
