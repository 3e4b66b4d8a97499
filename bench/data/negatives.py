"""Which pairs of a request and an item are examples: logged events, some of their negatives left out, or items that are sampled.

Sources of negatives:
- `exposed`: what the log shows without the positive outcome; the rate is the share of them that is kept.
- `uniform`: any item that was available at the request; the rate is negatives per positive, as for the next two.
- `popularity`: the item of a random positive training event before the request.
- `in-batch`: the item of another positive of the same IN_BATCH positives, drawn anew each epoch; the same rows for every
  model, whatever its batches.

A sampled item was available (somebody had met it before the request), its user had not met it before the end of the request,
and no two negatives of one positive are the same. Positives beside sampled negatives obey the same two rules, else one look
would tell them apart: an item that nobody had met, or one of the user's own past, could only be the positive. So they are left
out; `repeats` keeps the latter. An item that the user meets later may be sampled: leaving those out would tell the model what the
future holds; `exclude_future_positives` does so, to compare with work that does.

Only training follows rate, source and share (`train_share`). Validation and test are the logged events; where a log has positives
alone, or on request, they are the positives and items sampled once for a split, whatever model, seed or training rate.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..config import DataConfig
from ..errors import UserError, unknown_name
from .columns import blocks, collected, scratch, shuffled, user_blocks
from .eventlog import EventLog
from .splits import Split
from .visibility import Requests

IN_BATCH = 1024
"""Positives that lend each other their items as negatives."""

_ROUNDS = 12
"""Times that a refused draw is repeated before everything that is left is looked at."""


class Examples:
    """n pairs of a request and an item to score, ordered by event, then draw."""

    def __init__(self, log: EventLog, event: np.ndarray, sampled: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """
        Args:
            event: int64 [n]: position of the event whose request it is.
            sampled: int64 [n] item codes and [n] draws: 0 for the event itself, d for its d-th sampled negative; None: the
                events as they were logged.
        """
        self.log, self.event, self._sampled = log, event, sampled

    def __len__(self) -> int:
        return len(self.event)

    @property
    def sampled(self) -> bool:
        """Whether there may be others than events as they were logged."""
        return self._sampled is not None

    @functools.cached_property
    def item(self) -> np.ndarray:
        """int64 [n]: item code; the event's own or a sampled one."""
        return np.asarray(self.log.item[self.event], dtype=np.int64) if self._sampled is None else self._sampled[0]

    @functools.cached_property
    def draw(self) -> np.ndarray:
        """int64 [n]: 0 for the event itself, d for its d-th sampled negative."""
        return np.zeros_like(self.event) if self._sampled is None else self._sampled[1]

    @functools.cached_property
    def label(self) -> np.ndarray:
        """uint8 [n]"""
        return np.asarray(self.log.label[self.event]) if self._sampled is None else (self.draw == 0).astype(np.uint8)

    @property
    def positives(self) -> int:
        """How many have the label 1."""
        return sum(int(self.take(block).label.sum()) for block in blocks(len(self)))

    def take(self, rows: np.ndarray | slice) -> Examples:
        """Some of them."""
        sampled = None if self._sampled is None else (self._sampled[0][rows], self._sampled[1][rows])
        return Examples(self.log, self.event[rows], sampled)

    def ids(self) -> np.ndarray:
        """int64 [n]: event + draw * events of the log; the same pair of one split has the same id in every run."""
        return self.event + self.draw * self.log.meta.events


def training_examples(
    log: EventLog, event: np.ndarray, config: DataConfig, sampler: Callable[[], Sampler], seed: int, epoch: int
) -> Examples:
    """Of one epoch, among the events of training. What train_share leaves out, and exposed negatives that the rate does, are left
    out of all epochs of a seed; sampled negatives are drawn anew.

    The share is of examples, at random. The latest ones alone would be nearer to the test as well as fewer, and a share of
    users would make users of the test cold: neither says what the amount does. It is another one for each seed, so that
    the spread over seeds holds the choice, and shares of one seed lie within each other.
    """
    event = _share(log, event, config.train_share, seed)
    rate = config.negative_rate
    assert rate is not None, "settings are resolved when data are prepared"
    if config.negatives == "exposed":
        if rate < 1:
            rng = np.random.default_rng([1, seed])
            event = _chosen(log, event, lambda part: (rng.random(len(part)) < rate) | (log.label[part] == 1))
        return Examples(log, event)
    positive = _chosen(log, event, lambda part: log.label[part] == 1)
    return sampler().with_negatives(positive, config.negatives, int(rate), np.random.default_rng([2, seed, epoch]))


