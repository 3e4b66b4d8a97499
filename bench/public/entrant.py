"""What runs make of a row: the same runs, data and reference give the same entrant, whoever computes it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ..analysis.comparison import HEADLINES, HeadlineMetric, test_slices
from ..analysis.costs import had_room, train_seconds
from ..errors import UserError
from ..evaluation.predictions import align
from ..evaluation.stats import LEAST_USERS, Comparison, compare, verdict
from ..records import run_files
from ..records.rounded import rounded
from ..records.schema import RunRecord
from ..records.store import Store
from ..records.view import View
from .row import Claim, CodeVersion, Entrant, Hardware, Quality, StandsOn
from .versions import Track

ROW, REFERENCE = "row", "reference"
T = TypeVar("T")


def cells(view: View) -> list[list[RunRecord]]:
    """The finished runs of a view that have scores, by model, configuration and data; seeds ascend."""
    found: dict[tuple[str, ...], list[RunRecord]] = {}
    for record in view.records:
        if record.status == "ok" and not record.simulated and view.has_scores(record.identity):
            identity = record.identity
            found.setdefault((identity.dataset, identity.split, identity.model, identity.cell), []).append(record)
    return [sorted(group, key=lambda record: record.identity.seed) for group in found.values()]


def reference(track: Track, results: Path) -> View:
    """The runs against which the rows of a track are held.

    Args:
        results: the folder that holds the board's.

    Raises:
        UserError: they are not there.
    """
    own, store = track.reference, Store(results / track.reference.store)
    records = tuple(
        record
        for record in store.records(track.dataset, track.split)
        if (record.identity.model, record.identity.config_hash) == (own.model, own.config_hash)
        and (record.identity.content_hash, record.identity.split_hash) == (track.content_hash, track.split_hash)
        and record.status == "ok"
        and store.has_scores(record.identity)
    )
    if not records:
        where = f"{own.model}/{own.config_hash} of {track.dataset}@{track.split}"
        raise UserError(f"the reference {where} is not in {store.root}; name the board of a whole repository with --board")
    return View(store, records)


def make(view: View, records: Sequence[RunRecord], against: View) -> Entrant:
    """The entrant of the seeds of one model under one configuration.

    Args:
        view: of the store in which they lie; its test rows are here.
        against: the runs of the track's reference, with theirs.

    Raises:
        UserError: scores are missing, are not about the same examples as the reference's, or are not those of the records.
    """
    runs = tuple(stands_on(view.store, record) for record in records)
    frames = {ROW: [view.predictions(record.identity) for record in records]}
    itself = {run.scores for run in runs} == {stands_on(against.store, record).scores for record in against.records}
    if not itself:
        frames[REFERENCE] = [against.predictions(record.identity) for record in against.records]
    predictions = align(frames)
    found: dict[HeadlineMetric, Comparison] = {metric: compare(predictions, metric) for metric in HEADLINES}
    if found["request_gauc"].users < LEAST_USERS:
        del found["request_gauc"]
    _confirm(records, found)
    margin = records[0].data.margin
    claims: dict[HeadlineMetric, Claim] = {}
    if not itself:
        claims = {metric: _claim(one, margin) for metric, one in found.items()}
    identity, config = records[0].identity, records[0].config
    costs = [record.cost for record in records if record.cost is not None]
    return Entrant(
        dataset=identity.dataset,
        split=identity.split,
        model=identity.model,
        family=identity.family,
        content_hash=identity.content_hash,
        split_hash=identity.split_hash,
        rows_hash=view.rows_hash(identity),
        config_hash=identity.config_hash,
        config=config,
        changed=records[0].changed,
        tuning=records[0].tuning,
        runs=runs,
        code=_each(_code(record) for record in records),
        hardware=_each(_hardware(record) for record in records),
        first_started=min(record.started for record in records),
        last_finished=max(record.finished for record in records),
        parameters=costs[0].parameters_embedding + costs[0].parameters_dense,
        train_seconds=rounded(train_seconds(records)),
        comparable=all(map(had_room, records)),
        margin=margin,
        quality=rounded({metric: _quality(one) for metric, one in found.items()}),
        claims=rounded(claims),
    )


def stands_on(store: Store, record: RunRecord) -> StandsOn:
    """The files of a run.

    Raises:
        UserError: they cannot be read.
    """
    paths = store.record_path(record.identity), store.scores_path(record.identity)
    try:
        hashes = [hashlib.sha256(run_files.read(path)).hexdigest() for path in paths]
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror})") from None
    return StandsOn(record.identity.seed, *hashes)


def _code(record: RunRecord) -> CodeVersion:
    where = record.environment
    return CodeVersion(where.versions.get("rankbench"), where.git_commit, where.code_hash)


def _hardware(record: RunRecord) -> Hardware:
    where = record.environment
    return Hardware(record.device, where.accelerator or where.cpu, where.cores, where.threads, where.processes)


def _each(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _quality(found: Comparison) -> Quality:
    return Quality(found.value(ROW), tuple(float(value) for value in found.values[found.place(ROW)]))


def _claim(found: Comparison, margin: float) -> Claim:
    apart = found.difference(ROW, REFERENCE)
    # Both headlines are better where they are higher.
    return Claim(apart, verdict(apart.low, apart.high, margin))


def _confirm(records: Sequence[RunRecord], found: Mapping[HeadlineMetric, Comparison]) -> None:
    """Refuse records whose metrics are not those of the scores beside them."""
    for metric, comparison in found.items():
        for record, value in zip(records, comparison.values[comparison.place(ROW)], strict=True):
            stored = test_slices(record)["all"][metric]
            if stored is None or not math.isclose(stored, float(value), rel_tol=1e-9, abs_tol=1e-12):
                where = f"{record.identity.model}/{record.identity.cell}/seed-{record.identity.seed}"
                raise UserError(f"{where}: {metric} is {stored} in the record and {float(value)} from its scores; run it again")


def same(one: Entrant, other: Entrant) -> str | None:
    """The first key in which two differ; None if they are the same."""
    ours, theirs = dataclasses.asdict(one), dataclasses.asdict(other)
    return next((key for key in ours if ours[key] != theirs[key]), None)
