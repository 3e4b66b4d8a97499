"""The process of a server: killed in the midst of requests and started again, told to end, told to read its weights again."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.data.asked import AskedOf
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.evaluation import scores
from rankbench.bench.records import weights
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.rows import data_of
from support.serving import Process, trained_hstu
from support.shell import refused

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The YAML of a small table, results of a model on it, and the cache that has both."""
    made = trained_hstu(tmp_path_factory.mktemp("serve"))
    return made.table, made.results, made.cache


def weights_of(results: Path) -> Path:
    (path,) = results.rglob("seed-0.safetensors")
    return path


def test_answers_are_the_stored_scores_of_the_test_rows(trained: tuple[Path, Path, Path]) -> None:
    """Those from which `rankbench score` computes metrics."""
    table, results, cache = trained
    view = View.of(Store(results))
    (record,) = view.records
    kept = view.predictions(record.identity)
    data = data_of(weights.read(weights_of(results))[1].experiment["data"], DataRoots(None, cache), "the weights", str(table))
    names, process = AskedOf(data), Process("--weights", weights_of(results), "--dataset", table, cache=cache)
    try:
        for row in kept.iloc[:: max(len(kept) // 40, 1)].itertuples():
            asked = names.request(int(row.example))
            body = {"user": asked.user, "candidates": [asked.item, "i1"], "time": asked.time, "context": asked.context}
            for more in ({}, {"history": [vars(one) for one in names.past(int(row.example))]}):
                answer = process.client.post("/score", body | more).json
                found = scores.rounded(np.array(answer["scores"][0]["probability"]))
                np.testing.assert_allclose(found, row.score, atol=2e-4)  # a step of what scores are rounded to
    finally:
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(60) == 0


def test_a_kill_in_mid_request_loses_no_answer_and_the_next_process_answers(
    trained: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, results, cache = trained
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    command = ("--weights", weights_of(results), "--dataset", table, "--log", tmp_path / "answers.jsonl")
    body = {"user": "u1", "candidates": [f"i{at % 20}" for at in range(1000)]}
    told: list[str] = []
    broken: list[str] = []

    def ask(client, number: int) -> None:
        for at in range(10_000):
            name = f"{number}-{at}"
            try:
                answer = client.post("/score", body, **{"x-request-id": name})
            except (OSError, http.client.HTTPException, ValueError):
                broken.append(name)
                return
            if answer.status == 200:
                told.append(answer.json["id"])

    for _ in range(2):
        process = Process(*command, cache=cache)
        wanted = len(told) + 5
        threads = [threading.Thread(target=ask, args=(process.client, at)) for at in range(3)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 120
        while len(told) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.popen.pid, signal.SIGKILL)
        for thread in threads:
            thread.join(60)
        assert process.popen.wait(60) == -signal.SIGKILL and len(told) >= wanted
    assert broken, "nobody was in the midst of a request"
    logged = [json.loads(line)["id"] for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert set(told) <= set(logged)
    began = time.monotonic()
    again = Process(*command, cache=cache)
    try:
        assert again.client.post("/score", body).status == 200
        with capsys.disabled():
            print(f"\nkilled in mid-request and started again, it answers {time.monotonic() - began:.1f} s after its start")
    finally:
        again.popen.send_signal(signal.SIGINT)
        assert again.popen.wait(60) == 0
    assert before == {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}


def test_a_process_that_is_told_to_end_answers_what_is_under_way(trained: tuple[Path, Path, Path]) -> None:
    table, results, cache = trained
    process = Process("--weights", weights_of(results), "--dataset", table, "--timeout-ms", "60000", cache=cache)
    statuses: list[int] = []
    body = {"user": "u1", "candidates": [f"i{at % 20}" for at in range(2000)]}
    threads = [threading.Thread(target=lambda: statuses.append(process.client.post("/score", body).status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    while not process.client.get("/health").json["pending"]:
        time.sleep(0.005)
    process.popen.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert process.popen.wait(60) == 0 and statuses and set(statuses) == {200}


def test_sighup_reads_the_weights_again(trained: tuple[Path, Path, Path], tmp_path: Path) -> None:
    table, results, cache = trained
    copy = tmp_path / "now.safetensors"
    shutil.copy(weights_of(results), copy)
    process = Process("--weights", copy, "--dataset", table, cache=cache)

    def until(generation: int) -> None:
        deadline = time.monotonic() + 60
        while process.client.get("/health").json["generation"] < generation:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    try:
        process.popen.send_signal(signal.SIGHUP)
        until(2)
        (tmp_path / "new").write_bytes(b"nothing")
        os.replace(tmp_path / "new", copy)
        process.popen.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while 'changes_total{result="failed"} 1.0' not in process.client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert process.client.get("/health").json["generation"] == 2
        assert process.client.post("/score", {"user": "u1", "candidates": ["i1"]}).status == 200
    finally:
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(60) == 0


def test_a_wrong_call_is_one_line(trained: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    table, results, _ = trained
    assert "cannot be read (No such file" in refused(capsys, "serve", "--weights", "none.safetensors")
    assert "cannot listen at" in refused(
        capsys, "serve", "--weights", str(weights_of(results)), "--dataset", str(table), "--host", "192.0.2.1"
    )
