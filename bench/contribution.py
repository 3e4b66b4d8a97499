"""Whether runs that somebody else made can stand beside ours: read strictly, and recomputed where the data is here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .data import sources
from .data.dataset import RankingData
from .data.sources.schema import DataRoots
from .errors import UserError
from .evaluation import evaluator
from .identity import config_hash
from .records.schema import RunRecord, from_json
from .records.store import Store
from .records.view import View
from .registry import MODELS
from .reporting.rescore import mismatch
from .rows import data_of


@dataclass(frozen=True)
class Finding:
    """One line about a folder."""

    kind: Literal["wrong", "note", "ok"]
    """note: what could not be checked, or is worth knowing."""
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


def check(root: Path, roots: DataRoots, source: str | None = None) -> list[Finding]:
    """Everything found of a results folder and its studies, in the order of the files. Missing test rows are made again in it.

    Args:
        source: the YAML file of one's own table, where runs are of one.

    Raises:
        UserError: there is no run in `root`.
    """
    stores = [Store(folder) for folder in (root, *sorted((root / "studies").glob("*"))) if (folder / "runs").is_dir()]
    paths = {store.root: sorted((store.root / "runs").rglob("*.json")) for store in stores}
    count = sum(map(len, paths.values()))
    if not count:
        raise UserError(f"no run in {root}; it must hold runs/<dataset>@<split>/<model>/<config hash>/seed-<n>.json")
    findings: list[Finding] = []
    for store in stores:
        below = store.root.relative_to(root).as_posix()
        found = _about_store(store, paths[store.root], roots, source)
        findings += found if store.root == root else [replace(one, where=f"{below}/{one.where}") for one in found]
    if all(finding.kind != "wrong" for finding in findings):
        findings.append(Finding("ok", str(root), f"{count} runs; nothing wrong was found"))
    return findings


def _about_store(store: Store, paths: Iterable[Path], roots: DataRoots, source: str | None) -> list[Finding]:
    findings: list[Finding] = []
    records: list[RunRecord] = []
    for path in paths:
        where = path.relative_to(store.root).as_posix()
        try:
            record = from_json(path.read_text(encoding="utf-8"), where)
        except (UserError, UnicodeDecodeError) as error:
            findings.append(Finding("wrong", where, str(error)))
            continue
        found = list(_about_record(record, store, path))
        findings += [Finding(kind, where, what) for kind, what in found]
        if record.status == "ok" and all(kind != "wrong" for kind, _ in found):
            records.append(record)
    findings += _about_grids(records, store)
    findings += _about_data(records, store, roots, source)
    return findings


def _about_record(record: RunRecord, store: Store, path: Path) -> Iterator[tuple[Literal["wrong", "note"], str]]:
    """What the file alone shows."""
    identity, environment = record.identity, record.environment
    home = store.record_path(identity)
    if home != path:
        yield "wrong", f"by its content it belongs at {home.relative_to(store.root).as_posix()}"
    computed = config_hash(record.config)
    if computed != identity.config_hash:
        yield "wrong", f"its config has the hash {computed}, not {identity.config_hash}"
    named = (record.config["model"], record.config["data"]["dataset"])
    if named != (identity.model, identity.dataset):
        yield "wrong", f"its config is of {named[0]} on {named[1]}, its identity of {identity.model} on {identity.dataset}"
    if identity.model not in MODELS:
        yield "note", f"the model {identity.model} is not in the registry here"
    elif MODELS[identity.model].family != identity.family:
        yield "wrong", f"{identity.model} is {MODELS[identity.model].family}, not {identity.family}"
    if record.simulated:
        yield "wrong", "it was made on a simulated device"
    if environment.git_commit is None:
        yield "wrong", "no commit is given; run from a checkout"
    elif environment.git_dirty:
        yield "wrong", f"the code differed from commit {environment.git_commit[:12]}; commit first, then run"
    if record.status == "failed":
        yield "note", f"a failed run ({record.error})"
    elif home == path and not store.has_scores(identity):
        yield "wrong", f"its scores are not beside it ({store.scores_path(identity).name})"


def _about_grids(records: Iterable[RunRecord], store: Store) -> Iterator[Finding]:
    """Every model of a board, and every point of a study, has the same seeds, and all saw one split."""
    places: dict[str, list[RunRecord]] = {}
    for record in records:
        places.setdefault(f"{record.identity.dataset}@{record.identity.split}", []).append(record)
    for name, group in places.items():
        seeds: dict[str, set[int]] = {}
        for record in group:
            seeds.setdefault(f"{record.identity.model}/{record.identity.config_hash}", set()).add(record.identity.seed)
        table = store.study_folder(group[0].identity.dataset, group[0].identity.split) / "study.json"
        if table.exists():
            try:
                points = {f"{row['model']}/{row['config_hash']}" for row in json.loads(table.read_text(encoding="utf-8"))["rows"]}
            except (ValueError, KeyError, TypeError):
                yield Finding("wrong", name, "study.json has no rows with model and config_hash; run the study again")
                continue
            # Beside its points a study has runs of one seed, among which a point's settings were chosen.
            seeds = {row: seeds.get(row, set()) for row in sorted(points)}
        every = set().union(*seeds.values())
        for row, own in seeds.items():
            if own != every:
                lacking = ", ".join(map(str, sorted(every - own)))
                yield Finding("wrong", name, f"{row} lacks the seeds {lacking}, which other rows have")
        if len(every) == 1:
            yield Finding("note", name, "one seed, so that training noise is not measured")
        hashes = {record.data.split_hash[:12] for record in group}
        if len(hashes) > 1:
            yield Finding("wrong", name, f"runs of different splits ({', '.join(sorted(hashes))})")


def _about_data(records: Iterable[RunRecord], store: Store, roots: DataRoots, source: str | None) -> Iterator[Finding]:
    """Splits and metrics, recomputed for each way of making the data."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(json.dumps(record.config["data"], sort_keys=True), []).append(record)
    for group in groups.values():
        identity = group[0].identity
        name = f"{identity.dataset}@{identity.split}"
        own = source if source is not None and sources.name_of(source) == identity.dataset else None
        if own is None and not _at_hand(identity.dataset, roots):
            how = f"rankbench data get {identity.dataset}" if identity.dataset in sources.DATASETS else "--dataset FILE.yaml"
            yield Finding("note", name, f"split and metrics were not recomputed: the data set is not here ({how})")
            continue
        try:
            data = data_of(group[0].config["data"], roots, f"the records of {name}", own)
        except UserError as error:
            yield Finding("wrong", name, f"its data cannot be made again: {error}")
            continue
        yield from _about_runs(group, store, data)


