"""The run record: one JSON per model, configuration and seed. Every key is documented here and nowhere else.

Read strictly: a key too many, a key too few or another schema version is an error, so that old files are never half
understood. Numbers that are undefined are null in the file; metrics are then None in memory, other floats NaN.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from ..config import DataConfig, TrainConfig, Tuning
from ..data.content import ContentFacts
from ..data.mismatch import ValidationMismatch
from ..data.semantic_ids.codes import CodeFacts
from ..errors import UserError
from ..evaluation.slices import PARTS
from ..identity import LATER, data_hash
from ..typed import Broken, OrNaN, as_json, from_dict, parse, read, younger

SCHEMA_VERSION = 4

SLICES = ("all", *PARTS)
"""Parts of the examples: all, and those of evaluation/slices.py, by training events of the user (`user_events: 1-19`), days since
the last of them (`user_gap: 7-29`, `none` without any) and training events of the item (`item_events: 0`)."""

METRICS = {
    "request_gauc": "AUC within (user, request) groups, weighted by their examples; over groups with both labels",
    "request_groups": "(user, request) groups with both labels",
    "request_groups_dropped": "(user, request) groups with a single label value, left out of request_gauc",
    "request_rows": "examples of the groups with both labels",
    "request_ndcg@10": "mean over the same groups, each counting the same",
    "request_mrr": "reciprocal rank of the first positive, mean over the same groups",
    "auc": "area under the ROC curve over all examples, ties counting half",
    "auc_pairs_within_request": "share of the pairs of a positive and a negative that AUC counts which lie within one request",
    "auc_pairs_within_user": "the same within one user",
    "user_gauc": "AUC within users, weighted by their examples; over users with both labels",
    "user_gauc_users": "users with both labels",
    "user_gauc_users_dropped": "users with a single label value, left out of user_gauc",
    "user_gauc_rows": "examples of the users with both labels",
    "logloss": "mean cross-entropy, nats per example",
    "ne": "logloss over the entropy of the examples' own base rate",
    "ece": "expected calibration error, a difference of probabilities",
    "ece_floor": "what ece would be expected to be if every predicted probability were right",
    "n": "examples",
    "positives": "examples with label 1",
}
"""Metrics of a slice, computed by evaluation/metrics.py; null where undefined, for example an AUC over one class."""

Slices = dict[str, dict[str, float | int | None]]
"""Slice -> metric -> value."""


class OtherVersion(UserError):
    """A record of another schema version: not broken, but not readable by this program."""


@dataclass(frozen=True)
class Identity:
    """What makes a cell the same cell."""

    dataset: str
    """The data set's own name, not the path of its YAML file."""
    split: str
    """The resolved name, never `default`."""
    model: str
    """Name in the registry."""
    family: str
    """floor, classical, unified or generative."""
    config_hash: str
    """Of the resolved experiment without its seed, see identity.py; 12 hex digits."""
    content_hash: str
    """Of all that a model or a metric can see of the data set, 64 hex digits: LogMeta.content_hash."""
    split_hash: str
    """sha256 of the (user, item, time, role) table."""
    seed: int

    @property
    def data_hash(self) -> str:
        """8 hex digits of content and split together."""
        return data_hash(self.content_hash, self.split_hash)

    @property
    def cell(self) -> str:
        """Settings and data, seeds aside: the name of its folder."""
        return f"{self.config_hash}-{self.data_hash}"


@dataclass(frozen=True)
class File:
    """A source file of the data."""

    name: str
    """Without its folder."""
    origin: str
    """`url <address>`, `data root` or `wheel <name>==<version>`."""
    sha256: str
    bytes: int


@dataclass(frozen=True)
class DataFacts:
    """The data that all models of a board must share."""

    files: tuple[File, ...]
    content: ContentFacts
    """What was made of the sources' columns: label rules, actions, features, zone."""
    content_hash: str
    """As in the identity, which it is part of; so is the split hash."""
    split_hash: str
    """sha256 of the (user, item, time, role) table."""
    events: int
    """In the cleaned log, as are users and items."""
    users: int
    items: int
    examples: dict[str, int]
    """Per role: train, valid, test."""
    positives: dict[str, int]
    """Examples with label 1, per role."""
    share_train_after_test: float
    """Share of training events later than the earliest test event; 0 for a split without a look into the future."""
    test_rows_warm_user: float
    """Share of test examples whose user has training events."""
    test_rows_warm_item: float
    """Share of test examples whose item has training events."""
    cleaning: dict[str, int]
    """Rows read, dropped by reason, kept; rows, users and items that each declared step left."""
    bayes_auc: float | None
    """Best reachable AUC; known for simulated data only."""
    mismatch: ValidationMismatch
    """How far validation, by which epochs and settings are chosen, is from the test."""
    margin: Annotated[float, Ge(0)]
    """Differences of a metric of at most this matter to nobody, by the data set's card."""
    codes: CodeFacts | None = younger(None)  # noqa: RUF009 (a field)
    """Of the semantic ids that items are known by, if they are; on another machine, clusters may fall otherwise."""


