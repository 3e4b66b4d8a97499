"""`rankbench redraw`: every table and figure of a results folder again; nothing is trained or measured."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import UserError
from . import study
from .board import write
from .options import add_results, add_roots
from .parser import Parser
from .roots import data_roots

HELP = """\
Make the tables and figures of all boards, passes through time, studies, searches and measurements of a results folder again,
from records, scores and study.json; nothing is trained or measured. What cannot be made, because its data set is not here, is
named and left as it is."""

EXAMPLES = ("rankbench redraw --results results",)


def add(parser: Parser) -> None:
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    tasks = [*_boards(args), *_streams(args), *_studies(args), *_searches(args), *_measurements(args)]
    if not tasks:
        raise UserError(f"no run, study, search or measurement in {args.results}; start with: rankbench run")
    left_out = 0
    for place, make in tasks:
        try:
            make()
            print(place)
        except UserError as error:
            print(f"left out: {place}: {error}", file=sys.stderr)
            left_out += 1
    return 1 if left_out else 0


def _boards(args: argparse.Namespace) -> Iterator[tuple[Path, Callable[[], object]]]:
    from ..records.store import stores_below
    from ..records.view import View
    from ..reporting.results_folder import LEFT_OUT

    roots = data_roots(args.data_root)
    for store in stores_below(args.results):
        if {*LEFT_OUT, "studies"} & set(store.root.relative_to(args.results).parts):  # the runs of a study are on no board
            continue
        for group in View.of(store).groups():
            yield store.board_folder(group.place), lambda group=group: write(group, roots)


def _streams(args: argparse.Namespace) -> Iterator[tuple[Path, Callable[[], object]]]:
    from ..records.store import Store
    from ..records.view import View
    from ..reporting import stream_files
    from .streams import write_stream

    roots = data_roots(args.data_root)
    for path in sorted(args.results.rglob("streams/*/stream.json")):
        store = Store(path.parents[2])

        def make(path: Path = path, store: Store = store) -> None:
            old = stream_files.load(path)
            groups = {group.place: group for group in View.of(store, old.dataset, old.split).groups()}
            if old.place not in groups:
                raise UserError(f"no run of {old.place} is in {store.root}")
            envelope = Path(old.envelope) if old.envelope else None
            write_stream(groups[old.place], old.protocol, (old.target, old.target_why), envelope, roots)

        yield path.parent, make


def _studies(args: argparse.Namespace) -> Iterator[tuple[Path, Callable[[], object]]]:
    from ..analysis.study import load
    from ..reporting.results_folder import LEFT_OUT
    from ..studies import output

    for path in sorted(args.results.rglob("studies/*/*/study.json")):
        store = path.parents[3]
        if LEFT_OUT & set(store.relative_to(args.results).parts):
            continue

        def make(path: Path = path, store: Path = store) -> None:
            asked = Parser(prog="rankbench study", module=study.__name__)
            roots = [] if args.data_root is None else ["--data-root", str(args.data_root)]
            words = shlex.split(load(path).command)[2:]
            output.write(study.answer(asked.parse_args([*words, "--results", str(store), *roots, "--quiet"]), train=False))

        yield path.parent, make


def _searches(args: argparse.Namespace) -> Iterator[tuple[Path, Callable[[], object]]]:
    from ..reporting.figures import search

    for folder in sorted({path.parent for path in args.results.rglob("sweeps/*@*/*.json")}):
        yield folder, lambda folder=folder: search.draw(folder)


def _measurements(args: argparse.Namespace) -> Iterator[tuple[Path, Callable[[], object]]]:
    from ..reporting import figures
    from ..reporting.figures.speed import figure, timing_of
    from ..reporting.results_folder import MEASURED

    for path in sorted(path for folder in MEASURED for path in (args.results / folder).glob("*.json")):
        if (timing := timing_of(path)) is not None:
            yield path, lambda path=path, timing=timing: figures.save(figure(timing), path.with_suffix(""))
