"""A data set made ready for ranking: event log + split + vocabulary + visibility, and the facts about them."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from ...kernels.time_buckets import GAP_BUCKETS, time_buckets
from ..config import DataConfig
from ..contract import UNKNOWN, DataSpec, Field
from ..errors import UserError, unknown_name
from . import last_events
from .action_bits import action_bits
from .columns import Column, Computed, blocks, chosen, positions, ranges, user_blocks
from .eventlog import EventLog
from .examples import Examples
from .growing import GrowingVocabulary, met
from .item_ids import with_item_ids
from .logs import open_dataset
from .mismatch import ValidationMismatch, mismatch
from .negatives import Ahead, Sampler, held_out_examples, negatives_per_positive, of_domains, training_examples
from .pools import HistoryPools, held_places
from .segments import longest_segment
from .sources.schema import DataRoots
from .splits import ROLES, SPLITS, Split, held_out, is_split, make_split, without_items
from .stream import window_of
from .visibility import HistoryPlaces, Requests, frozen_intervals, requests_of, visible_intervals
from .vocabulary import Vocabulary, build_vocabulary

_REQUEST_FIELDS = tuple(
    Field(name, size, derived=True) for name, size in (("hour", 26), ("weekday", 9), ("since_last", GAP_BUCKETS + 2))
)
"""Context fields that tell the time of the request; ids 0 and 1 are padding and unknown as everywhere."""

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True)
class RankingData:
    """Everything from which batches are cut; the same object for every model of a benchmark."""

    log: EventLog
    split: Split
    vocabulary: Vocabulary
    lo: Column
    """int64 [events]: place of the first visible event of every event."""
    hi: Column
    """int64 [events]: end (exclusive) of the places that every event sees."""
    request_start: Column
    """int64 [events], milliseconds: from when the request of every event looks back."""
    request: Column
    """int64 [events]: the request of every event, named by the position of its first event."""
    config: DataConfig
    """Resolved, see `resolved`; its `dataset` is the data set's own name."""
    spec: DataSpec
    refit: bool = False
    """Validation examples are trained on too, see `with_validation`."""
    places: HistoryPlaces | None = None
    """Of the events that histories hold; None: all, and a place is a position in the log."""
    pools: HistoryPools | None = None
    """Which of the places between lo and hi are seen; None: all of them."""
    growing: GrowingVocabulary | None = None
    """Of a stream: which ids each window knows."""
    window: int | None = None
    """Of a stream: which window is learned from, see `at`."""

    def past(self, place: np.ndarray) -> np.ndarray:
        """Events of the log at places of histories."""
        return place if self.places is None else self.places.event[place]

    def places_before(self, position: np.ndarray) -> np.ndarray:
        """How many places of histories lie before positions in the log."""
        return position if self.places is None else self.places.before[position]

    def seen(self, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The events that each of `event` [n] sees, end to end and in order of time, and their offsets [n + 1]."""
        place, offsets = self.seen_places(self.log.user_of(event), self.lo[event], self.hi[event])
        return self.past(place), offsets

    def seen_places(self, user: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places between lo and hi that are seen, for each of n requests end to end, and their offsets [n + 1].

        Args:
            user: int64 [n], codes of the log; of one that it does not know, lo is hi.
        """
        if self.pools is None:
            return ranges(lo, hi - lo)
        begin = np.where(hi > lo, self.places_before(self.log.user_offsets[np.maximum(user, 0)]), hi)
        return self.pools.seen(begin, hi)

    def past_action(self, event: np.ndarray) -> np.ndarray:
        """Ids of what is told of the user's action at past events."""
        return self.vocabulary.action_of_event[event] if self.config.outcomes == "action" else np.full(len(event), UNKNOWN)

    def past_label(self, event: np.ndarray) -> np.ndarray:
        """float32: what is told of the label of past events."""
        return self.log.label[event].astype(np.float32) if self.config.outcomes != "none" else np.zeros(len(event), np.float32)

    def with_validation(self) -> RankingData:
        """The same data whose training examples are those of training and validation together.

        Nothing else changes: vocabulary (who is met in validation alone stays unknown), statistics, what each example sees, what
        is sampled for validation and test, and how the split is called.
        """
        return dataclasses.replace(self, refit=True)

    @property
    def windows(self) -> int:
        """Of a stream: how many there are, test and validation included; else 0."""
        return len(self.split.edges) + 1 if self.split.edges else 0

    @property
    def validates(self) -> bool:
        """Of a window of a stream: the next one is validation."""
        return self.window is not None and self.window + 1 == self.windows - 2

    def at(self, window: int) -> RankingData:
        """A window of a stream, from 0: its examples are those of training, those of the next one validation, and known is what
        it or one before it had. Validation before the test is a window like others."""
        assert self.growing is not None, "the split is a stream, of items without semantic ids"
        found = dataclasses.replace(self, window=window, vocabulary=self.growing.known_by(window))
        if (self.config.negatives, self.config.test_negatives) != ("exposed", "exposed"):
            found.__dict__["_sampler"] = self._sampler  # made once, of the log and the split alone
        return found

    def _in_window(self, window: int) -> np.ndarray:
        """int64: its examples."""
        log, roles = self.log, [ROLES["train"], ROLES["valid"]]

        def which(block: slice) -> np.ndarray:
            return np.isin(self.split.role[block], roles) & (window_of(self.split.edges, log.time[block]) == window)

        return positions(log.meta.events, which, log.near)

    @property
    def _taught(self) -> np.ndarray:
        """int64: the events that are trained on, before any share or sampling."""
        if self.window is not None:
            event = self._in_window(self.window)
        else:
            event = self.split.examples("train", "valid") if self.refit else self.split.examples("train")
        if (self.refit or self.window is not None) and self.config.held_out_items:
            left_out = held_out(self.log, self.config.held_out_items)
            event = chosen(event, lambda part: ~left_out[self.log.item[part]], self.log.near)
        return of_domains(self.log, event, self.config)

    def examples(self, role: str, seed: int = 0, epoch: int = 0) -> Examples:
        """What is scored in `train`, `valid` or `test`. Seed and epoch matter for training examples that are sampled."""
        if role == "train":
            return training_examples(self.log, self._taught, self.config, lambda: self._teaching_sampler, seed, epoch)
        ahead = None
        if role == "valid" and self.window is not None and not self.validates:
            ahead = Ahead(self.window + 1, self._in_window(self.window + 1))
        return held_out_examples(self.log, self.split, self.config, lambda: self._sampler, role, ahead)

    @functools.cached_property
    def _sampler(self) -> Sampler:
        requests = Requests(self.request_start, self.request)
        return Sampler(self.log, self.split, requests, self.config.exclude_future_positives, self.config.repeats)

    @functools.cached_property
    def _teaching_sampler(self) -> Sampler:
        """Of training. It draws no item that is held out: training would know such items as negatives and nothing else."""
        share = self.config.held_out_items
        return self._sampler.without(held_out(self.log, share)) if share else self._sampler

    @functools.cached_property
    def logit_correction(self) -> float:
        """Added to every logit: ln w, from the odds that training shows to those that predictions are judged by."""
        training, judged = negatives_per_positive(self.log, self._taught, self.config)
        return math.log(training / judged)

    @functools.cached_property
    def mismatch(self) -> ValidationMismatch:
        """How far validation is from the test."""
        requests = Requests(self.request_start, self.request)
        time = None if self.places is None else Computed(len(self.places.event), self._time_of)
        return mismatch(self.log, self.split, requests, self.lo, self.hi, time)

    def further_labels(self, event: np.ndarray) -> torch.Tensor | None:
        """float32 [n, K] of n events, in the order of config.labels; None if none are asked for."""
        if not self.config.labels:
            return None
        return torch.from_numpy(np.stack([self.log.further_label(name)[event] for name in self.config.labels], 1)).float()

    def request_fields(self, event: np.ndarray) -> dict[str, np.ndarray]:
        """Ids of hour, weekday and time since the latest visible event: what time information `request` adds to context."""
        return self.time_fields(self.request_start[event], self.lo[event], self.hi[event])

    def time_fields(self, time: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> dict[str, np.ndarray]:
        """`request_fields` of any requests: int64 [n] milliseconds, and the events lo to hi that each sees."""
        local = time + int(self.log.meta.utc_offset_hours * _HOUR_MS)
        seen = hi > lo
        gap = np.where(seen, time - self._time_of(np.where(seen, hi - 1, 0)), 0)
        since_last = np.where(seen, time_buckets(torch.from_numpy(gap)).numpy() + 2, 1)
        # 1 January 1970 was a Thursday: 3 in Monday = 0.
        return {"hour": local // _HOUR_MS % 24 + 2, "weekday": (local // _DAY_MS + 3) % 7 + 2, "since_last": since_last}

    def query_time(self, event: np.ndarray) -> np.ndarray:
        """int64 milliseconds from which each event looks back at its history; 0 for an empty history under `history`."""
        if self.spec.time == "request":
            return self.request_start[event]
        seen = self.hi[event] > self.lo[event]
        return np.where(seen, self._time_of(np.where(seen, self.hi[event] - 1, 0)), 0)

    def _time_of(self, place: np.ndarray) -> np.ndarray:
        """int64 milliseconds, of any place where there is none."""
        if self.places is not None and not len(self.places.event):
            return np.zeros(len(place), dtype=np.int64)
        return self.log.time[self.past(place)]


def prepare(config: DataConfig, roots: DataRoots) -> RankingData:
    """Open, split, build vocabularies from training events, and decide visibility.

    Raises:
        UserError: whatever is wrong with the data set, its name, or the split.
    """
    return prepare_log(open_dataset(config.dataset, roots), config)


def resolved(config: DataConfig, log: EventLog) -> DataConfig:
    """Settings as a record has them: the data set by its own name, no `default` left, and what is None means nothing else.

    Raises:
        UserError: an unknown split, or negatives that the log cannot give.
    """
    if config.split != "default" and not is_split(config.split):
        raise unknown_name("split", config.split, SPLITS)
    return dataclasses.replace(config.resolved(log.defaults), dataset=log.meta.name)


def prepare_log(log: EventLog, config: DataConfig) -> RankingData:
    """`prepare` for a log that is already open."""
    config = resolved(config, log)
    requests = requests_of(log, config.request_window)
    split = make_split(log, config.split, requests)
    if config.held_out_items:
        split = without_items(split, log, requests, config.held_out_items)
    train, known, measured, growing = split.examples("train"), split.known, None, None
    grows = bool(split.edges) and config.item_id in ("id", "none")  # semantic ids are made of all training events at once
    if split.edges:  # what is measured beforehand is measured in the first window
        train = chosen(train, lambda part: window_of(split.edges, log.time[part]) == 0, log.near)
        measured = Computed(log.meta.events, lambda row: split.known[row] & (window_of(split.edges, log.time[row]) == 0))
    train = of_domains(log, train, config)
    if grows:
        known = met(log, split, held_out(log, config.held_out_items) if config.held_out_items else None)
    vocabulary = with_item_ids(build_vocabulary(log, known, _left_out(log, config), measured), log, split, config)
    if grows:
        growing = GrowingVocabulary.of(vocabulary, log, split, known)
        vocabulary = growing.known_by(len(split.edges) - 2)  # of training in any order, which the last two windows judge
    delay = round(config.feedback_delay * 1000)
    lo, hi = visible_intervals(log.user_offsets, log.time, requests, config.history_length, delay, log.near)
    if config.test_history == "frozen":
        frozen = tuple(ROLES.values()) if last_events.names(split.name) else (ROLES["valid"], ROLES["test"])
        lo, hi = frozen_intervals(hi, log.user_offsets, split.role, frozen, config.history_length, log.near)
        if any((np.diff(hi[events]) < 0).any() for _, events in user_blocks(log.user_offsets)):
            raise UserError(
                f"{log.meta.name}: data.test_history=frozen needs the test of each user behind its training; split {split.name} "
                "has users with training after it"
            )
    for name in config.labels:
        if name not in log.meta.labels:
            raise unknown_name(f"further label of {log.meta.name} in data.labels", name, log.meta.labels)
    places = held_places(log, config)
    pools = None if places is None or not config.pools else HistoryPools.of(log, config, places.event)
    if places is not None:
        begin = Computed(log.meta.events, lambda row: places.before[log.user_offsets[log.user_of(row)]])
        lo, hi = places.intervals(hi, log.user_offsets, config.history_length)
        lo = lo if pools is None else pools.lows(begin, hi)
    domain = "" if log.meta.domain is None or not config.domain_field else log.meta.domain.column
    spec = DataSpec(
        user=tuple(table.field for table in vocabulary.user),
        item=tuple(table.field for table in vocabulary.item),
        context=tuple(table.field for table in vocabulary.context) + (_REQUEST_FIELDS if config.time == "request" else ()),
        action=vocabulary.action.field,
        history_length=config.history_length,
        longest_segment=longest_segment(config.history_length),
        time=config.time,
        gap_buckets=GAP_BUCKETS,
        positive_rate=1 / (1 + negatives_per_positive(log, train, config)[0]),
        further_rates=tuple(_rate(log.further_label(name), train) for name in config.labels),
        action_bits=action_bits(log, vocabulary if growing is None else growing.known_by(len(split.edges))),
        domain=domain,
    )
    start, first = requests.start, requests.first
    return RankingData(log, split, vocabulary, lo, hi, start, first, config, spec, places=places, pools=pools, growing=growing)


def _left_out(log: EventLog, config: DataConfig) -> frozenset[str]:
    """Features of the log that no model is given."""
    unasked = {"all": (), "items": ("user",), "users": ("item",), "none": ("user", "item")}[config.side_information]
    columns = {feature.column for owner, feature in log.meta.features if owner in unasked}
    if not config.domain_field:
        if log.meta.domain is None:
            raise UserError(f"data.domain_field=false: {log.meta.name} declares no domain (`domain` in docs/reference/table.md)")
        columns.add(log.meta.domain.column)
    return frozenset(columns)


def _rate(label: np.ndarray, event: np.ndarray) -> float:
    """Share of positives of some events, kept off 0 and 1: a rare outcome may not occur in training."""
    positives = sum(int(label[event[block]].sum()) for block in blocks(len(event)))
    return float(np.clip(positives / len(event), 1e-4, 1 - 1e-4))
