"""Several models as one: each scores the test rows of its own domains, and what they cost is added up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..evaluation import metrics
from ..records.schema import Cost, Metrics, RunRecord
from ..records.view import View


def assembled(
    parts: Mapping[tuple[str, ...], Sequence[RunRecord]], domains: np.ndarray, view: View
) -> list[tuple[RunRecord, pd.DataFrame]]:
    """One run a seed, as if a single model had made it, with its test predictions.

    Args:
        parts: values of the domain -> the runs of their model, one per seed.
        domains: str [test rows].

    Raises:
        ValueError: a test row belongs to no part, or to several.
    """
    masks = {values: np.isin(domains, values) for values in parts}
    if not (np.sum(list(masks.values()), axis=0) == 1).all():
        raise ValueError("every test row belongs to one part")
    made = []
    for records in zip(*parts.values(), strict=True):
        frames = [view.predictions(record.identity) for record in records]
        frame = frames[0].copy()
        score = frame["score"].to_numpy().copy()
        for mask, own in zip(masks.values(), frames, strict=True):
            score[mask] = own["score"].to_numpy()[mask]
        frame["score"] = score
        first = records[0]
        assert first.metrics is not None, "runs of a study are finished"
        whole = Metrics(metrics.evaluate(frame), first.metrics.valid, {})
        made.append((dataclasses.replace(first, metrics=whole, cost=_cost(records)), frame))
    return made


def _cost(records: Sequence[RunRecord]) -> Cost:
    """Of all together: an example is trained on by one of them, and any of them may be asked."""
    costs = [record.cost for record in records if record.cost is not None]
    examples = [record.data.examples["train"] for record in records]
    total = lambda name: sum(getattr(cost, name) for cost in costs)  # noqa: E731
    most = lambda name: max(getattr(cost, name) for cost in costs)  # noqa: E731
    seconds = total("train_seconds")
    trained = sum(cost.examples_per_second * cost.train_seconds for cost in costs)
    flops = sum(cost.flops_per_example * count for cost, count in zip(costs, examples, strict=True))
    return dataclasses.replace(
        costs[0],
        parameters_embedding=total("parameters_embedding"),
        parameters_dense=total("parameters_dense"),
        train_seconds=seconds,
        train_cpu_seconds=total("train_cpu_seconds"),
        examples_per_second=trained / max(seconds, 1e-9),
        flops_per_example=flops / max(sum(examples), 1),
        steps=total("steps"),
        load_average=most("load_average"),
        peak_memory_mb=most("peak_memory_mb"),
        latency_ms_100_candidates=most("latency_ms_100_candidates"),
        latency_cpu_ms_100_candidates=most("latency_cpu_ms_100_candidates"),
    )
