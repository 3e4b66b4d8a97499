"""`rankbench ls`: models, data sets, metrics, studies, settings, commands, kernels; what needs no library is shown at once."""

from __future__ import annotations

import argparse
import dataclasses
import importlib

from .. import registry
from ..data.sources import DATASETS
from ..evaluation.cards import METRICS
from ..protocols import PROTOCOLS
from ..studies.catalog import STUDIES
from . import COMMANDS
from .options import add_device
from .parser import Parser

HELP = """\
List models, data sets, protocols, metrics, studies and commands; or one kind alone. Settings, keys of tables, record fields and
kernels are shown when they are asked for."""

EXAMPLES = ("rankbench ls", "rankbench ls models", "rankbench ls models --markdown", "rankbench ls kernels")

PAGES = {name: f"{page}.md" for name, page in (
    ("models", "models"), ("datasets", "datasets"), ("protocols", "protocols"), ("settings", "settings"),
    ("commands", "commands"), ("keys", "table"), ("records", "records"), ("kernels", "kernels"),
)}  # fmt: skip
"""Kinds that have a page in docs/reference/, made of what they list."""

HIDDEN = {"settings", "keys", "records"}
"""Kinds that are shown when they are asked for; kernels, which may have to be compiled, are a fourth."""


def add(parser: Parser) -> None:
    kinds = parser.add_verbs("kind", required=False)
    for name, shown in {
        "models": "models, their families and what they are",
        "datasets": "data sets, their splits and licences",
        "protocols": "protocols of others that --protocol follows",
        "metrics": "metrics and what they mean",
        "studies": "the questions of `rankbench study`",
        "settings": "settings of data and of training, with their defaults",
        "commands": "commands and their options",
        "keys": "the keys of a YAML file that describes a table of your own",
        "records": "the parts of a run record and of a board",
        "kernels": "implementations of each operation, and which are chosen on a device",
    }.items():
        kind = kinds.add_parser(name, help=shown, description=f"List {shown}.")
        if name in PAGES:
            kind.add_argument("--markdown", action="store_true", help=f"print docs/reference/{PAGES[name]}, which says more")
        if name == "kernels":
            add_device(kind)


def run(args: argparse.Namespace) -> int:
    if args.kind in PAGES and args.markdown:
        print(_page(args.kind), end="")
        return 0
    kinds = [args.kind] if args.kind else [kind for kind in TABLES if kind not in HIDDEN]
    for kind in kinds:
        if len(kinds) > 1:
            print(f"{kind}:")
        rows = TABLES[kind]() if kind in TABLES else _kernels(args.device)
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
        for row in rows:
            print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))
    return 0


def _page(kind: str) -> str:
    if kind == "commands":
        from .reference import commands_page

        return commands_page()
    module = "table_keys" if kind == "keys" else kind
    return importlib.import_module(f"..reporting.reference.{module}", __package__).page()


def _models() -> list[tuple[str, ...]]:
    return [(name, entry.family + (", core" if entry.core else ""), entry.summary) for name, entry in registry.MODELS.items()]


def _datasets() -> list[tuple[str, ...]]:
    cards = [(card.name, card.default_split, card.licence, card.summary) for card in DATASETS.values()]
    return [*cards, ("FILE.yaml", "global-time", "yours", "your own csv or parquet, its columns named in a YAML file")]


def _protocols() -> list[tuple[str, ...]]:
    return [(protocol.name, ", ".join(protocol.datasets), protocol.summary) for protocol in PROTOCOLS.values()]


def _metrics() -> list[tuple[str, ...]]:
    return [(card.name, f"{card.better} is better", card.meaning) for card in METRICS.values()]


def _studies() -> list[tuple[str, ...]]:
    return list(STUDIES.items())


def _kernels(device: str) -> list[tuple[str, ...]]:
    """Operation, implementation, device, which is chosen, available or why not; asks the machine, which may mean to compile."""
    from .. import device as devices
    from .. import implementations

    resolved = devices.resolve(device)
    rows = [("operation", "implementation", "device", resolved.type, "state")]
    rows += [
        (row.operation, row.implementation, row.device, "chosen" if row.chosen else "-", row.available)
        for row in implementations.table(resolved)
    ]
    return rows


def _settings() -> list[tuple[str, ...]]:
    from ..config import DataConfig, TrainConfig

    return [
        (f"{section}.{field.name}", "null" if field.default is None else str(field.default))
        for section, config in (("data", DataConfig), ("train", TrainConfig))
        for field in dataclasses.fields(config)
    ]


def _commands() -> list[tuple[str, ...]]:
    return list(COMMANDS.items())


def _keys() -> list[tuple[str, ...]]:
    from ..data.sources.table_config import TableConfig
    from ..reporting.reference.table_keys import rows

    return [(row[0].strip("`"), row[2].replace("`", ""), row[1].replace("`", "")) for row in rows(TableConfig)]


def _records() -> list[tuple[str, ...]]:
    from ..analysis.leaderboard import Board
    from ..records.schema import RunRecord

    return [(what, field.name) for what, of in (("run", RunRecord), ("board", Board)) for field in dataclasses.fields(of)]


TABLES = {
    "models": _models,
    "datasets": _datasets,
    "protocols": _protocols,
    "metrics": _metrics,
    "studies": _studies,
    "settings": _settings,
    "commands": _commands,
    "keys": _keys,
    "records": _records,
}
