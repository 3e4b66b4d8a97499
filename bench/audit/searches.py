"""Whether a run that is called tuned has the settings of a sweep that is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError
from ..records import sweeps
from ..records.sweeps import SweepRecord
from .finding import Finding, Said, shown
from .runs import Run, plain

SECONDS = 1e-3
"""To which a run's tuning has the seconds of its sweep."""


def read_sweeps(root: Path) -> tuple[list[SweepRecord], list[Finding]]:
    """The sweeps of a folder, and what is wrong with them."""
    records, findings = [], []
    for path in sorted((root / "sweeps").rglob("*.json")):
        where = path.relative_to(root).as_posix()
        try:
            record = sweeps.load(path)
        except UserError as error:
            findings.append(Finding("wrong", where, str(error)))
            continue
        records.append(record)
        findings += [Finding(kind, where, what) for kind, what in _about_sweep(record)]
    return records, findings


def _about_sweep(record: SweepRecord) -> Iterator[Said]:
    numbers = [trial.number for trial in record.trials]
    if len(set(numbers)) < len(numbers):
        yield "wrong", "two of its trials have one number"
    for trial in record.trials:
        if trial.seconds < 0 or not 0 <= trial.best_epoch <= trial.epochs:
            ends = f"{shown(trial.seconds)} s and the best epoch {trial.best_epoch} of {trial.epochs}"
            yield "wrong", f"trial {trial.number} has {ends}"
        if trial.state == "complete" and trial.curve:
            best = min(trial.curve) if record.lower_is_better else max(trial.curve)
            if trial.value is None or abs(trial.value - best) > 1e-9:
                yield "wrong", f"trial {trial.number} has the value {shown(trial.value)}, its curve the best {shown(best)}"
            if len(trial.curve) != trial.epochs:
                yield "wrong", f"trial {trial.number} has {trial.epochs} epochs and {len(trial.curve)} points in its curve"
    if record.best is not None and record.best.cut:
        yield "note", f"a limit of time ended its best trial, {record.best.number}; what is tuned by it has the same limit"


def about_tuning(run: Run, found: list[SweepRecord]) -> Iterator[Said]:
    """Whether the sweep that a run names is there, found what the run says, and its best settings are the run's."""
    tuning, identity, config = run.record.tuning, run.record.identity, run.record.config
    if tuning is None:
        return
    sweep = next((one for one in found if (one.study, one.model) == (tuning.study, identity.model)), None)
    if sweep is None:
        yield "wrong", f"it is called tuned, but the sweep {tuning.study} of {identity.model} is not below sweeps/"
        return
    if sweep.best is None:
        yield "wrong", f"it is called tuned, but no trial of the sweep {sweep.study} succeeded"
        return
    of_sweep = (len(sweep.counted), sweep.metric, sweep.best.value, sweep.best.cut)
    own = (tuning.trials, tuning.metric, tuning.value, tuning.cut)
    if own != of_sweep or abs(tuning.seconds - sweep.seconds) > SECONDS:
        said, there = _told(own, tuning.seconds), _told(of_sweep, sweep.seconds)
        yield "wrong", f"its tuning says {said}; its sweep has {there}"
    for name in ("content_hash", "split_hash"):
        if sweep.settings.get(name) != getattr(identity, name):
            yield "wrong", f"its sweep has another {name.replace('_', ' ')}: it searched on other data"
            return
    settings = {**sweep.settings, **sweep.best.params}
    wanted = {_place(key, sweep.model): value for key, value in settings.items() if _is_setting(key)}
    if sweep.best.cut and not config["train"]["max_seconds"]:
        yield "wrong", "a limit of time ended the best trial of its sweep, but config.train.max_seconds is 0"
    for (section, key), value in wanted.items():
        own = plain(config[section]).get(key)
        # A limit of time is the search's own, unless its best trial was ended by one.
        if own != value and (section, key) != ("train", "max_seconds"):
            yield "wrong", f"it is called tuned, but {section}.{key} is {shown(own)}, that of its sweep {shown(value)}"


def _told(found: tuple[int, str, float | None, bool], seconds: float) -> str:
    trials, metric, value, cut = found
    return f"{trials} trials in {shown(seconds)} s, {metric} {shown(value)}{', cut' if cut else ''}"


def _is_setting(key: str) -> bool:
    return key not in ("content_hash", "split_hash", "metric", "seed", "prune")


def _place(key: str, model: str) -> tuple[str, str]:
    """Section and key within a config, of a setting as sweeps name it."""
    section, _, name = key.rpartition(".")
    return ("params" if section in ("", model) else section), name
