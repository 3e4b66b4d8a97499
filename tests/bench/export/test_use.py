"""Packages where weights are used: predicting, serving, changing the model that serves."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from rankbench.bench.cli import main
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.data.told import PastEvent
from rankbench.bench.export.package import KINDS
from rankbench.bench.serving import Scorer
from rankbench.kernels.linear import LIBRARY
from support.serving import Process, trained_hstu

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The YAML of a small table, weights of HSTU on it, and the cache that has its log."""
    made = trained_hstu(tmp_path_factory.mktemp("packages"))
    return made.table, made.weights, made.cache


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_predicts_and_serves_as_the_weights_do(
    kind: str, trained: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, weights, cache = trained
    if kind == "compiled" and (reason := LIBRARY.why_unavailable()):
        pytest.skip(reason)
    monkeypatch.setenv("RANKBENCH_CACHE", str(cache))
    path = weights.with_name(f"{kind}.pt2")
    assert main(["export", "--weights", str(weights), "--dataset", str(table), "--kind", kind, "--out", str(path)]) == 0
    assert "programs scores, remember, candidates" in capsys.readouterr().out

    asked = ["--dataset", str(table), "--user", "u1", "--items", "i1", "i2", "i3"]
    shown = []
    for file in (weights, path):
        assert main(["predict", str(file), *asked, "--device", "cpu"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]

    roots = DataRoots(None, cache)
    exact, packaged = (Scorer.load(file, roots, CPU, str(table)) for file in (weights, path))
    told = [PastEvent(f"i{at}", 1_600_000_000_000 + at * 60_000, at % 2 == 0, str(at % 2), {}) for at in range(5)]
    for items in (["i1"], ["i1", "what"], [f"i{at}" for at in range(20)]):
        for more in ({}, {"remember": False}, {"time": 1_600_001_000_000, "history": told}, {"time": 1_500_000_000_000}):
            ours, theirs = (one.score("u1", items, **more).probability for one in (packaged, exact))
            np.testing.assert_allclose(ours, theirs, atol=2.5e-5)
    assert packaged.memories

    process = Process("--weights", weights, "--dataset", table, cache=cache)
    try:
        body = {"user": "u1", "candidates": ["i1", "i2", "i3"]}
        before = process.client.post("/score", body).json
        answer = process.client.post("/model", {"weights": str(path)})
        assert answer.status == 200, answer.text
        after = process.client.post("/score", body).json
        broken = path.with_name("broken.pt2")
        broken.write_bytes(path.read_bytes()[:-100])
        assert process.client.post("/model", {"weights": str(broken)}).status == 422
        kept = process.client.get("/health").json
    finally:
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(60) == 0
    assert after["generation"] == kept["generation"] == 2 and kept["weights"] == str(path)
    for one, other in zip(before["scores"], after["scores"], strict=True):
        np.testing.assert_allclose(one["probability"], other["probability"], atol=2.5e-5)