@dataclass(frozen=True)
class Metrics:
    """Of the weights that are kept."""

    test: Slices
    valid: Slices
    """Of the best weights by validation, also where train.refit then trained others on these examples."""
    labels: dict[str, Slices]
    """Of further labels, on the test examples; empty for a model that predicts the main one alone."""


@dataclass(frozen=True)
class Energy:
    """Joules that the hardware counted while a run trained and validated, whatever else ran on it; null where it does not say."""

    cpu: Annotated[float, Ge(0)] | None
    """Of all processor packages, with memory that has a counter of its own (RAPL)."""
    accelerator: Annotated[float, Ge(0)] | None
    """Of the cards that trained (NVML)."""


@dataclass(frozen=True)
class Cost:
    """What the run took; of a refit, both trainings together."""

    parameters_embedding: int
    """Numbers in embedding tables."""
    parameters_dense: int
    """All other trained numbers."""
    train_seconds: float
    """Wall time of training steps, batch assembly included, validation left out."""
    train_cpu_seconds: float
    """The same in CPU time of all threads and processes, seconds."""
    examples_per_second: float
    """Training examples, all epochs, over train_seconds."""
    eval_seconds: float
    """Wall time to score all test examples."""
    latency_ms_100_candidates: float
    """Median wall time in milliseconds to score 100 candidates for one user, batch assembly included."""
    latency_cpu_ms_100_candidates: float
    """The same in CPU time of all threads: what to compare on a CPU, where other work changes wall time."""
    peak_memory_mb: float
    """MiB. Accelerator: most memory allocated. CPU: largest resident size of the process, which holds the data set and
    whatever ran before in it."""
    epochs: int
    """Epochs completed, of a refit in the first training."""
    best_epoch: int
    """The epoch whose weights validation chose, counted from 1; with train.refit also how many the second training had."""
    steps: int
    """Optimiser steps, all epochs of all trainings; 0 for a model that only counts."""
    flops_per_example: float
    """Floating point operations of products and attention in a forward pass over training batches, for each example of
    them, see evaluation/flops.py; training takes about three times that. 0 for a model that only counts."""
    load_average: float
    """Processes that wanted to run in the minute before training began; above the cores, times are not comparable."""
    energy: Energy | None = younger(None)  # noqa: RUF009 (a field)
    """Null where nothing counts it, where the command trained other runs at the same time, and in records older than this key."""


@dataclass(frozen=True)
class CurvePoint:
    """One point of the learning curve, after an epoch."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Mean of train.loss over the epoch's training examples in nats, while the weights moved."""
    valid_auc: float
    valid_request_gauc: OrNaN
    """NaN if no validation request has both labels."""
    valid_logloss: float
    """Nats per example."""
    seconds: float
    """Training time so far, validation left out."""


@dataclass(frozen=True)
class Environment:
    """Where it ran."""

    python: str
    """Version of the interpreter."""
    platform: str
    """Operating system and instruction set."""
    cpu: str
    """The processor's model name."""
    cores: int
    """Logical processors of the machine."""
    threads: int
    """Of torch, within one operation."""
    processes: int
    """That trained together, each with a share of every step's examples."""
    memory_gb: float
    """Memory of the machine, GiB."""
    accelerator: str | None
    """The device's model name; null on a CPU."""
    versions: dict[str, str | None]
    """Of the packages that matter; null if not installed."""
    code_hash: str
    """sha256 of this program's own source files, 64 hex digits: what computed, whether or not it was committed."""
    git_commit: str | None
    """Of the checkout that the code ran from; null if it was installed from a wheel."""
    git_dirty: bool | None
    """True if the checkout differed from the commit."""
    command: tuple[str, ...]
    """The process's argument list, paths cut to their last part."""


