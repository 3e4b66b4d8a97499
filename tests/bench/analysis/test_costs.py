"""Times are compared between runs whose load allowed it, on one kind of machine, by CPU time on a CPU."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rankbench.bench.analysis.costs import compare_costs, had_room, latency_ms, train_seconds
from rankbench.bench.records.schema import RunRecord
from support.records import ENVIRONMENT, predictions, record

FRAME = predictions(1.0, users=12)


def run(model: str, seed: int = 0, device: str = "cpu", threads: int = 2, **cost: Any) -> RunRecord:
    made = record(model, FRAME, seed, device=device, environment=dataclasses.replace(ENVIRONMENT, threads=threads))
    assert made.cost is not None
    return dataclasses.replace(made, cost=dataclasses.replace(made.cost, **cost))


def test_on_a_cpu_times_are_cpu_time_and_elsewhere_wall_time() -> None:
    times = {
        "train_seconds": 9.0,
        "train_cpu_seconds": 16.0,
        "latency_ms_100_candidates": 3.0,
        "latency_cpu_ms_100_candidates": 5.0,
    }
    assert (train_seconds([run("din", **times)]), latency_ms([run("din", **times)])) == (16.0, 5.0)
    cuda = run("din", device="cuda:0", **times)
    assert (train_seconds([cuda]), latency_ms([cuda])) == (9.0, 3.0)
    costs = compare_costs(("hstu", [run("hstu", **times), run("hstu", 1, **times)]), ("din", [run("din", **times)]))
    assert costs is not None
    assert (costs.generative.clock, costs.generative.train_seconds, costs.generative.latency_ms) == ("CPU time", 16.0, 5.0)


@pytest.mark.parametrize(
    "other",
    [
        run("din", load_average=2.6),
        run("din", device="cuda:0"),
        run("din", threads=1),
    ],
    ids=["load", "device", "threads"],
)
def test_what_cannot_be_compared_is_not(other: RunRecord) -> None:
    quiet = run("hstu", load_average=2.5)
    assert had_room(quiet), "a benchmark that uses both cores has a load of two and a little more"
    assert compare_costs(("hstu", [quiet]), ("din", [run("din")])) is not None
    assert compare_costs(("hstu", [quiet]), ("din", [run("din"), other])) is None
    assert compare_costs(("hstu", [quiet, other]), ("din", [run("din")])) is None
