"""The server over HTTP, in this process: the scorer's own scores, every refusal in one line, no pause while models change."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.data.asked import AskedOf
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.errors import UserError
from rankbench.bench.server.limits import Limits
from rankbench.bench.serving import Scorer
from support.logs import make_data
from support.serving import Client, running, scorer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", users=25, longest=100)


@pytest.mark.parametrize("model", ["din", "hstu"])
def test_answers_are_the_scores_of_the_scorer(model: str, data: RankingData, tmp_path: Path) -> None:
    serving, names, items = scorer(model, data), AskedOf(data), ["i3", "i0", "nowhere"]
    with running(tmp_path, lambda _: scorer(model, data), Limits(), tmp_path / "answers.jsonl") as client:
        for number, event in enumerate(data.split.examples("test")[::37].tolist()):
            asked = names.request(event)
            past = [vars(one) for one in names.past(event)]
            body = {"user": asked.user, "candidates": items, "time": asked.time, "context": asked.context}
            wanted = serving.score(asked.user, items, asked.time, asked.context)
            for more in ({}, {"history": past}):
                answer = client.post("/score", body | more, **{"x-request-id": f"r{number}"})
                assert answer.status == 200 and answer.headers["x-request-id"] == answer.json["id"] == f"r{number}"
                found = [score["probability"] for score in answer.json["scores"]]
                np.testing.assert_allclose(found, wanted.probability, atol=1e-6)
                assert [score["known"] for score in answer.json["scores"]] == [True, True, False]
                assert answer.json["labels"] == ["label"] and answer.json["user_known"]
                assert answer.json["events"] == wanted.request.hi - wanted.request.lo
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"r{at // 2}" for at in range(2 * (number + 1))]


ASK = {"user": "u1", "candidates": ["i1"]}
LONG = [{"item": "i1", "time": at, "label": True} for at in range(4)]
WRONG = [
    ({}, "user: field required"),
    ({**ASK, "candidates": []}, "candidates: "),
    ({**ASK, "candidates": ["i"] * 6}, "candidates: at most 5 of them, not 6"),
    ({**ASK, "history": LONG}, "history: at most 3 of them, not 4"),
    ({**ASK, "history": [{"item": "i1", "time": 1}]}, "history.0.label: field required"),
    ({**ASK, "user": 7}, "user: input should be a valid string"),
    ({**ASK, "time": 10**30}, "time: "),
    ({**ASK, "tme": 1}, "tme: extra inputs"),
    ({**ASK, "user": "stranger"}, "say when the request is"),
    ({**ASK, "context": {"pag": "home"}}, "did you mean 'page'"),
    (b'{"user": ', "the body is no JSON, from character"),
    (b"\xff\xfe", "the body"),
]


def test_whatever_is_wrong_is_one_line(data: RankingData, tmp_path: Path) -> None:
    limits = Limits(body_bytes=2_000, candidates=5, history=3)
    with running(tmp_path, lambda _: scorer("din", data), limits) as client:
        for body, message in WRONG:
            answer = client.post("/score", body)
            assert answer.status == 422 and message in answer.error and "\n" not in answer.error, (body, answer)
        large = client.post("/score", {**ASK, "user": "u" * 3_000})
        assert large.status == 413 and large.error == "a body has at most 2,000 bytes"
        assert client.get("/nothing").status == 404 and client.get("/score").status == 405
        health = client.get("/health").json
        assert (health["status"], health["model"], health["dataset"], health["generation"]) == ("ready", "din", "tiny", 1)
        assert client.post("/score", ASK).status == 200
        metrics = client.get("/metrics").text
        assert f'rankbench_requests_total{{status="422"}} {len(WRONG)}.0' in metrics
        assert 'rankbench_requests_total{status="413"} 1.0' in metrics
        assert "rankbench_request_seconds_count 1.0" in metrics and "process_resident_memory_bytes" in metrics


def test_bodies_without_an_end_are_not_waited_for(data: RankingData, tmp_path: Path) -> None:
    with running(tmp_path, lambda _: scorer("ctr", data), Limits(body_bytes=2_000, timeout=0.3)) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as endless:
            # In chunks, whose number is not declared. All at once: what is sent after the answer would be met by a reset.
            chunks = b"1f4\r\n" + b"a" * 500 + b"\r\n"
            endless.sendall(b"POST /score HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n" + 5 * chunks)
            assert endless.recv(1000).startswith(b"HTTP/1.1 413")
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as slow:
            slow.sendall(b"POST /score HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n{")
            assert slow.recv(1000).startswith(b"HTTP/1.1 408")
        assert client.get("/health").status == 200


class Gated(Scorer):
    """Computes when it is let."""

    def __init__(self, ready: Scorer) -> None:
        super().__init__(ready.model, ready.info, ready.data, ready.logit_correction, ready.device)
        self.open, self.begun = threading.Event(), threading.Semaphore(0)
        self.open.set()

    def score(self, *arguments: object, **more: object):
        self.begun.release()
        assert self.open.wait(60)
        return super().score(*arguments, **more)  # type: ignore[arg-type]


def in_threads(client: Client, count: int) -> tuple[list[threading.Thread], list[int]]:
    """Requests that are under way, and the statuses of those that were answered."""
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(client.post("/score", ASK).status)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, statuses


def waiting(client: Client, pending: int) -> None:
    """Until as many requests are computed or wait."""
    for _ in range(500):
        if client.get("/health").json["pending"] == pending:
            return
        time.sleep(0.02)
    raise AssertionError(f"never {pending} pending")


def test_a_full_queue_sends_away_at_once_and_answers_the_others(data: RankingData, tmp_path: Path) -> None:
    gated = Gated(scorer("ctr", data))
    with running(tmp_path, lambda _: gated, Limits(queue=3, timeout=30)) as client:
        gated.open.clear()
        threads, statuses = in_threads(client, 3)
        waiting(client, 3)
        refused = client.post("/score", ASK)
        assert refused.status == 503 and int(refused.headers["retry-after"]) >= 1 and "come back in" in refused.error
        gated.open.set()
        for thread in threads:
            thread.join(60)
        assert statuses == [200] * 3
        waiting(client, 0)
        assert client.post("/score", ASK).status == 200


def test_who_waits_too_long_is_told_so_and_is_not_computed_any_more(data: RankingData, tmp_path: Path) -> None:
    gated = Gated(scorer("ctr", data))
    with running(tmp_path, lambda _: gated, Limits(queue=3, timeout=0.3)) as client:
        assert gated.begun.acquire(timeout=60)  # warmed up
        gated.open.clear()
        threads, statuses = in_threads(client, 3)
        for thread in threads:
            thread.join(60)
        assert statuses == [504] * 3
        waiting(client, 1)  # what has begun cannot be stopped; the two behind it are gone
        gated.open.set()
        waiting(client, 0)
        assert gated.begun.acquire(timeout=60) and not gated.begun.acquire(blocking=False)
        assert client.post("/score", ASK).status == 200


def test_models_change_without_a_pause_and_a_wrong_file_changes_nothing(data: RankingData, tmp_path: Path) -> None:
    def load(path: Path) -> Scorer:
        if path.name == "broken":
            raise UserError("these weights are no weights")
        return scorer("hstu" if path.name == "second" else "din", data)

    with running(tmp_path, load, Limits(timeout=30)) as client:
        stop, seen, failed = threading.Event(), [], []

        def ask() -> None:
            while not stop.is_set():
                answer = client.post("/score", ASK)
                (seen if answer.status == 200 else failed).append(answer)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            broken = client.post("/model", {"weights": str(tmp_path / "broken")})
            assert broken.status == 422 and broken.error == "the model stays as it is: these weights are no weights"
            elsewhere = client.post("/model", {"weights": "/etc/hostname"})
            assert elsewhere.status == 422 and "lie outside of" in elsewhere.error
            assert client.get("/health").json["model"] == "din"
            changed = client.post("/model", {"weights": str(tmp_path / "second")})
            assert changed.status == 200 and (changed.json["model"], changed.json["generation"]) == ("hstu", 2)
            assert client.post("/model", {}).json["generation"] == 3
            assert client.post("/score", ASK).json["model"] == "hstu"
        finally:
            stop.set()
            thread.join(60)
        generations = [answer.json["generation"] for answer in seen]
        assert not failed and generations == sorted(generations) and generations[0] == 1
        metrics = client.get("/metrics").text
        assert 'rankbench_model_changes_total{result="failed"} 2.0' in metrics
        assert 'rankbench_model_changes_total{result="changed"} 2.0' in metrics


def test_what_a_model_cannot_compute_is_an_error_of_the_server(data: RankingData, tmp_path: Path) -> None:
    broken = scorer("din", data)
    with running(tmp_path, lambda _: broken, Limits()) as client:
        broken.logit_correction = float("nan")
        assert client.post("/score", ASK).status == 500
        broken.logit_correction = 0.0
        assert client.post("/score", ASK).status == 200


def test_a_first_model_without_numbers_is_refused(data: RankingData, tmp_path: Path) -> None:
    broken = scorer("din", data)
    broken.logit_correction = float("nan")
    with pytest.raises(UserError, match="give no finite probability"), running(tmp_path, lambda _: broken, Limits()):
        pass
