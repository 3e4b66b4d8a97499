"""How run, board and redraw show what passes through time took to reach a quality."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .. import protocols
from ..errors import UserError
from .options import refuse_beside

if TYPE_CHECKING:
    from ..analysis.stream import StreamBoard
    from ..data.dataset import RankingData
    from ..data.sources.schema import DataRoots
    from ..records.schema import RunRecord
    from ..records.view import View


def check_stream_options(args: argparse.Namespace, dataset: str | None) -> None:
    """Raises UserError: --target or --envelope without a protocol that makes use of them, or no target where one is needed."""
    protocol = protocols.find(args.protocol) if args.protocol is not None else None
    if protocol is None or protocol.score != "to-target":
        named = ", ".join(one.name for one in protocols.PROTOCOLS.values() if one.score == "to-target")
        refuse_beside(args, f"what is not under a protocol that goes through time ({named})", ("--target", "--envelope"))
    elif args.target is None and dataset in protocol.datasets and dataset not in protocol.targets:
        raise UserError(f"protocol {protocol.name} has no target for {dataset}; name one with --target AUC")
    elif args.envelope is not None and not (args.envelope / "runs").is_dir():
        raise UserError(f"--envelope {args.envelope}: there are no runs in that folder; name one that a run wrote its results to")


def asked_target(args: argparse.Namespace, group: View) -> tuple[float, str]:
    """The AUC to reach, and why it is this one."""
    if args.target is not None:
        return args.target, "as the command says"
    dataset = group.records[0].identity.dataset
    check_stream_options(args, dataset)
    target = protocols.find(args.protocol).targets[dataset]
    return target.auc, target.why


def write_stream(
    group: View,
    protocol: str,
    target: tuple[float, str],
    envelope: Path | None,
    roots: DataRoots,
    source: str | None = None,
) -> tuple[StreamBoard, Path]:
    """What the passes of a group took, and the folder with all files of it.

    Args:
        envelope: a results folder whose seeds curves are held against.
        source: a name, or the YAML file of one's own table.
    """
    from .. import rows
    from ..analysis import stream
    from ..data.sources import DATASETS
    from ..records.store import Store
    from ..records.view import View
    from ..reporting import stream_files

    identity = group.records[0].identity

    def data_of(record: RunRecord) -> RankingData:
        where = f"a run of {record.identity.model}"
        return rows.data_of(record.config["data"], roots, where, None if source in DATASETS else source)

    others = None if envelope is None else View.of(Store(envelope), identity.dataset, identity.split)
    board = stream.build(group, protocol, target, data_of, others, "" if envelope is None else envelope.as_posix())
    folder = group.store.stream_folder(group.place)
    stream_files.write(board, folder)
    return board, folder
