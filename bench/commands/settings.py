"""What the command line asks for on top of the defaults."""

from __future__ import annotations

import argparse
from dataclasses import replace

from .. import registry
from ..config import Settings, read_settings


def settings(args: argparse.Namespace, base: Settings | None = None) -> Settings:
    """`base` or else the config file, then --dataset and --split, then --set."""
    names = tuple(registry.MODELS)
    if base is None:
        base = read_settings(args.config, names) if args.config is not None else Settings()
    chosen = {key: value for key in ("dataset", "split") if (value := getattr(args, key)) is not None}
    return replace(base, data={**base.data, **chosen}).changed(args.set, names)