@dataclass(frozen=True)
class RunRecord:
    """One finished, failed or stopped run."""

    schema_version: int
    """Raised when a key or the meaning of a key changes."""
    identity: Identity
    status: Literal["ok", "failed", "stopped"]
    """stopped: a limit of the command (--max-hours, --max-memory) ended training or left no time for it. The run has no result
    and takes part in nothing; the same command goes on with it."""
    error: str | None
    """Why not, in one line; null if ok."""
    config: dict[str, Any]
    """The fully resolved experiment: model, then every key of data, train and params, defaults and inert ones too."""
    changed: dict[str, Any]
    """Settings that differ from the model's defaults, by dotted key; empty for a default run. None of them is inert."""
    logit_correction: float
    """Added to the main label's logits of every score, see data/negatives.py."""
    tuning: Tuning | None
    """Null if no sweep found the settings, or if some were changed afterwards."""
    data: DataFacts
    metrics: Metrics | None
    """Null unless ok, as are cost and curve."""
    cost: Cost | None
    curve: tuple[CurvePoint, ...] | None
    """One point per epoch; empty for a model that only counts."""
    environment: Environment
    device: str
    """As torch names it: cpu, cuda:0, npu:0."""
    precision: str
    """Of matrix products and activations: fp32, bf16 or fp16; weights are fp32."""
    kernels: dict[str, str]
    """Operation -> the implementation that ran."""
    matmul: dict[str, str]
    """Reduced-precision switches of the accelerator, TF32 or HF32; empty on a CPU."""
    simulated: bool
    """Made on an imitated device: never enters a board."""
    started: str
    """When training began: UTC, ISO 8601."""
    finished: str
    """When the record was made: UTC, ISO 8601."""

    @property
    def once_through_time(self) -> bool:
        """Whether it learned window by window, so that its curve has windows and no epochs."""
        return bool(self.config["train"].get("order") == "time")


def to_json(record: RunRecord) -> str:
    """The record as it is stored: declared order, one space indent, floats that read back exactly, null for NaN."""
    return as_json(record)


def from_json(text: str, where: str) -> RunRecord:
    """The record in `text`.

    Raises:
        OtherVersion: it has another schema version.
        UserError: it is not a whole record of this schema; `where` names the file.
    """

    def broken(what: str) -> UserError:
        return UserError(f"record {where} {what}; delete it and run the cell again")

    raw = parse(text, broken)
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        found = f"schema version {version}, this program reads {SCHEMA_VERSION}"
        raise OtherVersion(f"record {where} has {found}; delete it and run the cell again")
    record = read(RunRecord, text, broken)
    _check(record, broken)
    return record


def _check(record: RunRecord, broken: Broken) -> None:
    """What the types cannot say: a whole config, one identity, all results of a finished run, the error of a failed one."""
    for section, cls in (("data", DataConfig), ("train", TrainConfig)):
        known, given = {f.name for f in dataclasses.fields(cls)}, record.config.get(section)
        later = {key for of, key in LATER if of == section}
        # Older records lack what came later.
        if not isinstance(given, dict) or not known - later <= given.keys() <= known:
            wrong = ", ".join(sorted((known ^ given.keys()) - (later & known))) if isinstance(given, dict) else "all of it"
            raise broken(f"has missing or unknown keys in config.{section} ({wrong})")
        try:
            from_dict(cls, given, f"config.{section}")
        except UserError as error:
            raise broken(f"is broken: {error}") from None
    if record.config.keys() != {"model", "data", "train", "params"} or not isinstance(record.config["params"], dict):
        raise broken("has a config that is not model, data, train and params")
    for name in ("content_hash", "split_hash"):
        if getattr(record.identity, name) != getattr(record.data, name):
            raise broken(f"has one {name} in its identity and another in its data")
    results = (record.metrics, record.cost, record.curve)
    if record.status == "ok" and (record.error is not None or any(part is None for part in results)):
        raise broken("has status ok but an error, or lacks metrics, cost or curve")
    if record.status != "ok" and (not record.error or "\n" in record.error or any(part is not None for part in results)):
        raise broken(f"has status {record.status} but not exactly one line of error and nothing else")
    if record.metrics is None:
        return
    parts = {"test": record.metrics.test, "valid": record.metrics.valid}
    for role, slices in (parts | {f"labels.{name}": slices for name, slices in record.metrics.labels.items()}).items():
        wrong = slices.keys() ^ set(SLICES) or {name for values in slices.values() for name in values.keys() ^ METRICS.keys()}
        if wrong:
            raise broken(f"has missing or unknown keys in metrics.{role} ({', '.join(sorted(wrong))})")
