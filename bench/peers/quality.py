"""Quality of DIN, DIEN and BST beside FuxiCTR's: the same rows, the same metric code, intervals over the same test users.

FuxiCTR trains its models with its own loop in its own Python; from there come test probabilities and nothing else. Both sides
are scored here. A verdict rests on the 95% interval of the difference in AUC, over test users and seeds, of our model without
time information and FuxiCTR's model given the same events (`all`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

from ..atomic import write_text
from ..config import DataConfig, Settings
from ..data.dataset import RankingData, prepare
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..evaluation import metrics
from ..evaluation.predictions import align
from ..evaluation.stats import Metric, Verdict, seed_spread, verdict
from ..evaluation.stats import compare as compared
from ..records import provenance
from ..records.store import Store
from ..records.view import View
from ..runs import schedule
from ..runs.cell import plan
from .fuxictr import Arm, Peer, parameters, run_cells
from .fuxictr_rows import peer_rows

SCHEMA = 1
METRICS: tuple[Metric, ...] = ("auc", "request_gauc", "logloss")

OURS: dict[str, tuple[str, dict[str, Any]]] = {"no time": ("none", {"user_id": "embedding"}), "defaults": ("request", {})}
"""Our variants: what `data.time` is, and settings of the models. FuxiCTR's models know the user's id, and no times."""


def arms_of(dropouts: Sequence[float]) -> tuple[Arm, ...]:
    """FuxiCTR as it is usually run, then given the same events as ours with each dropout."""
    return (Arm("liked", 0.0), *(Arm("all", dropout) for dropout in dict.fromkeys(dropouts)))


@dataclass(frozen=True)
class PeerQuality:
    """One model of one side, all seeds."""

    model: str
    whose: Literal["ours", "FuxiCTR"]
    variant: str
    values: dict[str, list[float]]
    """Metric -> one value a seed."""
    epochs: list[int]
    """Trained, the last ones without gain included."""


@dataclass(frozen=True)
class PeerDifference:
    """Our model without time information minus one of FuxiCTR's, means over seeds."""

    model: str
    variant: str
    """Of FuxiCTR's row."""
    same_information: bool
    intervals: dict[str, list[float]]
    """Metric -> difference, low and high end of its 95% interval."""
    verdict: Verdict
    """By AUC, with the margin of the data set."""


def difference(model: str, arm: Arm, ours: list[pd.DataFrame], theirs: list[pd.DataFrame], margin: float) -> PeerDifference:
    """From tables of predictions of the same rows, one per seed; a difference in AUC of at most `margin` matters to nobody."""
    both = align({"ours": ours, "theirs": theirs})
    intervals: dict[str, list[float]] = {}
    word: Verdict = "not settled"
    for metric in METRICS:
        found = compared(both, metric)
        apart = found.difference("ours", "theirs")
        intervals[metric] = [apart.value, apart.low, apart.high]
        if metric == "auc" and found.trusted:
            word = verdict(apart.low, apart.high, margin)
    return PeerDifference(model, arm.name, arm.variant == "all", intervals, word)


def row(
    model: str, whose: Literal["ours", "FuxiCTR"], variant: str, tables: list[pd.DataFrame], epochs: list[int]
) -> PeerQuality:
    """Metrics of each seed's predictions."""
    slices = [metrics.evaluate(table)["all"] for table in tables]
    return PeerQuality(model, whose, variant, {name: [float(one[name] or 0.0) for one in slices] for name in METRICS}, epochs)


