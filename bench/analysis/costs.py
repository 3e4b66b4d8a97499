"""Which times may be compared, and by which clock.

A run that began on a machine with more work than cores waited for others: its wall time says nothing of the model, and its CPU
time grows too, because caches and cores are shared. So times are compared only between runs that began on a machine with room and
of one kind. On a CPU they are CPU time of all threads, which other work changes least; elsewhere wall time.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ..records.schema import RunRecord
from .statements import CostOf, Costs, Machine

ROOM = 1.25
"""Processes per core up to which a machine has room: a benchmark that uses every core itself has a load of one and a little
more."""


def had_room(record: RunRecord) -> bool:
    """Whether the machine had room for the run when it began."""
    return record.cost is not None and record.cost.load_average <= ROOM * record.environment.cores


def machine(record: RunRecord) -> Machine:
    where = record.environment
    return Machine(record.device, where.accelerator or where.cpu, where.threads)


def train_seconds(records: Sequence[RunRecord]) -> float:
    """Mean over runs: CPU time where all are on a CPU."""
    on_cpu = all(record.device == "cpu" for record in records)
    costs = [record.cost for record in records if record.cost is not None]
    return statistics.fmean(cost.train_cpu_seconds if on_cpu else cost.train_seconds for cost in costs)


def latency_ms(records: Sequence[RunRecord]) -> float:
    """Mean over runs, as `train_seconds`."""
    on_cpu = all(record.device == "cpu" for record in records)
    costs = [record.cost for record in records if record.cost is not None]
    return statistics.fmean(cost.latency_cpu_ms_100_candidates if on_cpu else cost.latency_ms_100_candidates for cost in costs)


def train_joules(records: Sequence[RunRecord]) -> float | None:
    """Mean over runs of what their devices took, processors or accelerators; None unless it is known of every run."""
    energies = [(record, record.cost.energy) for record in records if record.cost is not None]
    spent = [energy and (energy.cpu if record.device == "cpu" else energy.accelerator) for record, energy in energies]
    known = [joules for joules in spent if joules is not None]
    return statistics.fmean(known) if spent and len(known) == len(spent) else None


def flops_per_example(records: Sequence[RunRecord]) -> float:
    """Of models that are trained on examples of their own, over all of these."""
    total = sum(record.data.examples["train"] for record in records)
    known = [(record, record.cost) for record in records if record.cost is not None]
    return sum(cost.flops_per_example * (record.data.examples["train"] / total) for record, cost in known)


def compare_costs(generative: tuple[str, Sequence[RunRecord]], classical: tuple[str, Sequence[RunRecord]]) -> Costs | None:
    """Of two rows, label and runs each; None where their times cannot be compared."""
    every = [*generative[1], *classical[1]]
    if not all(map(had_room, every)) or len({machine(record) for record in every}) > 1:
        return None
    return Costs(_cost(*generative), _cost(*classical))


def _cost(label: str, records: Sequence[RunRecord]) -> CostOf:
    on_cpu = all(record.device == "cpu" for record in records)
    flops = next(record.cost.flops_per_example for record in records if record.cost is not None)
    return CostOf(label, "CPU time" if on_cpu else "wall time", train_seconds(records), latency_ms(records), flops)
