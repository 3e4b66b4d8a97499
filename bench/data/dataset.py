"""A data set made ready for ranking: event log + split + vocabulary + visibility, and the facts about them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ...kernels.time_buckets import GAP_BUCKETS, time_buckets
from ..config import DataConfig
from ..contract import UNKNOWN, DataSpec, Field
from ..errors import UserError, unknown_name
from . import sources
from .columns import Column, Computed, blocks, user_blocks
from .eventlog import EventLog, open_log, write_log
from .item_ids import with_item_ids
from .mismatch import ValidationMismatch, mismatch
from .negatives import Examples, Sampler, held_out_examples, negatives_per_positive, of_domains, training_examples
from .segments import longest_segment
from .sources.schema import DataRoots, RawLog
from .splits import ROLES, SPLITS, Split, held_out, is_split, make_split, without_items
from .steps.apply import apply_steps
from .steps.declared import in_words
from .visibility import HistoryPlaces, Requests, frozen_intervals, logged_requests, visible_intervals, windowed_requests
from .vocabulary import Vocabulary, build_vocabulary

_REQUEST_FIELDS = tuple(
    Field(name, size, derived=True) for name, size in (("hour", 26), ("weekday", 9), ("since_last", GAP_BUCKETS + 2))
)
"""Context fields that tell the time of the request; ids 0 and 1 are padding and unknown as everywhere."""

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000

MAIN_LABEL = "label"
"""What data.behaviours calls the outcome that the main label names."""


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

    def past(self, place: np.ndarray) -> np.ndarray:
        """Events of the log at places of histories."""
        return place if self.places is None else self.places.event[place]

    def places_before(self, position: np.ndarray) -> np.ndarray:
        """How many places of histories lie before positions in the log."""
        return position if self.places is None else self.places.before[position]

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
    def _taught(self) -> np.ndarray:
        """int64: the events that are trained on, before any share or sampling."""
        event = self.split.examples("train", "valid") if self.refit else self.split.examples("train")
        if self.refit and self.config.held_out_items:
            event = event[~held_out(self.log, self.config.held_out_items)[self.log.item[event]]]
        return of_domains(self.log, event, self.config)

    def examples(self, role: str, seed: int = 0, epoch: int = 0) -> Examples:
        """What is scored in `train`, `valid` or `test`. Seed and epoch matter for training examples that are sampled."""
        if role == "train":
            return training_examples(self.log, self._taught, self.config, lambda: self._teaching_sampler, seed, epoch)
        return held_out_examples(self.log, self.split, self.config, lambda: self._sampler, role)

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


def open_dataset(name: str, roots: DataRoots) -> EventLog:
    """The converted log of a registered data set or a YAML file; converts it on first use.

    A log is found again by the names, sizes and times of the source files and by the code that converts them.

    Raises:
        UserError: whatever is wrong with the name, the files or the cache.
    """
    pointer = _pointer(name, roots)
    if pointer.exists() and (folder := roots.cache / "logs" / pointer.read_text()).is_dir():
        return open_log(folder)
    raw = sources.load(name, roots)
    try:
        whole = dataclasses.replace(raw, steps=(), variant_of="", name=(raw.steps and raw.variant_of) or raw.name)
        log = _converted(whole, roots)
        if raw.steps:
            log = _stepped(log, raw, roots)
        # The loader may have fetched files: the fingerprint is taken afresh.
        _pointer(name, roots).write_text(log.folder.name)
    except OSError as error:
        raise UserError(
            f"the cache folder {roots.cache} cannot be written ({error.strerror or error}): set RANKBENCH_CACHE to one that can"
        ) from None
    return log


def _converted(raw: RawLog, roots: DataRoots) -> EventLog:
    """The log of a raw data set, every row of it."""
    # All that the loader says beside the tables themselves, which follow from the files.
    said = dataclasses.replace(raw, events=pd.DataFrame(), users=None, items=None, where="")
    folder = _log_folder(raw.name, repr(said), roots)
    return open_log(folder) if folder.is_dir() else write_log(raw, folder)


def _stepped(log: EventLog, raw: RawLog, roots: DataRoots) -> EventLog:
    """The log after the declared steps of a raw data set, under its name."""
    folder = _log_folder(raw.name, f"{log.folder.name} {[in_words(step) for step in raw.steps]}", roots)
    if folder.is_dir():
        return open_log(folder)
    return apply_steps(log, raw.steps, lambda one: requests_of(one, one.defaults.request_window), folder, raw.name)


def _log_folder(name: str, said: str, roots: DataRoots) -> Path:
    identity = f"{_code_digest()} {said}"
    return roots.cache / "logs" / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _pointer(name: str, roots: DataRoots) -> Path:
    """The file that names the folder of a data set's log."""
    return roots.cache / "logs" / f"{Path(name).stem[:40]}-{_fingerprint(name, roots)}.pointer"


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
    train = of_domains(log, split.examples("train"), config)
    vocabulary = with_item_ids(build_vocabulary(log, split.known, _left_out(log, config)), log, split, config)
    delay = round(config.feedback_delay * 1000)
    lo, hi = visible_intervals(log.user_offsets, log.time, requests, config.history_length, delay, log.near)
    if config.test_history == "frozen":
        held_out = (ROLES["valid"], ROLES["test"])
        lo, hi = frozen_intervals(hi, log.user_offsets, split.role, held_out, config.history_length, log.near)
        if any((np.diff(hi[events]) < 0).any() for _, events in user_blocks(log.user_offsets)):
            raise UserError(
                f"{log.meta.name}: data.test_history=frozen needs the test of each user behind its training; split {split.name} "
                "has users with training after it"
            )
    for name in config.labels:
        if name not in log.meta.labels:
            raise unknown_name(f"further label of {log.meta.name} in data.labels", name, log.meta.labels)
    places = _places(log, config)
    if places is not None:
        lo, hi = places.intervals(hi, log.user_offsets, config.history_length)
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
        domain=domain,
    )
    return RankingData(log, split, vocabulary, lo, hi, requests.start, requests.first, config, spec, places=places)