def compare(
    roots: DataRoots,
    dataset: str,
    split: str,
    models: Sequence[str],
    peer: Peer,
    arms: Sequence[Arm],
    seeds: int,
    store: Store,
    jobs: int,
    threads: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train what is not trained yet on both sides, and compare: the record, ready for JSON.

    Raises:
        UserError: the data set has no exposed negatives, or one of our runs failed.
        PeerFailed: one of FuxiCTR's runs failed.
    """
    data = prepare(DataConfig(dataset, split=split, time="none"), roots)
    if data.log.positive_only:
        raise UserError(f"{dataset} has positives alone; peers quality compares on logged negatives, for example on ml-100k")
    store.check_writable()
    rows, tables, configs = _ours(roots, dataset, split, models, seeds, store, jobs, threads)
    place = store.root / "fuxictr" / f"{data.log.meta.name}@{data.split.name}"
    differences = []
    for (model, arm), trained in run_cells(peer, data, arms, seeds, place, jobs, threads, say).items():
        ours = tables[model, "no time"]
        theirs = [ours[0].assign(score=one.score) for one in trained]
        rows.append(row(model, "FuxiCTR", arm.name, theirs, [one.epochs for one in trained]))
        differences.append(difference(model, arm, ours, theirs, data.log.meta.margin))
    environment = dataclasses.asdict(provenance.environment(torch.device("cpu")))
    return {
        "schema": SCHEMA,
        "dataset": data.log.meta.name,
        "split": data.split.name,
        "split_hash": data.split.hash,
        "files": [dataclasses.asdict(file) for file in data.log.meta.files],
        "examples": {role: len(data.split.examples(role)) for role in ("train", "valid", "test")},
        "history_length": data.spec.history_length,
        "seeds": seeds,
        "rows": [dataclasses.asdict(one) for one in _in_order(rows, models)],
        "differences": [dataclasses.asdict(one) for one in sorted(differences, key=lambda d: models.index(d.model))],
        "settings": configs | _peer_settings(data, models, arms),
        "peer": {"versions": peer.versions, "files": {model: peer.files[model] for model in models}},
        "environment": environment,
    }


def _ours(
    roots: DataRoots, dataset: str, split: str, models: Sequence[str], seeds: int, store: Store, jobs: int, threads: int
) -> tuple[list[PeerQuality], dict[tuple[str, str], list[pd.DataFrame]], dict[str, Any]]:
    """Our rows, the predictions of (model, variant), and the settings of each."""
    rows, tables, configs = [], {}, {}
    for variant, (time, params) in OURS.items():
        settings = Settings(
            data={"dataset": dataset, "split": split, "time": time}, models={model: dict(params) for model in models}
        )
        records = schedule.run_all(
            plan(tuple(models), settings, seeds), schedule.Options(store, roots, jobs=jobs, threads=threads)
        )
        for record in records:
            if record.status != "ok" or record.cost is None:
                raise UserError(f"our {record.identity.model} seed {record.identity.seed} failed: {record.error}")
        for model in models:
            mine = [record for record in records if record.identity.model == model]
            tables[model, variant] = [View(store, ()).predictions(record.identity) for record in mine]
            epochs = [record.cost.epochs for record in mine if record.cost is not None]
            rows.append(row(model, "ours", variant, tables[model, variant], epochs))
            configs[f"ours {model}, {variant}"] = mine[0].config
    return rows, tables, configs


def _peer_settings(data: RankingData, models: Sequence[str], arms: Sequence[Arm]) -> dict[str, Any]:
    rows = {variant: peer_rows(data, variant) for variant in {arm.variant for arm in arms}}
    return {
        f"FuxiCTR {model}, {arm.name}": parameters(model, arm, rows[arm.variant]) | {"rows_sha256": rows[arm.variant].digest}
        for model in models
        for arm in arms
    }


def _in_order(rows: list[PeerQuality], models: Sequence[str]) -> list[PeerQuality]:
    return sorted(rows, key=lambda one: (models.index(one.model), one.whose == "FuxiCTR"))


def lines(record: dict[str, Any]) -> list[str]:
    """The record as a table in Markdown, with a verdict a model below."""
    result = [
        f"**{record['dataset']} @ {record['split']}**: {record['examples']['test']:,} test examples, {record['seeds']} seed(s), "
        f"history {record['history_length']}; FuxiCTR {record['peer']['versions']['fuxictr']}.",
        "",
        "| model | whose | variant | AUC | request GAUC | logloss | ours minus this: AUC | request GAUC | logloss |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    found = {(one["model"], one["variant"]): one for one in record["differences"]}
    for one in record["rows"]:
        values = [_spread(one["values"][metric]) for metric in METRICS]
        other = found.get((one["model"], one["variant"])) if one["whose"] == "FuxiCTR" else None
        apart = [_interval(other["intervals"][metric]) if other else "" for metric in METRICS]
        result.append("| " + " | ".join([one["model"], one["whose"], one["variant"], *values, *apart]) + " |")
    result += [
        "",
        "± is the standard deviation over seeds. Brackets are 95% intervals over test users and seeds, of our model without "
        "time information minus the row; for logloss less is better.",
        "",
        *(f"- {line}" for line in verdicts(record)),
    ]
    return result


def verdicts(record: dict[str, Any]) -> list[str]:
    """A line a model: the least favourable of its comparisons with the same information."""
    result = []
    for model in dict.fromkeys(one["model"] for one in record["differences"]):
        same = [one for one in record["differences"] if one["model"] == model and one["same_information"]]
        least = min(same, key=lambda one: one["intervals"]["auc"][2])
        auc = _interval(least["intervals"]["auc"])
        result.append(
            f"{model}, beside FuxiCTR's with the same information ({least['variant']}): **{least['verdict']}**, AUC {auc}"
        )
    return result


def _spread(values: list[float]) -> str:
    mean, deviation = seed_spread(values)
    return f"{mean:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def _interval(values: list[float]) -> str:
    point, low, high = values
    return f"{point:+.4f} [{low:+.4f}, {high:+.4f}]"


def write(record: dict[str, Any], root: Path) -> Path:
    """The record as JSON in `root`; returns its place."""
    path = root / f"fuxictr-{record['dataset']}@{record['split']}.json"
    write_text(path, json.dumps(record, indent=1, sort_keys=False) + "\n")
    return path
