"""Runs made once more from their records alone: floors always, trained models as many as asked for."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ...kernels import dispatch
from .. import device as devices
from ..data.dataset import RankingData
from ..errors import in_one_line
from ..evaluation import evaluator, scores
from ..records import provenance
from ..records.schema import Slices
from ..training.checkpoint import Checkpoint
from ..training.fitting import fit
from ..training.progress import Quiet
from .finding import Said, shown
from .groups import distances
from .runs import Run

STEPS = 1
"""By which a kept logit may differ for the same sums in another order: 1/1024."""
SAME_VALID = 1e-3
"""By which a metric of validation may differ for that."""
NEARER = 0.5
"""Share of the distance between a row's seeds within which a run that was trained again must lie. Other processors and other
implementations of a sum lead training astray little by little, but less than another seed."""
STRAYED = 1.25
"""The same where kernels, versions, code or device differ from the record's, so that random numbers may differ too: it must
then be as near as another seed would be."""
ALONE = 0.2
"""Distance of seeds that is taken for usual where a row has but one; see groups.distances."""


def about_floor(run: Run, data: RankingData) -> Iterator[Said]:
    """A floor that counts has the scores that the data give it."""
    try:
        codes, valid = made_again(run, data)
    except Exception as error:  # whatever a record's settings lead to
        yield "wrong", f"it cannot be made again: {in_one_line(error)}"
        return
    apart = int(np.abs(codes.astype(np.int64) - run.codes).max()) if len(codes) == len(run.codes) else -1
    if apart < 0 or apart > STEPS:
        yield "wrong", f"its scores are not those that {run.record.identity.model} has on these data"
    yield from _about_validation(run, valid)


def _about_validation(run: Run, made: Slices) -> Iterator[Said]:
    """The first metric of validation that the same weights do not have."""
    for part, values in made.items():
        for name, value in values.items():
            stored = run.results[0].valid[part][name]
            apart = abs(value - stored) if value is not None and stored is not None else float(value is not stored)
            if apart > SAME_VALID * max(1, abs(value or 0)):
                yield "wrong", f"{name} of {part} in metrics.valid is {shown(stored)}; made again it is {shown(value)}"
                return


def about_retrained(run: Run, siblings: Sequence[Run], data: RankingData) -> Iterator[Said]:
    """Train a run again and hold the scores against its own.

    Args:
        siblings: the other seeds of its row.
    """
    try:
        codes, valid = made_again(run, data)
    except Exception as error:
        yield "wrong", f"it cannot be trained again: {in_one_line(error)}"
        return
    yield from about_scores_made_again(run, siblings, codes, valid)


def about_scores_made_again(run: Run, siblings: Sequence[Run], codes: np.ndarray, valid: Slices) -> Iterator[Said]:
    """Hold what `made_again` gives against a run.

    Args:
        siblings: the other seeds of its row.
    """
    if len(codes) != len(run.codes):
        yield "wrong", f"trained again it has {len(codes)} scores, not {len(run.codes)}"
        return
    if same_scores(run, codes):
        yield "note", "trained again it has the same scores"
        yield from _about_validation(run, valid)
        return
    apart = float(distances(np.stack([run.codes, codes]))[0, 1])
    own = [float(distances(np.stack([codes, other.codes]))[0, 1]) for other in siblings if len(other.codes) == len(codes)]
    seeds = float(np.median(own)) if own else ALONE
    other = _other_circumstances(run)
    limit = (STRAYED if other else NEARER) * seeds
    told = f"distance {apart:.3f} of their spread, to the row's other seeds {seeds:.3f}"
    if apart > limit:
        yield "wrong", f"trained again it has other scores ({told}; at most {limit:.3f})"
    elif other:
        near = f"trained again with other {other} it has scores as near as another seed's ({told})"
        yield "note", f"{near}: that bears out model and settings, not the seed"
    else:
        yield "note", f"trained again it has the same scores but for rounding ({told})"


def same_scores(run: Run, codes: np.ndarray) -> bool:
    """Whether codes of scores are those of a run but for the order of sums."""
    return len(codes) == len(run.codes) and int(np.abs(codes.astype(np.int64) - run.codes).max()) <= STEPS


def _other_circumstances(run: Run) -> str:
    """What differs here from where it ran, in words; empty if nothing does that could change random numbers."""
    environment, device = run.record.environment, device_of(run)
    here = provenance.environment(device)
    versions = {name for name in ("torch", "numpy") if here.versions.get(name) != environment.versions.get(name)}
    found = {
        "kernels": any(not _available(operation, name, device) for operation, name in run.record.kernels.items()),
        f"versions of {' and '.join(sorted(versions))}": bool(versions),
        "code": here.code_hash != environment.code_hash,
        "device": device.type != run.record.device.partition(":")[0],
        "number of processes": environment.processes != 1,
    }
    return ", ".join(name for name, differs in found.items() if differs)


def device_of(run: Run) -> torch.device:
    """Where it is made again: on a device of its kind, else on the CPU."""
    kind = run.record.device.partition(":")[0]
    usable = kind in devices.KINDS and devices.why_absent(kind) is None
    return devices.resolve(kind if usable else "cpu")


def _available(operation: str, name: str, device: torch.device) -> bool:
    known = operation in dispatch.OPERATIONS and name in dispatch.names(operation)
    return known and dispatch.find(operation, name).refusal(device) is None


def made_again(run: Run, data: RankingData) -> tuple[np.ndarray, Slices]:
    """Codes of the test scores, int16 [n], and metrics of validation, by the record's settings, seed, threads and kernels."""
    info, experiment = run.info, run.experiment()
    assert info is not None
    device = torch.device("cpu") if run.counted else device_of(run)
    kernels = {operation: name for operation, name in run.record.kernels.items() if _available(operation, name, device)}
    with tempfile.TemporaryDirectory() as folder, _threads(run.record.environment.threads), dispatch.forced(kernels):
        file = Checkpoint(Path(folder) / "again.pt", "again")
        fitted = fit(info, experiment, run.record.identity.seed, data, device, file, Quiet())
        test: pd.DataFrame = evaluator.predictions(
            evaluator.Forward(fitted.model, device, experiment.train.precision), info, fitted.data, "test"
        )
    return scores.codes(test["score"].to_numpy()), fitted.valid


@contextlib.contextmanager
def _threads(wanted: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, wanted))
    try:
        yield
    finally:
        torch.set_num_threads(before)
