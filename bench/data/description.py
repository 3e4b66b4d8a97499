"""What `rankbench data describe` says of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from ..config import DataConfig
from ..errors import UserError
from .columns import Column, blocks, user_blocks
from .eventlog import EventLog
from .logs import open_dataset
from .mismatch import mismatch
from .sources.schema import DataRoots
from .splits import ROLES, SPLITS, can_be_declared, make_split
from .steps.declared import knows_the_future
from .times import zone_of
from .visibility import Requests, requests_of, visible_intervals

_SHOWN = 8
"""Domains that are listed."""


def describe(name: str, roots: DataRoots) -> list[str]:
    """Lines on size, time span, cleaning, requests, every split with what it gives away, licence.

    Raises:
        UserError: the data set cannot be opened. A split that it does not allow is a line among the others.
    """
    log = open_dataset(name, roots)
    meta, content = log.meta, log.meta.content
    lengths = np.diff(log.user_offsets)
    requests = requests_of(log, log.defaults.request_window)
    labels = np.sum([np.bincount(label, minlength=2) for label in log.example_labels()], axis=0)
    positive = labels[1] / labels.sum()
    lines = [
        f"{meta.name}: {meta.events:,} events, {meta.users:,} users, {meta.items:,} items, {positive:.1%} positive",
        *_histories(log),
        *_domain(log),
        f"{_time_span(log)}; events per user: median {np.median(lengths):.0f}, largest {lengths.max()}",
        f"hour of the day and weekday: UTC{content.utc_offset_hours:+g} hours",
        f"label: {content.label}; action: {', '.join(content.actions) or 'none'}",
        *(["positives alone: negatives are sampled (data.negatives, data.test_negatives)"] if log.positive_only else []),
        "further labels (data.labels): "
        + (", ".join(f"{label} {log.further_shares(label)[1]:.1%}" for label in meta.labels) or "none"),
        "features: " + (", ".join(f"{owner} {feature.column}" for owner, feature in meta.features) or "none"),
        *_requests(log, requests),
        *meta.cleaning.lines(),
        *(f"file: {file.name}, {file.bytes:,} bytes, sha256 {file.sha256[:16]}..., from {file.origin}" for file in meta.files),
        *meta.notes,
        *_steps(log),
        f"content hash: {meta.content_hash}",
    ]
    seen = visible_intervals(log.user_offsets, log.time, requests, DataConfig.history_length)
    for split_name in SPLITS:
        if split_name == "declared" and not can_be_declared(log):
            continue
        lines += _split(log, requests, seen, split_name)
    if meta.bayes_auc is not None:
        lines.append(f"Bayes-optimal AUC over all events: {meta.bayes_auc:.4f}")
    return [*lines, f"licence: {meta.licence}", f"cite: {meta.citation}"]


def _steps(log: EventLog) -> Iterator[str]:
    """What each declared step did, and what must be known of all of them."""
    yield from (effect.line() for effect in log.meta.steps)
    steps = [effect.step for effect in log.meta.steps]
    for step in filter(knows_the_future, steps):
        yield (
            f"the step {step.step} counts all rows, those of validation and test too: what is left knows its future, and results "
            "are those of an easier test; rows: training does not"
        )
    if any(step.rows == "training" for step in steps):
        yield "a step on training rows leaves validation and test as they are: the split was made before it, and is declared"


def _time_span(log: EventLog) -> str:
    first, last = int(log.time.min()), int(log.time.max())
    if not log.meta.calendar:
        start, end = timedelta(milliseconds=first), timedelta(milliseconds=last)
        return f"time: {start} to {end} since the start from which times count"
    zone = zone_of(log.meta.time_zone, log.meta.name)
    span = [datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M") for ms in (first, last)]
    return f"time: {span[0]} to {span[1]} {log.meta.time_zone}"


def _histories(log: EventLog) -> Iterator[str]:
    """How many events are no examples."""
    if log.asked is not None:
        count = log.meta.events - sum(len(label) for label in log.example_labels())
        yield f"histories alone hold {count:,} of the events; the other {log.meta.events - count:,} are examples"


def _domain(log: EventLog) -> Iterator[str]:
    """What the domain is, and the largest ones with their shares of the examples and of positives among them."""
    domain = log.meta.domain
    if domain is None:
        return
    code = log.feature(domain.column)
    assert isinstance(code, np.ndarray)
    names = log.dictionary(f"feature.{domain.column}")
    by_label = np.zeros((2, len(names)), dtype=np.int64)
    for block in blocks(len(code)):
        asked = slice(None) if log.asked is None else log.asked[block]
        np.add.at(by_label, (log.label[block][asked], code[block][asked]), 1)
    count = by_label.sum(0)
    positive = by_label[1] / np.maximum(count, 1)
    largest = np.argsort(-count, kind="stable")[:_SHOWN]
    shown = ", ".join(f"{names[at] or 'missing'} {count[at] / count.sum():.1%} ({positive[at]:.1%} positive)" for at in largest)
    more = f" and {len(count) - _SHOWN} more" if len(count) > _SHOWN else ""
    yield f"domain {domain.column}{f', {domain.meaning}' if domain.meaning else ''}: {len(count)} values; {shown}{more}"


def _requests(log: EventLog, requests: Requests) -> Iterator[str]:
    """What is one request, and how many rows lie in those that have both labels, among which ranking is judged."""
    window = log.defaults.request_window
    if window is None:
        yield "requests: as the source names them"
    else:
        what = f"a user's events within {window:g} seconds" if window else "a user's events of one timestamp"
        yield f"requests: {what} (data.request_window)"
    if not log.positive_only:
        mixed, judged, examples = 0, 0, 0
        for _, events in user_blocks(log.user_offsets):
            first = requests.first[events] - events.start
            asked = np.ones(len(first), dtype=bool) if log.asked is None else np.asarray(log.asked[events])
            rows, positive = (np.bincount(first[asked], weights=one) for one in (None, log.label[events][asked]))
            both = (positive > 0) & (positive < rows)
            mixed += int(both.sum())
            judged += int(rows[both].sum())
            examples += int(asked.sum())
        yield f"rows in requests with both labels: {judged:,} of {examples:,}, in {mixed:,} requests"


def _split(log: EventLog, requests: Requests, seen: tuple[Column, Column], name: str) -> Iterator[str]:
    """`seen`: what each event sees of the past, from where and up to where, under default settings."""
    default = " (default)" if name == log.meta.default_split else ""
    try:
        split = make_split(log, name, requests)
    except UserError as error:
        yield f"split {name}{default}: not possible: {error}"
        return
    yield f"split {name}{default}: {SPLITS[name]}"
    for role in ROLES:
        rows, positive = np.zeros(log.meta.users, dtype=np.int64), 0
        for block, user in log.users_of_blocks():
            chosen = split.role[block] == ROLES[role]
            np.add.at(rows, user[chosen], 1)
            positive += int(log.label[block][chosen].sum())
        count, warm = int(rows.sum()), int(rows[split.user_events > 0].sum())
        yield (
            f"  {role}: {count:,} examples of {np.count_nonzero(rows):,} users, {positive / count:.1%} positive, "
            f"{warm / count:.0%} of them from users with training events"
        )
    yield f"  {split.share_train_after_test:.1%} of training events are later than the first test event; hash {split.hash[:12]}"
    yield from (f"  {line}" for line in mismatch(log, split, requests, *seen).lines())
