"""Runs FuxiCTR's own processor and trainer; a script for the Python that has FuxiCTR, which need not be ours.

Called as `python fuxictr_runner.py JOB.json`. It imports nothing of this project: what FuxiCTR needs (numpy 1, polars 1) is not
what we need. A job either makes FuxiCTR's vocabularies and tables from ours, or trains one model and scores the test table.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import logging
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
    {"check": check, "prepare": prepare, "train": train}[job["do"]](job)


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
    import torch

    features = importlib.import_module("fuxictr.features")
    loaders = importlib.import_module("fuxictr.pytorch.dataloaders")
    torch.set_num_threads(job["threads"])
    importlib.import_module("fuxictr.pytorch.torch_utils").seed_everything(seed=job["seed"])
    params: dict[str, Any] = {key: _lists_to_pairs(key, value) for key, value in job["params"].items()}
    params |= {"dataset_id": job["dataset_id"], "model_root": job["model_root"], "model_id": job["model_id"]}
    (Path(job["model_root"]) / job["dataset_id"]).mkdir(parents=True, exist_ok=True)
    folder = Path(job["data_root"]) / job["dataset_id"]
    feature_map = features.FeatureMap(job["dataset_id"], str(folder))
    feature_map.load(str(folder / "feature_map.json"), params)
    model = _model_class(job["model_file"], job["model"], params)(feature_map, **params)
    tables = {f"{role}_data": str(folder / role) for role in ("train", "valid", "test")}
    loader = loaders.RankDataLoader(feature_map, stage="both", **tables, data_format="parquet", **params)
    train_rows, valid_rows, test_rows = loader.make_iterator()
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
