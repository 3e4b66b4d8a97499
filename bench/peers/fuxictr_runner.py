"""Runs FuxiCTR's own processor and trainer; a script for the Python that has FuxiCTR, which need not be ours.

Called as `python fuxictr_runner.py JOB.json`. It imports nothing of this project: what FuxiCTR needs (numpy 1, polars 1) is not
what we need. A job makes FuxiCTR's vocabularies and tables from ours, trains one model and scores the test table, or times one
epoch.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import logging
import os
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import Any

PACKAGES = ("fuxictr", "torch", "numpy", "pandas", "polars", "pyarrow", "scikit-learn")


def main(path: str) -> None:
    job = json.loads(Path(path).read_text())
    warnings.simplefilter("ignore")
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    {"check": check, "prepare": prepare, "train": train, "time": time_epoch}[job["do"]](job)


def versions() -> dict[str, str]:
    """Of what computes here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def check(job: dict[str, Any]) -> None:
    """Import what the other jobs import, and say the versions."""
    for name in ("torch", "fuxictr.preprocess", "fuxictr.pytorch.models", "fuxictr.pytorch.dataloaders"):
        importlib.import_module(name)
    print(json.dumps(versions()))


def prepare(job: dict[str, Any]) -> None:
    """Vocabularies from the training table alone, then the tables as numbers, by FuxiCTR's processor."""
    preprocess = importlib.import_module("fuxictr.preprocess")
    label = {"name": "label", "dtype": "float"}
    processor = preprocess.FeatureProcessor(
        feature_cols=job["columns"], label_col=label, dataset_id=job["dataset_id"], data_root=job["data_root"]
    )
    tables = {f"{role}_data": str(Path(job["rows"]) / f"{role}.parquet") for role in ("train", "valid", "test")}
    preprocess.build_dataset(processor, **tables, data_format="parquet", min_categr_count=1)


def train(job: dict[str, Any]) -> None:
    """FuxiCTR's fit with early stopping, its best weights, its prediction of the test table."""
    import numpy as np
    import pandas as pd

    feature_map, params = _settings(job)
    model = _model(job, feature_map, params)
    train_rows, valid_rows, test_rows = _rows(job, feature_map, params)
    begin = time.perf_counter()
    model.fit(train_rows, validation_data=valid_rows, **params)
    seconds = time.perf_counter() - begin
    label = np.concatenate([batch["label"].numpy().reshape(-1) for batch in test_rows])
    pd.DataFrame({"label": label, "score": model.predict(test_rows)}).to_parquet(job["predictions"], index=False)
    facts = {
        "valid_auc": float(model._best_metric),
        "epochs": model._epoch_index + 1,
        "seconds": seconds,
        "parameters": sum(one.numel() for one in model.parameters()),
        "versions": versions(),
    }
    Path(job["facts"]).write_text(json.dumps(facts))


def time_epoch(job: dict[str, Any]) -> None:
    """Print what one epoch of FuxiCTR's fit takes: its loader and steps, no evaluation. An epoch of the small table warms up."""
    feature_map, params = _settings(job)
    train_rows, valid_rows, _ = _rows(job, feature_map, params)
    facts = {}
    for rows in (valid_rows, train_rows):
        model = _model(job, feature_map, params)
        model.save_weights(model.checkpoint)  # fit ends by reading the best weights, which evaluation would have written
        model.eval_step = lambda: None
        begin, begin_cpu = time.perf_counter(), _cpu_seconds()
        model.fit(rows, **params | {"epochs": 1})
        facts = {
            "examples": rows.num_samples,
            "wall_seconds": time.perf_counter() - begin,
            "cpu_seconds": _cpu_seconds() - begin_cpu,
        }
    print(json.dumps(facts))


def _cpu_seconds() -> float:
    """Of this process and of its loader's workers that have ended, which they have at the end of an epoch."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def _settings(job: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """FuxiCTR's description of the columns and its parameters; seeds and limits threads on the way."""
    import torch

    torch.set_num_threads(job["threads"])
    importlib.import_module("fuxictr.pytorch.torch_utils").seed_everything(seed=job["seed"])
    params: dict[str, Any] = {key: _lists_to_pairs(key, value) for key, value in job["params"].items()}
    params |= {"dataset_id": job["dataset_id"], "model_root": job["model_root"], "model_id": job["model_id"]}
    folder = _folder(job)
    feature_map = importlib.import_module("fuxictr.features").FeatureMap(job["dataset_id"], str(folder))
    feature_map.load(str(folder / "feature_map.json"), params)
    return feature_map, params


def _model(job: dict[str, Any], feature_map: Any, params: dict[str, Any]) -> Any:
    (Path(job["model_root"]) / job["dataset_id"]).mkdir(parents=True, exist_ok=True)
    return _model_class(job["model_file"], job["model"], params)(feature_map, **params)


def _rows(job: dict[str, Any], feature_map: Any, params: dict[str, Any]) -> tuple[Any, Any, Any]:
    """FuxiCTR's loaders of the training, validation and test table."""
    loaders = importlib.import_module("fuxictr.pytorch.dataloaders")
    tables = {f"{role}_data": str(_folder(job) / role) for role in ("train", "valid", "test")}
    return loaders.RankDataLoader(feature_map, stage="both", **tables, data_format="parquet", **params).make_iterator()


def _folder(job: dict[str, Any]) -> Path:
    """Where FuxiCTR's processor put the tables."""
    return Path(job["data_root"]) / job["dataset_id"]


def _lists_to_pairs(key: str, value: Any) -> Any:
    """JSON has no tuples, by which FuxiCTR knows columns that are read together."""
    return tuple(value) if key.endswith(("_target_field", "_sequence_field")) and isinstance(value, list) else value


def _model_class(file: str, name: str, params: dict[str, Any]) -> Any:
    """The class of a file of the model zoo.

    Some snapshots of DIEN define `add_loss(inputs)` for an older trainer than the installed one, which calls
    `add_loss(return_dict, y_true)`. Without the auxiliary loss both mean the trainer's own, which takes its place.
    """
    spec = importlib.util.spec_from_file_location(f"model_zoo_{name}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name)
    base = importlib.import_module("fuxictr.pytorch.models").BaseModel
    wanted, has = (list(inspect.signature(one.add_loss).parameters) for one in (base, found))
    if wanted != has and not params.get("aux_loss_alpha"):
        return type(name, (found,), {"add_loss": base.add_loss})
    return found


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules are not for FuxiCTR
    main(sys.argv[1])
