"""`rankbench bench`: beside other projects, by speed (peers) or quality; by ourselves, attention (kernels), layers (stack)
or models (train)."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from .. import registry
from ..errors import UserError
from .roots import data_roots

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ..records.schema import Environment
    from ..records.store import Store
    from ..reporting.speed import Cases


def run(args: argparse.Namespace) -> int:
    return {"quality": _quality, "peers": _peers, "kernels": _kernels, "stack": _stack, "train": _train}[args.against](args)


def _peers(args: argparse.Namespace) -> int:
    """Speeds are printed and kept, never judged."""
    if args.models_from is None and args.python != sys.executable:
        raise UserError("bench peers --python needs --models-from, the folder model_zoo of a FuxiCTR checkout; see docs/peers.md")
    roots = data_roots(args.data_root)
    import torch

    from ..benchmarks import fuxictr_cells, peers
    from ..records import provenance
    from ..records.store import Store

    torch.set_num_threads(args.threads)
    peer = None if args.models_from is None else fuxictr_cells.find_peer(args.python, args.models_from, ["din"])
    store = Store(args.results)
    store.check_writable()
    data = peers.examples(roots, args.dataset, args.history_length)
    load = [provenance.load_average()]
    try:
        rows = peers.compare(data, peer, args.threads, args.rounds, say=lambda line: print(line, file=sys.stderr, flush=True))
    except fuxictr_cells.PeerFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    load.append(provenance.load_average())
    name, title = data.log.meta.name, "Training beside others"
    said = f"{name}, history {args.history_length}, {args.rounds} round(s)"
    cases = {row.contender: {"of the wall clock": row.wall, "of CPU time": row.cpu} for row in rows}
    more = {"load_average": load, "peer": peer and {"versions": peer.versions, "files": peer.files}}
    device, drawn = torch.device("cpu"), (title, "examples per second", cases)
    _keep(store, f"peers-{name}-{args.threads}", device, said, peers.lines(rows, load), rows, drawn, more)
    return 0


def _quality(args: argparse.Namespace) -> int:
    if args.models_from is None:
        raise UserError("bench quality needs --models-from, the folder model_zoo of a FuxiCTR checkout; see docs/peers.md")
    roots = data_roots(args.data_root)
    from ..benchmarks import fuxictr_cells, quality
    from ..records.store import Store

    models = tuple(dict.fromkeys((args.models or "din,dien,bst").split(",")))
    peer = fuxictr_cells.find_peer(args.python, args.models_from, models)
    jobs = args.jobs or max(1, (os.cpu_count() or 1) // args.threads)
    store = Store(args.results)
    try:
        record = quality.compare(
            roots,
            args.dataset,
            args.split,
            models,
            peer,
            quality.arms_of(args.dropout),
            args.seeds,
            store,
            jobs,
            args.threads,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except fuxictr_cells.PeerFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(*quality.lines(record), sep="\n")
    print(f"\nrecord: {quality.write(record, store.root)}")
    return 0


def _as_in_runs(threads: int) -> None:
    """Threads and memory of this process, for all contenders, as a worker of `rankbench run` has them."""
    import torch

    from .. import device as devices

    torch.set_num_threads(threads)
    devices.keep_freed_memory()


def _kernels(args: argparse.Namespace) -> int:
    """Speeds are printed and kept, never judged."""
    roots = data_roots(args.data_root)
    import torch

    from .. import device as devices
    from ..benchmarks import attention
    from ..records.store import Store

    _as_in_runs(args.threads)
    device = devices.resolve(args.device)
    store = Store(args.results)
    store.check_writable()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[args.dtype]
    rows = []
    said, name = f"{args.dtype}, {args.rounds} round(s)", f"attention-{device.type}-{args.dtype}-{args.threads}"
    of_data = (attention.shape_of(one, roots) for one in args.dataset.split(","))
    for shape in itertools.chain(attention.shapes(device), of_data):
        print(f"{shape.name} ...", file=sys.stderr, flush=True)
        rows += attention.measure(shape, device, dtype, args.rounds)
        _write(store, name, device, said, rows)  # what is ended early keeps the shapes that it measured
    cases: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        cases.setdefault(row.shape, {})[row.contender] = [1e3 * one for one in row.seconds]
    _keep(store, name, device, said, attention.lines(rows), rows, ("Attention, forward and backward", "ms", cases))
    return 0


def _stack(args: argparse.Namespace) -> int:
    """Speeds are printed and kept, never judged."""
    import torch

    from ..benchmarks import stack
    from ..records.store import Store

    _as_in_runs(args.threads)
    device = torch.device("cpu")
    store = Store(args.results)
    store.check_writable()
    rows = []
    for shape in stack.SHAPES:
        print(f"{shape.name} ...", file=sys.stderr, flush=True)
        rows += stack.measure(shape, args.rounds)
    cases: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        cases.setdefault(row.shape, {})[row.stack] = [1e3 * one for one in row.wall]
    said, title = f"fp32, {args.rounds} round(s)", "HSTU layers, forward and backward"
    _keep(store, f"stack-cpu-{args.threads}", device, said, stack.lines(rows), rows, (title, "ms", cases))
    return 0


def _train(args: argparse.Namespace) -> int:
    """Speeds are printed and kept, never judged."""
    models = registry.select(args.models or "din,hstu")
    roots = data_roots(args.data_root)

    from .. import device as devices
    from ..benchmarks import training
    from ..config import DataConfig
    from ..data.dataset import prepare
    from ..records.store import Store

    _as_in_runs(args.threads)
    device = devices.resolve(args.device)
    store = Store(args.results)
    store.check_writable()
    data = prepare(DataConfig(args.dataset), roots)
    speeds = []
    for model in models:
        print(f"{model} ...", file=sys.stderr, flush=True)
        speeds += training.measure(model, data, device, args.seconds, args.rounds)
    said = f"{data.log.meta.name}, {args.rounds} round(s) of {args.seconds} s"
    name = f"training-{data.log.meta.name}-{device.type}-{args.threads}"
    cases: dict[str, dict[str, list[float]]] = {}
    for one in speeds:
        cases.setdefault(one.model, {})[one.kernels] = one.cpu if device.type == "cpu" else one.wall
    title = f"Training on {data.log.meta.name}"
    unit = "examples per second of CPU time" if device.type == "cpu" else "examples per second"
    _keep(store, name, device, said, training.lines(speeds), speeds, (title, unit, cases))
    return 0


def _keep(
    store: Store,
    name: str,
    device: torch.device,
    said: str,
    lines: list[str],
    rows: list[Any],
    drawn: tuple[str, str, Cases],
    more: dict[str, Any] | None = None,
) -> None:
    """Show a table, keep its numbers (and `more`) with the environment they were measured in, draw them: title, unit, cases."""
    from ..reporting import plots, speed

    environment, path = _write(store, name, device, said, rows, more)
    print(f"{environment.accelerator or environment.cpu}, {environment.threads} thread(s), {said}\n")
    print(*lines, sep="\n")
    title, unit, cases = drawn
    where = f"{environment.accelerator or environment.cpu}, {environment.threads} thread(s)"
    figures = plots.save(speed.figure(f"{title}: {where}, {said}", unit, cases), store.root / name)
    print(f"\nrecord: {path}, figure: {', '.join(str(one) for one in figures)}")


def _write(
    store: Store, name: str, device: torch.device, said: str, rows: list[Any], more: dict[str, Any] | None = None
) -> tuple[Environment, Path]:
    """The record of a benchmark."""
    from .. import device as devices
    from ..records import provenance
    from ..records.store import write_text

    environment = provenance.environment(device)
    record = {"environment": dataclasses.asdict(environment), "device": str(device), "said": said}
    record |= {"simulated": devices.is_simulated(device), "rows": [dataclasses.asdict(row) for row in rows]} | (more or {})
    path = store.root / f"{name}.json"
    write_text(path, json.dumps(record, indent=1) + "\n")
    return environment, path
