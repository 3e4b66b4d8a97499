"""The run record: one JSON per model, configuration and seed. Every key is documented here and nowhere else.

Read strictly: a key too many, a key too few or another schema version is an error, so that old files are never half
understood. Values that are undefined (an AUC over one class) are null.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import UserError

SCHEMA_VERSION = 1

Slices = dict[str, dict[str, float | int | None]]
"""Slice (all, warm_user, cold_user, warm_item, cold_item) -> metric -> value; see evaluation/metrics.py."""


@dataclass(frozen=True)
class Identity:
    """What makes a cell the same cell."""

    dataset: str
    split: str
    """The resolved name, never `default`."""
    model: str
    family: str
    config_hash: str
    """Of the resolved experiment without its seed; 12 hex digits."""
    seed: int


@dataclass(frozen=True)
class File:
    """A source file of the data."""

    name: str
    origin: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class DataFacts:
    """The data that all models of a board must share."""

    files: tuple[File, ...]
    split_hash: str
    """sha256 of the (user, item, time, role) table."""
    events: int
    users: int
    items: int
    examples: dict[str, int]
    """Per role: train, valid, test."""
    positives: dict[str, int]
    share_train_after_test: float
    """Share of training events later than the earliest test event; 0 for a split without a look into the future."""
    test_rows_warm_user: float
    """Share of test examples whose user has training events."""
    test_rows_warm_item: float
    cleaning: dict[str, int]
    """Rows read, dropped by reason, kept."""
    bayes_auc: float | None
    """Best reachable AUC; known for simulated data only."""


@dataclass(frozen=True)
class Metrics:
    """Of the best weights by validation."""

    test: Slices
    valid: Slices


@dataclass(frozen=True)
class Cost:
    """What the run took."""

    parameters_embedding: int
    parameters_dense: int
    train_seconds: float
    """Wall time of training steps, batch assembly included, validation left out."""
    train_cpu_seconds: float
    """The same in CPU time of all threads."""
    examples_per_second: float
    """Training examples, all epochs, over train_seconds."""
    eval_seconds: float
    """Wall time to score all test examples."""
    latency_ms_100_candidates: float
    """Median wall time to score 100 candidates for one user, batch assembly included."""
    peak_memory_mb: float
    """Accelerator: most memory allocated. CPU: largest resident size of the process, which holds the data set and whatever
    ran before in it."""
    epochs: int
    best_epoch: int
    steps: int
    load_average: float
    """Of the machine when training began; above its cores, times are not comparable."""


@dataclass(frozen=True)
class Point:
    """One point of the learning curve, after an epoch."""

    epoch: int
    train_loss: float
    valid_auc: float
    valid_gauc: float
    valid_logloss: float
    seconds: float


@dataclass(frozen=True)
class Environment:
    """Where it ran."""

    python: str
    platform: str
    cpu: str
    cores: int
    threads: int
    memory_gb: float
    accelerator: str | None
    versions: dict[str, str | None]
    """Of the packages that matter; null if not installed."""
    git_commit: str | None
    git_dirty: bool | None
    """True if the checkout differed from the commit."""


@dataclass(frozen=True)
class RunRecord:
    """One finished or failed run."""

    schema_version: int
    identity: Identity
    status: Literal["ok", "failed"]
    error: str | None
    """One line; null if ok."""
    config: dict[str, Any]
    """The fully resolved experiment: data, train, params."""
    changed: dict[str, Any]
    """Settings that differ from the model's defaults, by dotted key; empty for a default run."""
    data: DataFacts
    metrics: Metrics | None
    """Null if failed, as are cost and curve."""
    cost: Cost | None
    curve: tuple[Point, ...] | None
    environment: Environment
    device: str
    precision: str
    kernels: dict[str, str]
    """Operation -> the implementation that ran."""
    matmul: dict[str, str]
    """Reduced-precision switches of the accelerator, TF32 or HF32; empty on a CPU."""
    simulated: bool
    """Made on an imitated device: never enters a board."""
    started: str
    """UTC, ISO 8601"""
    finished: str


def to_json(record: RunRecord) -> str:
    """The record as it is stored: declared order, one space indent, floats that read back exactly, null for NaN."""
    return json.dumps(_finite(dataclasses.asdict(record)), indent=1, allow_nan=False) + "\n"


def from_json(text: str, where: str) -> RunRecord:
    """The record in `text`.

    Raises:
        UserError: it is not a whole record of this schema; `where` names the file.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"record {where} is not JSON ({error.msg}, line {error.lineno}); delete it and run the cell again") from None
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        found = raw.get("schema_version") if isinstance(raw, dict) else None
        raise UserError(f"record {where} has schema version {found}, this program reads {SCHEMA_VERSION}; delete it and run the cell again")
    return _read(RunRecord, raw, where, "")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(hint: Any, value: Any, where: str, key: str) -> Any:
    """`value` from JSON as the annotated type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        fields = {f.name for f in dataclasses.fields(hint)}
        if not isinstance(value, dict) or value.keys() != fields:
            given = value.keys() if isinstance(value, dict) else set()
            wrong = ", ".join(sorted(fields ^ given)) or "its value"
            raise UserError(f"record {where}: {key or 'the record'} has missing or unknown keys ({wrong}); delete it and run the cell again")
        hints = typing.get_type_hints(hint)
        return hint(**{name: _read(hints[name], value[name], where, f"{key}.{name}".lstrip(".")) for name in value})
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        options = [arg for arg in args if arg is not type(None)]
        return _read(options[0] if len(options) == 1 else float, value, where, key) if not isinstance(value, int) else value
    if origin is Literal and value in args:
        return value
    if origin is dict and isinstance(value, dict):
        return {name: _read(args[1], entry, where, f"{key}.{name}") for name, entry in value.items()}
    if origin is tuple and isinstance(value, list):
        return tuple(_read(args[0], entry, where, key) for entry in value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"record {where}: {key} has the wrong type ({value!r}); delete it and run the cell again")
