"""MLflow as a list of what it is told, for tests that shall be fast and run where it is not installed."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest


class Client:
    """Keeps runs: their name, how they ended, and their metrics."""

    def __init__(self, tracking_uri: str = "") -> None:
        self.names: list[str] = []
        self.tags: list[dict[str, str]] = []
        self.status: list[str | None] = []
        self.losses: list[list[float]] = []

    def search_experiments(self, max_results: int) -> None: ...
    def set_tag(self, run: int, key: str, text: str) -> None: ...

    def get_experiment_by_name(self, name: str) -> Any:
        return types.SimpleNamespace(experiment_id=name, lifecycle_stage="active")

    def create_run(self, experiment: str, tags: dict[str, str], run_name: str) -> Any:
        self.names.append(run_name)
        self.tags.append(tags)
        self.status.append(None)
        self.losses.append([])
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=len(self.names) - 1))

    def log_batch(self, run: int, params: Any = (), metrics: Any = ()) -> None:
        self.losses[run] += [metric[1] for metric in metrics if metric[0] == "train/loss"]

    def set_terminated(self, run: int, status: str) -> None:
        assert self.status[run] is None, "it ends once"
        self.status[run] = status


def install(monkeypatch: pytest.MonkeyPatch) -> Client:
    """In the place of the package until the test ends."""
    client = Client()
    modules = {
        "mlflow": {"MlflowClient": lambda tracking_uri: client},
        "mlflow.entities": {"Param": lambda *param: param, "Metric": lambda *metric: metric},
        "mlflow.exceptions": {"MlflowException": type("MlflowException", (Exception,), {})},
    }
    for name, members in modules.items():
        module = types.ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return client
