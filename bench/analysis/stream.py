"""A pass through time, read from records: each row's quality on the next window by what it had learned from, and the work until
an AUC was reached.

A record of `train.order=time` has in its curve the metrics of each window before anything was learned from it, and in those of
the test the last window. How many examples each window holds is the data's, which are asked for it.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scipy import special

from ..data.dataset import RankingData
from ..errors import UserError
from ..evaluation.new_seed import new_best
from ..evaluation.stats import Estimate
from ..records.rounded import rounded
from ..records.schema import RunRecord
from ..records.view import View
from ..typed import OrNaN
from .costs import had_room
from .leaderboard import groups_of
from .run_facts import about_runs
from .statements import Statement
from .stream_statements import AboveFloors, BeyondEnvelope, Envelopes, FirstWindow, FloorsToTarget, ToTarget, Work

LEVEL = 0.99
"""One-sided, of all windows of a seed together: an honest seed of a hundred leaves the envelope, if seeds lie as a normal sample
does."""
LEAST_SEEDS = 3
"""By which an envelope is known."""
TRAINING = 3
"""FLOPs of a training step in those of its forward pass."""


@dataclass(frozen=True)
class Window:
    """One that is scored before it is learned from."""

    number: int
    """From 1; the first one is not scored."""
    begin: str
    """Date and time in the log's zone, or days since the log's start where its times are no calendar's."""
    scored: int
    """Examples."""
    positives: int


@dataclass(frozen=True)
class SeedCurve:
    """One run; a value for each scored window."""

    seed: int
    auc: tuple[float, ...]
    request_gauc: tuple[OrNaN, ...]
    work: tuple[Work, ...]
    """Before the window was scored."""


@dataclass(frozen=True)
class StreamRow:
    """A model under one choice of settings."""

    label: str
    model: str
    family: str
    config_hash: str
    comparable: bool
    """Whether its times may be compared."""
    seeds: tuple[SeedCurve, ...]
    auc: tuple[Estimate, ...]
    """Mean over seeds, with the interval of that mean; NaN around one seed."""
    request_gauc: tuple[Estimate, ...]
    work: tuple[Work, ...]
    """Means over seeds."""
    reached: tuple[int | None, ...]
    """Of each seed: the place among the windows of the first that has the target; None: no window has."""


@dataclass(frozen=True)
class StreamBoard:
    """All rows on one stream."""

    dataset: str
    split: str
    place: str
    """Name of its folder."""
    protocol: str
    target: float
    target_why: str
    envelope: str
    """The results folder whose seeds curves are held against; empty: each row's other seeds."""
    windows: tuple[Window, ...]
    rows: tuple[StreamRow, ...]
    """By family as boards have them, then by the mean AUC over windows."""
    statements: tuple[Statement, ...]


def build(
    view: View,
    protocol: str,
    target: tuple[float, str],
    data_of: Callable[[RunRecord], RankingData],
    envelope: View | None = None,
    envelope_name: str = "",
) -> StreamBoard:
    """The stream of a group of runs.

    Args:
        target: the AUC to reach, and why it is this one.
        data_of: what prepares the data of a record.
        envelope: runs by which curves are judged, and the name of their folder; None: the other seeds of each row.

    Raises:
        UserError: there is no finished pass through time, or the envelope has none of these windows.
    """
    groups = {label: [one for one in group if _passes(one)] for label, group in groups_of(view).items()}
    groups = {label: group for label, group in groups.items() if group}
    if not groups:
        raise UserError(f"no run in {view.store.root} went once through time; start with: rankbench run --protocol {protocol}")
    samples = _Samples(data_of)
    rows = [_row(label, group, samples, target[0]) for label, group in groups.items()]
    rows.sort(key=lambda row: (row.family == "floor", -statistics.fmean(one.value for one in row.auc)))
    first = next(iter(groups.values()))[0]
    others = {} if envelope is None else _by_cell(envelope, first, samples)
    statements: list[Statement] = [FirstWindow(samples.of(first)[0], len(rows[0].auc))]
    statements += [_to_target(row, target[0]) for row in rows]
    floors = [row for row in rows if row.family == "floor"]
    if floors:
        statements.append(FloorsToTarget(target[0], tuple(row.label for row in floors if None not in row.reached)))
        statements += [one for row in rows if row.family != "floor" for one in _above(row, floors)]
    statements += _alarms(rows, others, envelope is not None)
    statements += about_runs(groups)
    identity = first.identity
    board = StreamBoard(
        identity.dataset,
        identity.split,
        view.place,
        protocol,
        *target,
        envelope=envelope_name,
        windows=_windows(data_of(first)),
        rows=tuple(rows),
        statements=tuple(statements),
    )
    return rounded(board)


def _passes(record: RunRecord) -> bool:
    return record.status == "ok" and record.once_through_time


class _Samples:
    """How many examples of each window a run learned from."""

    def __init__(self, data_of: Callable[[RunRecord], RankingData]) -> None:
        self.data_of = data_of
        self.known: dict[str, tuple[int, ...]] = {}

    def of(self, record: RunRecord) -> tuple[int, ...]:
        config, seed = record.config["data"], record.identity.seed
        drawn = config["negative_rate"] != 1 or config["negatives"] != "exposed"
        key = json.dumps([config, seed if drawn else None], sort_keys=True, default=list)
        if key not in self.known:
            data = self.data_of(record)
            self.known[key] = tuple(len(data.at(at).examples("train", seed, at)) for at in range(data.windows - 1))
        return self.known[key]


def _windows(data: RankingData) -> tuple[Window, ...]:
    found = []
    for at, begin in enumerate(data.split.edges, 1):
        examples = data.at(at - 1).examples("valid") if at < len(data.split.edges) else data.examples("test")
        found.append(Window(at + 1, _moment(data, begin), len(examples), examples.positives))
    return tuple(found)