def _chosen(log: EventLog, event: np.ndarray, which: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Those of the events for which `which`, asked in their order, is true."""
    return collected((part[which(part)] for part in (event[block] for block in blocks(len(event)))), np.int64, log.near)


class Ahead(NamedTuple):
    """The next window of a stream, which is scored before anything is learned from it."""

    window: int
    event: np.ndarray
    """int64 [n]"""


def of_domains(log: EventLog, event: np.ndarray, config: DataConfig) -> np.ndarray:
    """The events of config.domains, in their order.

    Raises:
        UserError: the log declares no domain, or has no such one; or what is left holds one label alone.
    """
    if not config.domains:
        return event
    if log.meta.domain is None:
        raise UserError(f"data.domains: {log.meta.name} declares no domain (`domain` in docs/reference/table.md)")
    column = log.meta.domain.column
    names = {str(name): code for code, name in enumerate(log.dictionary(f"feature.{column}"))}
    for name in config.domains:
        if name not in names:
            raise unknown_name(f"domain of {log.meta.name} in data.domains", name, names)
    code, wanted = log.feature(column), [names[name] for name in config.domains]
    assert isinstance(code, np.ndarray), "a domain is a category"
    kept = _chosen(log, event, lambda part: np.isin(code[part], wanted))
    if not len(kept) or (Examples(log, kept).positives in (0, len(kept)) and not log.positive_only):
        raise UserError(
            f"data.domains={list(config.domains)} leaves {len(kept):,} examples of {log.meta.name} for training or validation, "
            "and not both labels among them: name larger domains, or several at once"
        )
    return kept


def _share(log: EventLog, event: np.ndarray, share: float, seed: int) -> np.ndarray:
    """round(share * n) of n events, 1 at least, in their order."""
    if share == 1:
        return event
    kept = shuffled(len(event), np.random.default_rng([4, seed]), log.near)[: max(1, round(share * len(event)))]
    kept.sort()
    return collected((event[kept[block]] for block in blocks(len(kept))), np.int64, log.near)


def held_out_examples(
    log: EventLog, split: Split, config: DataConfig, sampler: Callable[[], Sampler], role: str, ahead: Ahead | None = None
) -> Examples:
    """Of validation or test: the same for every model, seed and training rate.

    Args:
        ahead: in place of the validation of the split.
    """
    event = split.examples(role) if ahead is None else ahead.event
    if role == "valid":
        event = of_domains(log, event, config)
    if config.test_negatives == "exposed":
        return Examples(log, event)
    rng = np.random.default_rng([3, int(split.hash[:15], 16), len(role), *([] if ahead is None else [ahead.window])])
    return sampler().with_negatives(event[log.label[event] == 1], config.test_negatives, config.test_negative_rate, rng)


def negatives_per_positive(log: EventLog, train: np.ndarray, config: DataConfig) -> tuple[float, float]:
    """In training, of the events `train`, and where predictions are judged: what the former would have without any sampling.

    Models learn the odds of the first and are asked for those of the second. With w = first / second, a probability p becomes
    p / (p + (1 - p) / w) (He et al. 2014, section 6.3). For sampled negatives this puts the mean right and no more: a sampled
    item is not an exposed one.
    """
    positives = Examples(log, train).positives
    exposed = (len(train) - positives) / max(positives, 1)
    rate = config.negative_rate
    assert rate is not None, "settings are resolved when data are prepared"
    training = exposed * rate if config.negatives == "exposed" else rate
    return training, exposed if config.test_negatives == "exposed" else config.test_negative_rate


def _meetings(log: EventLog, events: slice, user: np.ndarray, liked: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """int64: pairs of a user and an item among the events of whole users, ascending, as one number each, and the first event of
    each. With `liked`, of events with the label 1."""
    key = user.astype(np.int64) * log.meta.items + log.item[events]
    if liked:
        key = key[log.label[events] == 1]
    pair, first = np.unique(key, return_index=True)
    return pair, events.start + first


class Sampler:
    """What may be sampled at a request: items that were available, but not those that its user had met."""

    def __init__(self, log: EventLog, split: Split, requests: Requests, exclude_future_positives: bool, repeats: bool) -> None:
        self.log, self.exclude_future, self.repeats = log, exclude_future_positives, repeats
        self.start, items = requests.start, log.meta.items
        self.first_time = np.full(items, np.iinfo(np.int64).max)
        for block in blocks(log.meta.events):
            np.minimum.at(self.first_time, log.item[block], log.time[block])
        self.by_first_time = np.argsort(self.first_time, kind="stable")
        # The first meeting of each (user, item): within a user, events are in order of time, so the first one found is it.
        meetings = lambda: (_meetings(log, *part) for part in log.users_of_blocks())  # noqa: E731
        self.met = collected((key for key, _ in meetings()), np.int64, log.near)
        self.met_event = collected((event for _, event in meetings()), np.int64, log.near)
        self.end = scratch(log.meta.events, np.int64, log.near)
        for _, events in user_blocks(log.user_offsets):
            self.end[events] = requests.last(events)
        if exclude_future_positives:
            liked = (_meetings(log, block, user, liked=True)[0] for block, user in log.users_of_blocks())
            self.liked = np.isin(self.met, collected(liked, np.int64, log.near), assume_unique=True)
        train = split.examples("train")
        positive = train[log.label[train] == 1]
        positive = positive[np.argsort(log.time[positive], kind="stable")]
        self.popular, self.popular_time = np.asarray(log.item[positive], dtype=np.int64), np.asarray(log.time[positive])

    def without(self, items: np.ndarray) -> Sampler:
        """One that draws none of these items, bool [items]: to it they were never there."""
        other = copy.copy(self)
        other.first_time = np.where(items, np.iinfo(np.int64).max, self.first_time)
        other.by_first_time = np.argsort(other.first_time, kind="stable")
        return other

    def with_negatives(self, positive: np.ndarray, source: str, rate: int, rng: np.random.Generator) -> Examples:
        """The rankable of the events `positive` (ascending) and up to `rate` distinct negatives each, fewer if no more exist."""
        positive = positive[self.rankable(positive)]
        taken = np.full((len(positive), rate + 1), -1, dtype=np.int64)
        taken[:, 0] = self.log.item[positive]
        propose, pool = self._source(source, positive, rng)
        for draw in range(1, rate + 1):
            taken[:, draw] = self._draw(positive, taken[:, :draw], propose, pool, rng)
        host, draw = np.nonzero(taken >= 0)
        return Examples(self.log, positive[host], (taken[host, draw], draw.astype(np.int64)))

    def rankable(self, event: np.ndarray) -> np.ndarray:
        """bool [n]: somebody had met the item of event [n] earlier, and its user, unless repeats are kept, had not."""
        first = np.isin(event, self.met_event) | self.repeats
        return (self.first_time[self.log.item[event]] < self.start[event]) & first

    def allowed(self, event: np.ndarray, item: np.ndarray) -> np.ndarray:
        """bool [n]: item [n] may be a negative at the request of event [n]."""
        key = self.log.user_of(event) * self.log.meta.items + item
        at = np.minimum(np.searchsorted(self.met, key), len(self.met) - 1)
        known = self.met[at] == key
        refused = known & (self.met_event[at] <= self.end[event])
        if self.exclude_future:
            refused |= known & self.liked[at]
        return (item >= 0) & (self.first_time[item] < self.start[event]) & ~refused

    def _draw(
        self,
        host: np.ndarray,
        taken: np.ndarray,
        propose: Callable[[np.ndarray], np.ndarray],
        pool: Callable[[int], np.ndarray],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """One more item for each host, -1 where none is left. A refused proposal is made again, then chosen among all."""
        found = np.full(len(host), -1, dtype=np.int64)
        missing = np.arange(len(host))
        for _ in range(_ROUNDS):
            item = propose(missing)
            good = self.allowed(host[missing], item) & (taken[missing] != item[:, None]).all(1)
            found[missing[good]] = item[good]
            missing = missing[~good]
            if not len(missing):
                return found
        for at in missing.tolist():
            left = pool(at)
            left = left[self.allowed(np.full(len(left), host[at]), left) & ~np.isin(left, taken[at])]
            if len(left):
                found[at] = rng.choice(left)
        return found

    def _source(
        self, source: str, host: np.ndarray, rng: np.random.Generator
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[int], np.ndarray]]:
        """Random proposals for some of the hosts, and everything that could be proposed for one, as often as it weighs."""
        if source == "in-batch":
            order = rng.permutation(len(host))
            shuffled = np.asarray(self.log.item[host[order]], dtype=np.int64)
            place = np.empty_like(order)
            place[order] = np.arange(len(order))
            begin = place // IN_BATCH * IN_BATCH
            end = np.minimum(begin + IN_BATCH, len(host))
            items = shuffled
        else:
            items, since = (
                (self.by_first_time, self.first_time[self.by_first_time])
                if source == "uniform"
                else (self.popular, self.popular_time)
            )
            begin, end = np.zeros(len(host), dtype=np.int64), np.searchsorted(since, self.start[host], side="left")

        def propose(at: np.ndarray) -> np.ndarray:
            size = (end - begin)[at]
            chosen = begin[at] + (rng.random(len(at)) * size).astype(np.int64)
            return np.where(size > 0, items[np.minimum(chosen, len(items) - 1)], -1) if len(items) else np.full(len(at), -1)

        return propose, lambda at: items[begin[at] : end[at]]
