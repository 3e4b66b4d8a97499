"""Settings from the command line, for the commands that train."""

from __future__ import annotations

import argparse
from dataclasses import replace

from .. import registry
from ..config import Settings, read_settings


def settings(args: argparse.Namespace) -> Settings:
    """The config file, then --dataset and --split, then --set."""
    names = tuple(registry.MODELS)
    result = read_settings(args.config, names) if args.config is not None else Settings()
    chosen = {key: value for key in ("dataset", "split") if (value := getattr(args, key)) is not None}
    return replace(result, data={**result.data, **chosen}).changed(args.set, names)
