"""A small board on a device beside the committed one of a CPU, equal within the noise of seeds: `python -m support.same_board
DEVICE FOLDER [--dataset NAME] [--beside FOLDER] [--precision NAME]`. Fails where a mean is further away."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import rankbench
from rankbench.bench.commands.roots import data_roots
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.errors import UserError
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from support.card_check import LEFT_OUT

MODELS = ("din", "hstu")
METRICS = ("auc", "request_gauc")
MOST = 4.0
"""Standard errors between two means of a few seeds; both numbers are small samples, so two would be crossed by chance."""
LEAST = 1e-3
"""Less than this is no difference, however alike the seeds are."""
SEEDS = 3


def differences(here: list[RunRecord], there: list[RunRecord]) -> list[str]:
    """A line for each model and metric; those that are wrong say so."""
    lines = []
    for model in sorted({record.identity.model for record in here}):
        for metric in METRICS:
            own, other = (_values(records, model, metric) for records in (here, there))
            if not own and not other:  # no request of these data has both labels
                continue
            if min(len(own), len(other)) < 2:
                lines.append(f"WRONG {model}: {len(own)} and {len(other)} runs have {metric}, two each are needed")
                break
            difference = statistics.mean(own) - statistics.mean(other)
            allowed = max(LEAST, MOST * (statistics.variance(own) / len(own) + statistics.variance(other) / len(other)) ** 0.5)
            wrong = "" if abs(difference) <= allowed else "WRONG "
            lines.append(
                f"{wrong}{model} {metric}: {statistics.mean(own):.4f} here, {statistics.mean(other):.4f} there, "
                f"difference {difference:+.4f}, {allowed:.4f} allowed"
            )
    return lines


def _values(records: list[RunRecord], model: str, metric: str) -> list[float]:
    found = [record.metrics.test["all"][metric] for record in records if record.identity.model == model and record.metrics]
    return [float(value) for value in found if value is not None]


def main(arguments: list[str]) -> int:
    """0 if every mean is near enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--beside", type=Path, default=Path("results"), help="whose runs are compared with")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    given = parser.parse_args(arguments)
    settings = [f"train.precision={given.precision}"]
    jobs = 1 if given.device == "cpu" else len(MODELS) * SEEDS
    try:
        open_dataset(given.dataset, data_roots(None))
    except UserError as error:
        print(f"left out, for its data are not here: {error}")
        return LEFT_OUT
    try:
        here = rankbench.run(
            MODELS, given.dataset, SEEDS, settings=settings, results=given.folder, device=given.device, jobs=jobs
        )
        first = here[0].identity
        there = [
            record
            for record in Store(given.beside).records(first.dataset, first.split)
            if record.identity.data_hash == first.data_hash and not record.changed.keys() - {"train.precision"}
        ]
    except UserError as error:
        print(f"WRONG: {error}", file=sys.stderr)
        return 2
    lines = differences(here, there)
    print("\n".join(lines) or "WRONG: nothing was compared")
    return int(not lines or any(line.startswith("WRONG") for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
