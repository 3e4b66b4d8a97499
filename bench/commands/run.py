"""`rankbench run`: every cell that is not finished, then the leaderboard."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .. import protocols, registry
from ..errors import UserError
from .board import publish, show_score
from .following import FOLLOWED
from .options import add_grid, add_models, add_storage, add_target, refuse_beside
from .parser import Parser
from .roots import data_roots
from .running import run_options, shared_with
from .settings import settings_or_tuned
from .streams import check_stream_options

if TYPE_CHECKING:
    from ..workers.shared import Shared

HELP = """\
Train and test models on one data set, then show the leaderboard. A finished cell (model, settings, seed) is never trained
twice; one that was interrupted goes on from its last checkpoint. Under torchrun
(torchrun --nproc-per-node 2 -m rankbench run ...) all processes train each cell together."""

EXAMPLES = (
    "rankbench run",
    "rankbench run --models din,hstu --seeds 5 --device cuda",
    "rankbench run --models classical --dataset simulator --split leave-one-out",
    "rankbench run --models hstu --set train.lr=2e-3 --set hstu.layers=3",
    "rankbench run --models hstu --kernel hstu_attention=torch",
    "rankbench run --models lr,din,my_model.py --dataset my.yaml",
    "rankbench run --protocol kuairand-long-view --models lr,din,hstu",
    "rankbench run --protocol dlrmv4-mini --dataset yambda-50m --models own-rate,ctr,lr,din,hstu --seeds 10",
    "rankbench run --models core --seeds 10 --storage postgresql+psycopg://me@host/studies --hand-out",
    "rankbench run --config my.yaml --results my/results --no-resume",
)


def add(parser: Parser) -> None:
    add_models(parser, "core")
    add_grid(parser, "the leaderboard")
    add_target(parser)
    add_storage(parser, "none, this command trains all of its cells itself")


def run(args: argparse.Namespace) -> int:
    models = registry.select(args.models)
    roots = data_roots(args.data_root)
    asked = settings_or_tuned(args, models, roots)
    check_stream_options(args, asked.data.get("dataset"))
    from ..records.store import Store
    from ..records.view import View
    from ..runs import schedule
    from ..runs.cell import plan
    from ..training.team import assembled

    shared = _shared(args)
    store = Store(args.results)
    with assembled(args.device) as (team, device):
        if team.size > 1 and shared is not None:
            raise UserError("--storage hands cells to processes that train alone; start them without torchrun, or leave it out")
        options = run_options(args, store, roots, str(device), team=team, carry_out=shared)
        records = schedule.run_all(plan(models, asked, args.seeds), options)
    if not team.leads or args.hand_out:
        return 0
    failed = [record for record in records if record.status != "ok"]
    for record in failed:
        print(f"{record.status}: {record.identity.model} seed {record.identity.seed}: {record.error}", file=sys.stderr)
    if any(record.status == "stopped" for record in failed):
        print("what was stopped enters no board; the same command goes on with it from where it was", file=sys.stderr)
    if records and all(record.simulated for record in records):
        print(f"a simulated device: results enter no board; their records are in {store.root / 'runs'}")
    elif len(failed) < len(records):
        ran = {record.identity for record in records}
        for group in View.of(store, records[0].identity.dataset, records[0].identity.split).groups():
            if any(record.identity in ran for record in group.records):
                publish(group, roots, asked.data.get("dataset"))
                configs = (record.config for record in group.records)
                if args.protocol is not None and protocols.find(args.protocol).followed_by_some(configs):
                    show_score(args, group, roots, asked.data.get("dataset"))
    else:
        print(f"no run succeeded; their records are in {store.root / 'runs'}")
    return 1 if failed else 0


def _shared(args: argparse.Namespace) -> Shared | None:
    """Who carries out the cells, where that is not this command alone."""
    if args.hand_out:
        if args.storage is None:
            raise UserError("--hand-out needs --storage, a database or a journal file that the workers know too")
        refuse_beside(args, "--hand-out", {"--jobs", "--threads", *FOLLOWED})
    return shared_with(args, take_part=not args.hand_out)