def _left_out(log: EventLog, config: DataConfig) -> frozenset[str]:
    """Features of the log that no model is given."""
    unasked = {"all": (), "items": ("user",), "users": ("item",), "none": ("user", "item")}[config.side_information]
    columns = {feature.column for owner, feature in log.meta.features if owner in unasked}
    if not config.domain_field:
        if log.meta.domain is None:
            raise UserError(f"data.domain_field=false: {log.meta.name} declares no domain (`domain` in docs/reference/table.md)")
        columns.add(log.meta.domain.column)
    return frozenset(columns)


def _places(log: EventLog, config: DataConfig) -> HistoryPlaces | None:
    """Of the events of config.behaviours."""
    if not config.behaviours:
        return None
    for name in config.behaviours:
        if name not in (MAIN_LABEL, *log.meta.labels):
            raise unknown_name(f"outcome of {log.meta.name} in data.behaviours", name, (MAIN_LABEL, *log.meta.labels))
    outcomes = [log.label if name == MAIN_LABEL else log.further_label(name) for name in config.behaviours]
    held = lambda block: np.any([outcome[block] == 1 for outcome in outcomes], axis=0)  # noqa: E731
    return HistoryPlaces.of(log.meta.events, held, log.near)


def requests_of(log: EventLog, window: float | None) -> Requests:
    """The requests of a log.

    Args:
        window: seconds; None for those that the log itself names.
    """
    if window is None:
        assert log.request_id is not None, "settings are resolved when data are prepared"
        return logged_requests(log.user_offsets, log.time, log.request_id, log.near)
    return windowed_requests(log.user_offsets, log.time, round(window * 1000), log.meta.utc_offset_hours, log.near)


def _rate(label: np.ndarray, event: np.ndarray) -> float:
    """Share of positives of some events, kept off 0 and 1: a rare outcome may not occur in training."""
    positives = sum(int(label[event[block]].sum()) for block in blocks(len(event)))
    return float(np.clip(positives / len(event), 1e-4, 1 - 1e-4))


def _code_digest() -> str:
    """Of everything that turns files into a log: a changed converter never reads a log of the old one."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _fingerprint(name: str, roots: DataRoots) -> str:
    files = _files_behind(name, roots)
    if sources.is_description(name):
        name = str(Path(name).absolute())
    stats = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\0".join((name, _code_digest(), *stats)).encode()).hexdigest()[:16]


def _files_behind(name: str, roots: DataRoots) -> list[Path]:
    """The files that a data set is made of, as far as they are there."""
    if sources.is_description(name):
        files, source = sources.files_behind(name), sources.source_of(name)
        return files if source is None else [*files, *_files_behind(source, roots)]
    homes = [home for home in (roots.root, roots.cache / "downloads", roots.cache) if home is not None and home.is_dir()]
    # A folder may carry a suffix, as a sample's does.
    places = sources.DATASETS[name].places if name in sources.DATASETS else (name,)
    folders = [folder for home in homes for folder in sorted(home.iterdir()) if folder.name.lower().startswith(places)]
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