def _moment(data: RankingData, time: int) -> str:
    meta = data.log.meta
    if not meta.calendar:
        return f"day {(time - int(data.log.time[data.log.user_offsets[:-1]].min())) / 86_400_000:.1f}"
    return f"{datetime.fromtimestamp(time / 1000 + meta.utc_offset_hours * 3600, UTC):%Y-%m-%d %H:%M}"


def _row(label: str, group: Sequence[RunRecord], samples: _Samples, target: float) -> StreamRow:
    seeds = tuple(_seed(record, samples) for record in group)
    identity, windows = group[0].identity, range(len(seeds[0].auc))
    return StreamRow(
        label=label,
        model=identity.model,
        family=identity.family,
        config_hash=identity.config_hash,
        comparable=all(map(had_room, group)),
        seeds=seeds,
        auc=tuple(over_seeds([one.auc[at] for one in seeds]) for at in windows),
        request_gauc=tuple(over_seeds([one.request_gauc[at] for one in seeds]) for at in windows),
        work=tuple(_mean([one.work[at] for one in seeds]) for at in windows),
        reached=tuple(next((at for at in windows if one.auc[at] >= target), None) for one in seeds),
    )


def _seed(record: RunRecord, samples: _Samples) -> SeedCurve:
    assert record.curve is not None and record.cost is not None and record.metrics is not None, "status ok"
    test, cost, learned = record.metrics.test["all"], record.cost, samples.of(record)
    # On a CPU the curve's wall time is counted by the share of it that the run had a processor for.
    share = cost.train_cpu_seconds / max(cost.train_seconds, 1e-9) if record.device == "cpu" else 1.0
    seconds = [*(point.seconds for point in record.curve), cost.train_seconds]
    total, work = 0, []
    for count, second in zip(learned, seconds, strict=True):
        total += count
        work.append(Work(total, second * share, TRAINING * cost.flops_per_example * total))
    last = {name: math.nan if test[name] is None else float(test[name] or 0) for name in ("auc", "request_gauc")}
    return SeedCurve(
        record.identity.seed,
        (*(point.valid_auc for point in record.curve), last["auc"]),
        (*(point.valid_request_gauc for point in record.curve), last["request_gauc"]),
        tuple(work),
    )


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of n seeds and its 95% interval by Student's t; NaN around the value of one."""
    mean = statistics.fmean(values)
    if len(values) < 2 or math.isnan(mean):
        return Estimate(mean, math.nan, math.nan)
    half = float(special.stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def _mean(works: Sequence[Work]) -> Work:
    return Work(*(statistics.fmean(getattr(one, name) for one in works) for name in ("samples", "seconds", "flops")))


def _to_target(row: StreamRow, target: float) -> ToTarget:
    done = [one.work[at] for one, at in zip(row.seeds, row.reached, strict=True) if at is not None]
    whole = len(done) == len(row.seeds) > 1
    return ToTarget(
        row=row.label,
        target=target,
        seeds=len(row.seeds),
        reached=len(done),
        work=_mean(done) if done else None,
        samples=over_seeds([one.samples for one in done]) if whole else None,
        best=max(one.value for one in row.auc),
    )


def _above(row: StreamRow, floors: Sequence[StreamRow]) -> Iterator[AboveFloors]:
    for metric in ("auc", "request_gauc"):
        own = [one.value for one in getattr(row, metric)]
        best = [max(one.value for one in values) for values in zip(*(getattr(floor, metric) for floor in floors), strict=True)]
        above = sum(one > floor for one, floor in zip(own, best, strict=True))
        yield AboveFloors(row.label, metric, above, len(own), own[-1] - best[-1])


def _by_cell(view: View, like: RunRecord, samples: _Samples) -> dict[tuple[str, str], list[SeedCurve]]:
    """The passes of a view over the data and windows of one run."""
    found: dict[tuple[str, str], list[SeedCurve]] = {}
    data = (like.identity.content_hash, like.identity.split_hash)
    same = [one for one in view.records if _passes(one) and (one.identity.content_hash, one.identity.split_hash) == data]
    if not same:
        raise UserError(
            f"--envelope: no run in {view.store.root} went through time over the data and windows of these runs "
            f"({like.identity.dataset}, {like.identity.split}); name another folder, or leave --envelope out"
        )
    for record in same:
        found.setdefault((record.identity.model, record.identity.config_hash), []).append(_seed(record, samples))
    return found


def _alarms(
    rows: Sequence[StreamRow], others: dict[tuple[str, str], list[SeedCurve]], apart: bool
) -> Iterator[BeyondEnvelope | Envelopes]:
    """Curves that leave the envelope of other seeds upwards.

    Args:
        others: model and settings -> the seeds of an envelope; `apart`: that make it, in place of a row's own other seeds.
    """
    watched: list[str] = []
    for row in rows:
        for one in row.seeds:
            known = others.get((row.model, row.config_hash), []) if apart else row.seeds
            # What is judged is no part of what judges it, wherever its record is found again.
            known = [other for other in known if other.seed != one.seed or (apart and other.auc != one.auc)]
            if len(known) < LEAST_SEEDS:
                continue
            watched.append(row.label)
            for at, auc in enumerate(one.auc):
                bound = new_best([other.auc[at] for other in known], 1 - (1 - LEVEL) / len(one.auc))
                if auc > bound:
                    yield BeyondEnvelope(row.label, one.seed, at + 2, auc, bound, len(known))
                    break
    named = tuple(dict.fromkeys(watched))
    yield Envelopes(named, tuple(row.label for row in rows if row.label not in named), LEAST_SEEDS, LEVEL)
