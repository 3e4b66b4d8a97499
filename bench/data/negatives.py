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
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..config import DataConfig
from ..errors import UserError, unknown_name
from .columns import blocks, chosen, collected, scratch, shuffled, sorted_rows, user_blocks
from .eventlog import EventLog
from .examples import Examples
from .splits import Split
from .visibility import Requests

IN_BATCH = 1024
"""Positives that lend each other their items as negatives."""

_ROUNDS = 12
"""Times that a refused draw is repeated before everything that is left is looked at."""


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
            event = chosen(event, lambda part: (rng.random(len(part)) < rate) | (log.label[part] == 1), log.near)
        return Examples(log, event)
    positive = _liked(log, event)
    return sampler().with_negatives(positive, config.negatives, int(rate), np.random.default_rng([2, seed, epoch]))


def _liked(log: EventLog, event: np.ndarray) -> np.ndarray:
    """The positives among events, in their order."""
    return chosen(event, lambda part: log.label[part] == 1, log.near)


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
    kept = chosen(event, lambda part: np.isin(code[part], wanted), log.near)
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
    return sampler().with_negatives(_liked(log, event), config.test_negatives, config.test_negative_rate, rng)


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


class _Proposals(NamedTuple):
    """What may be proposed to each host: a range of items, in which an item stands as often as it weighs."""

    items: np.ndarray
    """Integers: item codes."""
    ranges: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    """int64 hosts [n] -> where the range of each begins among the items, and where it ends."""

    def some(self, host: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random item for each of n hosts, -1 where the range is empty."""
        begin, end = self.ranges(host)
        size = end - begin
        drawn = begin + (rng.random(len(host)) * size).astype(np.int64)
        if not len(self.items):
            return np.full(len(host), -1)
        return np.where(size > 0, self.items[np.minimum(drawn, len(self.items) - 1)], -1)

    def every(self, host: int) -> np.ndarray:
        """The range of a host."""
        begin, end = self.ranges(np.array([host]))
        return self.items[int(begin[0]) : int(end[0])]


class Sampler:
    """What may be sampled at a request: items that were available, but not those that its user had met.

    Held in memory is what is as long as the items. What is as long as events, meetings or examples lies in scratch files and is
    worked on in blocks; random numbers are drawn in the same order whatever the blocks.
    """

    def __init__(self, log: EventLog, split: Split, requests: Requests, exclude_future_positives: bool, repeats: bool) -> None:
        self.log, self.split, self.exclude_future, self.repeats = log, split, exclude_future_positives, repeats
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
            liked = (
                np.isin(_meetings(log, *part)[0], _meetings(log, *part, liked=True)[0], assume_unique=True)
                for part in log.users_of_blocks()
            )
            self.liked = collected(liked, np.bool_, log.near)

    @property
    def popular(self) -> np.ndarray:
        """int32 [positives of training]: the item of each, in order of time."""
        return self._popular[0]

    @property
    def popular_time(self) -> np.ndarray:
        """int64, milliseconds: the times of `popular`."""
        return self._popular[1]

    @functools.cached_property
    def _popular(self) -> tuple[np.ndarray, np.ndarray]:
        log = self.log
        positive = _liked(log, self.split.examples("train"))
        order = sorted_rows(len(positive), lambda block: log.time[positive[block]], log.near)
        item, time = scratch(len(order), np.int32, log.near), scratch(len(order), np.int64, log.near)
        for block in blocks(len(order)):
            event = positive[order[block]]
            item[block], time[block] = log.item[event], log.time[event]
        return item, time

    def without(self, items: np.ndarray) -> Sampler:
        """One that draws none of these items, bool [items]: to it they were never there."""
        other = copy.copy(self)
        other.first_time = np.where(items, np.iinfo(np.int64).max, self.first_time)
        other.by_first_time = np.argsort(other.first_time, kind="stable")
        return other

    def with_negatives(self, positive: np.ndarray, source: str, rate: int, rng: np.random.Generator) -> Examples:
        """The rankable of the events `positive` (ascending) and up to `rate` distinct negatives each, fewer if no more exist."""
        host = chosen(positive, self.rankable, self.log.near)
        # Items of each host: its own, then those drawn, -1 where there was none.
        taken = scratch(len(host) * (rate + 1), np.int32, self.log.near).reshape(len(host), rate + 1)
        for block in blocks(len(host)):
            taken[block, 0] = self.log.item[host[block]]
        proposals = self._proposals(source, host, rng)
        for draw in range(1, rate + 1):
            self._draw(host, taken, draw, proposals, rng)
        return self._examples(host, taken)

    def rankable(self, event: np.ndarray) -> np.ndarray:
        """bool [n]: somebody had met the item of event [n] earlier, and its user, unless repeats are kept, had not."""
        item = self.log.item[event]
        first = self.met_event[self._meeting(event, item)[0]] == event
        return (self.first_time[item] < self.start[event]) & (first | self.repeats)

    def allowed(self, event: np.ndarray, item: np.ndarray) -> np.ndarray:
        """bool [n]: item [n] may be a negative at the request of event [n]."""
        at, known = self._meeting(event, item)
        refused = known & (self.met_event[at] <= self.end[event])
        if self.exclude_future:
            refused |= known & self.liked[at]
        return (item >= 0) & (self.first_time[item] < self.start[event]) & ~refused

    def _meeting(self, event: np.ndarray, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the users of events [n] meet items [n] first, among all first meetings, and bool: whether they do so at all."""
        key = self.log.user_of(event) * self.log.meta.items + item
        at = np.minimum(np.searchsorted(self.met, key), len(self.met) - 1)
        return at, self.met[at] == key

    def _draw(self, host: np.ndarray, taken: np.ndarray, draw: int, proposals: _Proposals, rng: np.random.Generator) -> None:
        """One more item for each host, in the column `draw`. A refused proposal is made again, then chosen among all."""
        missing = None
        for _ in range(_ROUNDS):
            missing = collected(self._refused(missing, host, taken, draw, proposals, rng), np.int64, self.log.near)
            if not len(missing):
                return
        assert missing is not None
        for block in blocks(len(missing)):
            for at in missing[block].tolist():
                left = collected(self._possible(int(host[at]), taken[at, :draw], proposals.every(at)), np.int32, self.log.near)
                if len(left):
                    taken[at, draw] = rng.choice(left)

    def _refused(
        self,
        missing: np.ndarray | None,
        host: np.ndarray,
        taken: np.ndarray,
        draw: int,
        proposals: _Proposals,
        rng: np.random.Generator,
    ) -> Iterator[np.ndarray]:
        """Propose once to the hosts that are missing one, all at None, and say which still are."""
        for block in blocks(len(host) if missing is None else len(missing), draw + 1):
            at = np.arange(block.start, block.stop) if missing is None else missing[block]
            item = proposals.some(at, rng)
            good = self.allowed(host[at], item) & (taken[at, :draw] != item[:, None]).all(1)
            taken[at, draw] = np.where(good, item, -1)
            yield at[~good]

    def _possible(self, event: int, taken: np.ndarray, items: np.ndarray) -> Iterator[np.ndarray]:
        """Those of the items that may be a negative of an event that has `taken`."""
        for block in blocks(len(items)):
            part = items[block]
            yield part[self.allowed(np.full(len(part), event), part) & ~np.isin(part, taken)]

    def _examples(self, host: np.ndarray, taken: np.ndarray) -> Examples:
        """Those that were found, by host, then draw."""
        parts, near = list(blocks(len(host), taken.shape[1])), self.log.near
        count = sum(int(np.count_nonzero(taken[part] >= 0)) for part in parts)
        kinds = (np.int64, np.int32, np.min_scalar_type(taken.shape[1]))
        event, item, draw = (scratch(count, kind, near) for kind in kinds)
        end = 0
        for part in parts:
            found = taken[part]
            row, column = np.nonzero(found >= 0)
            begin, end = end, end + len(row)
            event[begin:end], item[begin:end], draw[begin:end] = host[part][row], found[row, column], column
        return Examples(self.log, event, (item, draw))

    def _proposals(self, source: str, host: np.ndarray, rng: np.random.Generator) -> _Proposals:
        """What is proposed to hosts, int64 [n], which are events."""
        count, near = len(host), self.log.near
        if source == "in-batch":
            order = shuffled(count, rng, near)
            items = collected((self.log.item[host[order[block]]] for block in blocks(count)), np.int32, near)
            place = scratch(count, order.dtype, near)
            for block in blocks(count):
                place[order[block]] = np.arange(block.start, block.stop)

            def group(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                begin = place[at].astype(np.int64) // IN_BATCH * IN_BATCH
                return begin, np.minimum(begin + IN_BATCH, count)

            return _Proposals(items, group)
        if source == "uniform":
            items, since = self.by_first_time, self.first_time[self.by_first_time]
        else:
            items, since = self.popular, self.popular_time
        before = (np.searchsorted(since, self.start[host[block]], side="left") for block in blocks(count))
        end = collected(before, np.int64, near)
        return _Proposals(items, lambda at: (np.zeros(len(at), dtype=np.int64), end[at]))
