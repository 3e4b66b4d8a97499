"""Whether costs and learning curve can be those of the training that the settings describe."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from ..contract import ModelInfo
from ..errors import UserError
from ..evaluation.cards import merit
from ..records.schema import Cost, CurvePoint, Metrics, RunRecord, Slices
from .finding import Said, shown
from .runs import Run

SAME_TIME = 1e-6
"""Relative: two records of one clock."""
SAME_METRIC = {"fp32": 2e-3, "bf16": 1e-2, "fp16": 1e-2}
"""Between a metric of the curve and that of the stored scores of the same weights: rounding, and other batches."""


def about_costs(run: Run) -> Iterator[Said]:
    """What the file alone shows."""
    metrics, cost, curve = run.results
    info = run.info
    yield from _about_numbers(run.record, cost)
    yield from _about_ranges(metrics)
    if info is None:
        return
    if run.record.config["train"].get("order") == "time":
        yield from _about_stream(run, info, cost, curve)
        return
    if info.fit == "counts":
        for name, value in (("epochs", 1), ("best_epoch", 1), ("steps", 0), ("flops_per_example", 0)):
            if getattr(cost, name) != value:
                yield "wrong", f"cost.{name} is {shown(getattr(cost, name))}, that of a model that only counts is {value}"
        if curve:
            yield "wrong", "it has a learning curve, but its model only counts"
        return
    yield from _about_curve(run, info, cost, curve)
    yield from _about_validation(run, metrics, cost, curve)


def _about_numbers(record: RunRecord, cost: Cost) -> Iterator[Said]:
    positive = ("train_seconds", "examples_per_second", "eval_seconds", "latency_ms_100_candidates", "peak_memory_mb")
    for name, value in vars(dataclasses.replace(cost, energy=None)).items():
        if value is not None and (value < 0 or (name in positive and value == 0)):
            yield "wrong", f"cost.{name} is {shown(value)}, which is impossible"
    environment = record.environment
    if cost.train_cpu_seconds > 1.05 * cost.train_seconds * environment.cores * environment.processes + 1:
        cores = f"{environment.cores} cores times {environment.processes} process(es)"
        yield "wrong", f"cost.train_cpu_seconds is {shown(cost.train_cpu_seconds)}, more than {cores} have in train_seconds"
    weights = 4 * (cost.parameters_embedding + cost.parameters_dense) / 2**20
    if cost.peak_memory_mb < weights:
        yield "wrong", f"cost.peak_memory_mb is {shown(cost.peak_memory_mb)}, but the parameters alone take {shown(weights)}"
    if record.device == "cpu" and cost.peak_memory_mb > 1024 * environment.memory_gb * 1.01:
        yield "wrong", f"cost.peak_memory_mb is {shown(cost.peak_memory_mb)}, more than the machine has"


def _about_ranges(metrics: Metrics) -> Iterator[Said]:
    """Values that no scores can have. Those of the test are recomputed besides, where the data are here."""
    parts: dict[str, Slices] = {"test": metrics.test, "valid": metrics.valid}
    for role, slices in (parts | {f"labels.{name}": found for name, found in metrics.labels.items()}).items():
        for part, values in slices.items():
            for name, value in values.items():
                bounded = isinstance(value, float) and name not in ("logloss", "ne")
                if value is not None and (value < 0 or (bounded and value > 1)):
                    yield "wrong", f"{name} of {part} in metrics.{role} is {shown(value)}, which is impossible"
            n, positives = values["n"] or 0, values["positives"] or 0
            if positives > n or n > (slices["all"]["n"] or 0):
                yield (
                    "wrong",
                    f"{part} in metrics.{role} has {positives} positives among {n} examples, all has {slices['all']['n']}",
                )
            yield from _about_entropy(f"{part} in metrics.{role}", values, n, positives)


def _about_entropy(where: str, values: dict[str, float | int | None], n: float, positives: float) -> Iterator[Said]:
    loss, ne = values.get("logloss"), values.get("ne")
    if loss is None or ne is None or not 0 < positives < n:
        return
    rate = positives / n
    expected = loss / -(rate * math.log(rate) + (1 - rate) * math.log1p(-rate))
    if abs(ne - expected) > 1e-9 * max(1, expected):
        yield "wrong", f"ne of {where} is {shown(ne)}; logloss and counts give {shown(expected)}"


def _about_curve(run: Run, info: ModelInfo, cost: Cost, curve: tuple[CurvePoint, ...]) -> Iterator[Said]:
    train = run.record.config["train"]
    if cost.steps < 1:
        yield "wrong", f"it has {cost.steps} steps; training has some"
    if [point.epoch for point in curve] != list(range(1, cost.epochs + 1)):
        yield "wrong", f"its curve has the epochs {[point.epoch for point in curve]}, cost.epochs is {cost.epochs}"
        return
    if not 1 <= cost.best_epoch <= cost.epochs:
        yield "wrong", f"its best epoch is {cost.best_epoch} of {cost.epochs}"
        return
    if cost.epochs > train["epochs"]:
        yield "wrong", f"it trained {cost.epochs} epochs, but config.train.epochs is {train['epochs']}"
    late = cost.epochs - cost.best_epoch
    if late > train["patience"]:
        yield "wrong", f"it trained {late} epochs after the best one, but config.train.patience is {train['patience']}"
    if cost.epochs < train["epochs"] and late < train["patience"] and not train["max_seconds"]:
        yield "wrong", f"it ended after {cost.epochs} epochs, which neither its patience nor a limit of time explains"
    best = cost.best_epoch if train["monitor"] == "default" else _best(curve, train["monitor"])
    if best != cost.best_epoch:
        yield "wrong", f"its best epoch is {cost.best_epoch}; by {train['monitor']} its curve has the best at epoch {best}"
    seconds = [point.seconds for point in curve]
    if seconds != sorted(seconds) or seconds[0] < 0:
        yield "wrong", "the seconds of its curve do not increase"
    slack = SAME_TIME * max(1, cost.train_seconds)
    if cost.train_seconds < seconds[-1] - slack or (not train["refit"] and cost.train_seconds > seconds[-1] + slack):
        yield "wrong", f"cost.train_seconds is {shown(cost.train_seconds)}, its curve ends after {shown(seconds[-1])}"
    for point in curve:
        if point.train_loss < 0 or point.valid_logloss < 0:
            yield "wrong", f"a loss of epoch {point.epoch} is negative"


def _about_stream(run: Run, info: ModelInfo, cost: Cost, curve: tuple[CurvePoint, ...]) -> Iterator[Said]:
    """Once through time: every window but the test is an epoch, and behind all but the last of them the next one is scored."""
    if info.fit == "counts" and (cost.steps or cost.flops_per_example):
        yield "wrong", f"it has {cost.steps} steps and {shown(cost.flops_per_example)} FLOPs, but its model only counts"
    if cost.best_epoch != cost.epochs:
        yield "wrong", f"its best epoch is {cost.best_epoch}; once through time it is the last window, {cost.epochs}"
    if [point.epoch for point in curve] != list(range(1, cost.epochs)):
        yield "wrong", f"its curve has the windows {[point.epoch for point in curve]}, it trained {cost.epochs}"
        return
    seconds = [0.0, *(point.seconds for point in curve), cost.train_seconds]
    if seconds != sorted(seconds):
        yield "wrong", "the seconds of its curve do not increase up to cost.train_seconds"
    metrics = run.results[0]
    yield from _same_metrics(run, metrics, curve[-1])


def _best(curve: tuple[CurvePoint, ...], monitor: str) -> int:
    """The epoch that training keeps: the first of the best."""
    value, epoch = -math.inf, 0
    for point in curve:
        found = merit(monitor, getattr(point, f"valid_{monitor}"))
        if found > value:
            value, epoch = found, point.epoch
    return epoch


def _about_validation(run: Run, metrics: Metrics, cost: Cost, curve: tuple[CurvePoint, ...]) -> Iterator[Said]:
    """The weights of the best epoch gave both the curve's point and the metrics of validation."""
    if 1 <= cost.best_epoch <= len(curve):
        yield from _same_metrics(run, metrics, curve[cost.best_epoch - 1])


def _same_metrics(run: Run, metrics: Metrics, point: CurvePoint) -> Iterator[Said]:
    """A point of the curve, and metrics of validation, of the same weights."""
    same = SAME_METRIC[run.record.precision] + _rounding(run)
    for name in (key for key in vars(point) if key.startswith("valid_")):
        metric, value = name.removeprefix("valid_"), getattr(point, name)
        stored = metrics.valid["all"][metric]
        if (stored is None) != math.isnan(value) or (stored is not None and abs(stored - value) > same):
            yield "wrong", f"{metric} of validation is {shown(stored)}, at epoch {point.epoch} of its curve {shown(value)}"


def _rounding(run: Run) -> float:
    """What an AUC may move because scores are kept in steps, which is much where they hardly differ. Those of the test tell how
    far apart they are."""
    try:
        return min(0.5 / max(float(run.codes.std()), 0.5), 1.0)
    except UserError:  # said where metrics are recomputed
        return 1.0