def _about_runs(group: list[RunRecord], store: Store, data: RankingData) -> Iterator[Finding]:
    view = View(store, tuple(group))
    rows = store.keep_rows(group[0].identity, evaluator.rows(data, "test"))
    for record in group:
        where = store.record_path(record.identity).relative_to(store.root).as_posix()
        if record.identity.content_hash != data.log.meta.content_hash:
            theirs, ours = record.identity.content_hash[:12], data.log.meta.content_hash[:12]
            yield Finding("wrong", where, f"it is of other data: content hash {theirs}, here {ours}")
            continue
        if record.data.split_hash != data.split.hash:
            yield Finding("wrong", where, f"split hash {record.data.split_hash[:12]}; here it is {data.split.hash[:12]}")
            continue
        try:
            if view.rows_hash(record.identity) != rows:
                yield Finding("wrong", where, "its scores are of other test rows than the data set has here")
            elif said := mismatch(record, view.predictions(record.identity)):
                yield Finding("wrong", where, said)
        except UserError as error:
            yield Finding("wrong", where, str(error))


def _at_hand(dataset: str, roots: DataRoots) -> bool:
    """Whether a data set is here, so that nothing is fetched for a check."""
    if dataset not in sources.DATASETS:
        return False
    in_root = roots.root is not None and (roots.root / dataset).is_dir()
    return in_root or any((roots.cache / "logs").glob(f"{dataset}-*.pointer"))
