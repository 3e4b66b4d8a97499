"""Settings from the command line, for the commands that train."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import protocols, registry
from ..config import Settings, read_settings
from ..errors import UserError

if TYPE_CHECKING:
    from ..data.sources.schema import DataRoots

TUNED = Path("tuned")
"""In place of a config file: what sweeps found."""


def settings(args: argparse.Namespace, models: tuple[str, ...]) -> Settings:
    """The config file, then --protocol, --dataset and --split, then --set.

    Args:
        models: that run.

    Raises:
        UserError: something cannot be read, or is set for a model that does not run.
    """
    names = tuple(registry.MODELS)
    base = read_settings(args.config, names) if args.config not in (None, TUNED) else Settings()
    if args.protocol is not None:
        base = _under_protocol(args, base, models)
    chosen = {key: value for key in ("dataset", "split") if (value := getattr(args, key)) is not None}
    for key in chosen:
        if any(assignment.partition("=")[0] == f"data.{key}" for assignment in args.set):
            raise UserError(f"--{key} and --set data.{key} say the same thing twice; leave one out")
    found = replace(base, data={**base.data, **chosen}).changed(args.set, names)
    if args.protocol is not None:
        _check_free(args, found)
    if idle := [name for name in found.models if name not in models]:
        where = "--set" if idle[0] not in base.models else f"config file {args.config}"
        raise UserError(
            f"{where} has settings of {idle[0]}, which does not run here (--models {','.join(models)}); leave them out"
        )
    return found


def _under_protocol(args: argparse.Namespace, base: Settings, models: tuple[str, ...]) -> Settings:
    """Settings with those of the protocol; a setting of training that no model reads is left out.

    Raises:
        UserError: an unknown protocol, another data set than it is for, or something else that says what it says.
    """
    protocol = protocols.find(args.protocol)
    dataset = protocol.dataset(args.dataset if args.dataset is not None else base.data.get("dataset"))
    said = {assignment.partition("=")[0] for assignment in args.set}
    said |= {f"data.{key}" for key in base.data} | {f"train.{key}" for key in base.train}
    said |= {f"data.{key}" for key in ("dataset", "split") if getattr(args, key) is not None}
    for key, value in protocol.on(dataset).items():
        if key in said and key not in protocol.free:
            raise UserError(f"protocol {protocol.name} sets {key} to {value}; leave it out, or the protocol")
    infos = [registry.info(name) for name in models]
    section = protocol.section("train", dataset)
    train = {key: value for key, value in section.items() if not all(info.ignores(key) for info in infos)}
    return replace(
        base, data={**protocol.section("data", dataset), **base.data, "dataset": dataset}, train={**base.train, **train}
    )


def _check_free(args: argparse.Namespace, found: Settings) -> None:
    """Raises UserError: what the protocol leaves free within ends lies outside of them."""
    protocol = protocols.find(args.protocol)
    for key, (low, high) in protocol.free.items():
        section, _, name = key.partition(".")
        value = (found.data if section == "data" else found.train)[name]
        if not protocol.allows(key, value, found.data["dataset"]):
            raise UserError(f"protocol {protocol.name} allows {key} from {low:g} to {high:g}, not {value}")


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
