"""The audit of a results folder: every file alone, runs side by side, and all of it against the data where they are here."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..data import sources
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..records import run_files
from ..records.schema import from_json
from ..records.store import LAYOUT, Store
from ..records.sweeps import SweepRecord
from ..records.view import View
from ..rows import data_of
from .again import about_floor, about_retrained
from .costs import about_costs
from .facts import Facts
from .finding import Finding, about
from .groups import about_groups
from .history import Repository
from .origin import about_origin
from .plausible import about_scores
from .public_board import about_public
from .runs import Run
from .searches import about_tuning, read_sweeps
from .settings import about_data_settings, about_settings


@dataclass(frozen=True)
class AuditMeans:
    """What an audit may use."""

    roots: DataRoots
    source: str | None = None
    """The YAML file of one's own table, where runs are of one."""
    retrain: int = 0
    """Runs to train again, of all."""
    seed: int = 0
    """Of the choice among them."""
    told: Callable[[str], None] = lambda line: None
    """Hears what takes long."""
    today: datetime.date | None = None
    """By which rows of the public leaderboard expire; None: the day that it is (UTC)."""


def check(root: Path, means: AuditMeans) -> list[Finding]:
    """Everything found of a results folder and its studies, in the order of the files. Missing test rows are made again in it.

    Raises:
        UserError: there is no run in `root`.
    """
    stores = [store for folder in (root, *sorted((root / "studies").glob("*"))) if (store := Store(folder)).runs.is_dir()]
    cells = {store.root: run_files.cells(store.runs) for store in stores}
    if not any(cells.values()):
        raise UserError(f"no run in {root}; it must hold {LAYOUT}")
    history = Repository.here()
    searches, findings = read_sweeps(root)
    runs: dict[Path, list[Run]] = {}
    count = 0
    for store in stores:
        paths, found = _paths(store, cells[store.root])
        findings += _below(root, store, found)
        count += len(paths)
        runs[store.root], found = _read(store, paths, history, searches)
        findings += _below(root, store, found)
        findings += _below(root, store, about_groups(_groups(store, runs[store.root]), store))
    chosen = _chosen([run for found in runs.values() for run in found], means)
    for store in stores:
        findings += _below(root, store, _against_data(runs[store.root], store, means, chosen))
    findings += about_public(root, means.today)
    if all(finding.kind != "wrong" for finding in findings):
        findings.append(Finding("ok", str(root), f"{count} runs; nothing wrong was found"))
    return findings


def _below(root: Path, store: Store, findings: Iterable[Finding]) -> list[Finding]:
    below = store.root.relative_to(root).as_posix()
    return [one if store.root == root else replace(one, where=f"{below}/{one.where}") for one in findings]


def _paths(store: Store, cells: Iterable[Path]) -> tuple[list[Path], list[Finding]]:
    """Of all records, in either form, and packed cells that cannot be read."""
    paths, findings = [], []
    for folder in cells:
        try:
            paths += run_files.records(folder)
        except UserError as error:
            findings.append(Finding("wrong", run_files.archive(folder).relative_to(store.root).as_posix(), str(error)))
    return sorted(paths), findings


def _read(
    store: Store, paths: Iterable[Path], history: Repository | None, searches: list[SweepRecord]
) -> tuple[list[Run], list[Finding]]:
    """The finished runs that lie whole in their places, and what each file alone shows."""
    runs, findings, view = [], [], View(store, ())
    for path in paths:
        where = path.relative_to(store.root).as_posix()
        try:
            record = from_json(run_files.read(path).decode(), where)
        except (UserError, UnicodeDecodeError) as error:
            findings.append(Finding("wrong", where, str(error)))
            continue
        run, home = Run(record, view), store.record_path(record.identity)
        findings += about(where, about_settings(run))
        findings += about(where, about_origin(record, history))
        if home != path:
            findings.append(Finding("wrong", where, f"by its content it belongs at {home.relative_to(store.root).as_posix()}"))
        if record.status != "ok":
            findings.append(Finding("note", where, f"a {record.status} run ({record.error})"))
            continue
        findings += about(where, about_costs(run))
        findings += about(where, about_tuning(run, searches))
        if home == path and store.has_scores(record.identity):
            runs.append(run)
        elif home == path:
            findings.append(Finding("wrong", where, f"its scores are not beside it ({store.scores_path(record.identity).name})"))
    return runs, findings


