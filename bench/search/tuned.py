"""What remains of a sweep without its storage: the record of all trials, and the best settings in a file that `run` reads."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import optuna
import yaml

from .. import registry
from ..atomic import write_text
from ..config import DataConfig, Settings, Tuning, read_settings
from ..data.dataset import prepare, resolved
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..identity import data_hash
from ..records import sweeps
from ..records.sweeps import SweepRecord, Trial
from ..typed import from_dict
from .extra_space import shown_range
from .storage import open_storage
from .sweep import ATTRIBUTES, Sweep
from .trial import Target, place_of
from .trial_records import as_json, axes, recorded, settings_of


def keep(sweep: Sweep, ended: bool = True) -> list[SweepRecord]:
    """Write the record of every model's trials and, where one succeeded, its tuned settings.

    Args:
        ended: False for a search that goes on another time, whose best settings are not found yet.

    Returns:
        The records, in the order of the sweep's models.
    """
    storage = open_storage(sweep.storage)
    records = []
    for target in sweep.targets:
        study = optuna.load_study(study_name=target.study, storage=storage)
        record = _record(target, sweep, study)
        sweeps.write(record, target.place.sweep_path(sweep.root, record.model))
        if ended and record.best is not None:
            write_text(target.place.tuned_path(sweep.root, record.model), _tuned(target, sweep, record, record.best))
        records.append(record)
    return records


def _record(target: Target, sweep: Sweep, study: optuna.Study) -> SweepRecord:
    limited = math.isfinite(sweep.budget.seconds)
    return SweepRecord(
        version=sweeps.VERSION,
        study=target.study,
        dataset=target.place.dataset,
        split=target.place.split,
        model=target.info.name,
        family=target.info.family,
        metric=target.metric,
        seed=sweep.seed,
        budget_trials=sweep.budget.trials,
        budget_seconds=sweep.budget.seconds if limited else None,
        settings={key: value for key, value in study.user_attrs[ATTRIBUTES].items() if not key.startswith("space.")},
        space=axes(target.space),
        defaults=as_json(target.defaults),
        trials=recorded(study.get_trials(deepcopy=False), target.space),
    )


def _tuned(target: Target, sweep: Sweep, record: SweepRecord, best: Trial) -> str:
    tuning = Tuning(target.study, len(record.counted), round(record.seconds, 3), target.metric, best.value or 0.0, best.cut)
    # A limit of time is the search's own: a run with what it found trains to its end, as one with the defaults does. Settings
    # that were chosen for what they reach within a limit keep it.
    changed = target.changed(settings_of(target.space, best.params))
    settings = as_json({key: value for key, value in changed.items() if key != "train.max_seconds"})
    if best.cut:
        settings["train.max_seconds"] = _limit(target, best)
    content = yaml.safe_dump({"tuning": dataclasses.asdict(tuning), target.info.name: settings}, sort_keys=False)
    return f"# Trial {best.number} of: {command(target, sweep)}\n{content}"


def _limit(target: Target, best: Trial) -> float:
    """Seconds of training that ended a trial: those of each trial, or what the search's budget left to it."""
    each = target.cell.experiment.train.max_seconds
    return each if 0 < each <= best.seconds else best.seconds


def command(target: Target, sweep: Sweep) -> str:
    """The sweep of this model alone, as it would be typed."""
    budget, info, settings = sweep.budget, target.info, target.settings
    data = {key: value for key, value in settings.data.items() if key not in ("dataset", "split")}
    sections = {"data": data, "train": settings.train, info.name: settings.models.get(info.name, {})}
    fixed = [f"{name}.{key}={json.dumps(value)}" for name, keys in sections.items() for key, value in keys.items()]
    words = ["rankbench sweep --models", info.name, "--dataset", Path(settings.data.get("dataset", target.place.dataset)).name]
    words += ["--split", target.place.split, "--trials", str(budget.trials)]
    words += ["--seconds", f"{budget.seconds:g}"] if math.isfinite(budget.seconds) else []
    words += ["--seed", str(sweep.seed)] if sweep.seed else []
    words += [] if sweep.prune else ["--no-prune"]
    words += [f"--search {shown_range(info.name, name, one)}" for name, one in target.further.items()]
    return " ".join([*words, *(f"--set {one.replace(' ', '')}" for one in fixed)])


def tuned_settings(models: tuple[str, ...], settings: Settings, roots: DataRoots, root: Path) -> Settings:
    """`settings` with those that sweeps found for `models` on the chosen data; floors stay as they are if nobody tuned them.

    Raises:
        UserError: a model has no tuned settings here; the line says which sweep finds them.
    """
    data = from_dict(DataConfig, settings.data, "data")
    found = prepare(data, roots)
    default, split = resolved(DataConfig(), found.log), found.config.split
    place = place_of(found.config, default, data_hash(found.log.meta.content_hash, found.split.hash))
    own, tuning, missing = dict(settings.models), dict(settings.tuning), []
    for name in models:
        path = place.tuned_path(root, name)
        if path.exists():
            own_settings = read_settings(path, tuple(registry.MODELS))
            if name not in own_settings.tuning:
                raise UserError(f"{path} holds no settings that a sweep found for {name}; delete it and sweep again")
            own[name], tuning[name] = own_settings.models[name], own_settings.tuning[name]
        elif registry.MODELS[name].family != "floor":
            missing.append(name)
    if missing:
        fixed = " ".join(f"--set data.{key}={json.dumps(value).replace(' ', '')}" for key, value in settings.data.items()
                         if key not in ("dataset", "split"))  # fmt: skip
        raise UserError(
            f"no tuned settings of {', '.join(missing)} for {place} in {root}; find them with: rankbench sweep --models "
            f"{','.join(missing)} --dataset {settings.data.get('dataset', place.dataset)} --split {split} {fixed}".rstrip()
        )
    return dataclasses.replace(settings, models=own, tuning=tuning)