def _groups(store: Store, runs: Iterable[Run]) -> list[tuple[str, list[Run]]]:
    """Runs that can stand on one board, by its name."""
    own = {run.record.identity: run for run in runs}
    groups = View(store, tuple(run.record for run in own.values())).groups()
    return [(group.place, [own[record.identity] for record in group.records]) for group in groups]


def _chosen(runs: list[Run], means: AuditMeans) -> set[Run]:
    """Trained runs to train again, at random, of data that are here."""
    if not means.retrain:
        return set()
    able = [run for run in runs if not run.counted and run.info is not None and _at_hand(run, means)]
    if not able:
        raise UserError("--retrain: there is no finished run of a trained model whose data are here")
    order = np.random.default_rng(means.seed).permutation(len(able))
    return {able[at] for at in order[: means.retrain]}


def _against_data(runs: Iterable[Run], store: Store, means: AuditMeans, chosen: set[Run]) -> Iterator[Finding]:
    """Everything that follows from the data, for each way of making them."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(run.record.config["data"], sort_keys=True), []).append(run)
    missing: set[str] = set()
    for group in groups.values():
        identity = group[0].record.identity
        name = f"{identity.dataset}@{identity.split}"
        if not _at_hand(group[0], means):
            if name not in missing:
                how = f"rankbench data get {identity.dataset}" if identity.dataset in sources.DATASETS else "--dataset FILE.yaml"
                what = "facts, floors, metrics, sizes and steps were not recomputed: the data set is not here"
                yield Finding("note", name, f"{what} ({how})")
            missing.add(name)
            continue
        own = means.source if means.source is not None and sources.name_of(means.source) == identity.dataset else None
        try:
            facts = Facts(data_of(group[0].record.config["data"], means.roots, f"the records of {name}", own))
        except UserError as error:
            yield Finding("wrong", name, f"its data cannot be made again: {error}")
            continue
        yield from _with_facts(group, facts, store, means, chosen)


def _with_facts(group: list[Run], facts: Facts, store: Store, means: AuditMeans, chosen: set[Run]) -> Iterator[Finding]:
    rows = store.keep_rows(group[0].record.identity, facts.test)
    same: list[Run] = []
    for at, run in enumerate(group):
        means.told(f"{run.where} ({at + 1} of {len(group)})")
        yield from about(run.where, about_data_settings(run, facts.data))
        found = list(about(run.where, facts.about(run, rows)))
        yield from found
        try:
            whole = len(run.codes) == len(facts.test) and run.record.identity.content_hash == facts.data.log.meta.content_hash
        except UserError:
            continue
        if not whole or run.record.identity.split_hash != facts.data.split.hash:
            continue
        same.append(run)
        if run.counted:
            yield from about(run.where, about_floor(run, facts.data))
    yield from about_scores(same, facts.test["label"].to_numpy(), facts.ours.bayes_auc)
    for run in same:
        if run in chosen:
            means.told(f"training again: {run.where}")
            siblings = [other for other in same if other.row == run.row and other is not run]
            yield from about(run.where, about_retrained(run, siblings, facts.data))


def _at_hand(run: Run, means: AuditMeans) -> bool:
    """Whether a run's data set is here, so that nothing is fetched for a check."""
    dataset, roots = run.record.identity.dataset, means.roots
    if means.source is not None and sources.name_of(means.source) == dataset:
        return True
    if dataset not in sources.DATASETS:
        return False
    in_root = roots.root is not None and (roots.root / dataset).is_dir()
    return in_root or any((roots.cache / "logs").glob(f"{dataset}-*.pointer"))
