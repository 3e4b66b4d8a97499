"""A server in this process or in one of its own, and a client that speaks HTTP to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn

from rankbench.bench import registry
from rankbench.bench.cli import main
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.server.answers import AnswerLog
from rankbench.bench.server.app import Server, make_app
from rankbench.bench.server.limits import Limits
from rankbench.bench.server.process import listening
from rankbench.bench.server.served import Served
from rankbench.bench.serving import Scorer
from support.cache import own_cache
from support.tables import click_table


@dataclass(frozen=True)
class Trained:
    """A run of HSTU on a small table of one's own."""

    table: Path
    results: Path
    cache: Path
    """That has the table's log."""

    @property
    def weights(self) -> Path:
        (found,) = self.results.rglob("seed-0.safetensors")
        return found


def trained_hstu(folder: Path) -> Trained:
    """Made in `folder`."""
    made = Trained(click_table(folder), folder / "results", own_cache(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKBENCH_CACHE", str(made.cache))
        run = ["run", "--models", "hstu", "--seeds", "1", "--set", "train.epochs=1", "--quiet", "--jobs", "1", "--device", "cpu"]
        assert main([*run, "--dataset", str(made.table), "--results", str(made.results)]) == 0
    return made


def scorer(name: str, data: RankingData, seed: int = 3) -> Scorer:
    """A model with weights that matter: fresh ones are too small for wrong histories to show."""
    info = registry.info(name)
    torch.manual_seed(seed)
    model = info.build(info.config(), data.spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return Scorer(model.eval(), info, data, data.logit_correction, torch.device("cpu"))


@dataclass(frozen=True)
class Answer:
    """Of the server."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> str:
        """The one line of a refusal."""
        (line,) = self.json.values()
        return line


@dataclass(frozen=True)
class Client:
    """Asks the server at a port of this machine."""

    port: int

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Of a body that is no text, its JSON."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask("POST", path, text, {"content-type": "application/json", **headers})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())


@contextlib.contextmanager
def running(folder: Path, load: Callable[[Path], Scorer], limits: Limits, log: Path | None = None) -> Iterator[Client]:
    """A server in a thread of this process, whose first file of weights is `folder`/first."""
    for name in ("first", "second", "broken"):
        (folder / name).write_text(name)
    server = Server(Served(folder / "first", load), limits, AnswerLog(log), lambda: None)
    bound = listening("127.0.0.1", 0)
    process = uvicorn.Server(uvicorn.Config(make_app(server), log_config=None))
    thread = threading.Thread(target=process.run, args=([bound],))
    thread.start()
    try:
        while not process.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Client(bound.getsockname()[1])
    finally:
        process.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


class Process:
    """`rankbench serve` as a process of its own."""

    def __init__(self, *arguments: str | Path, cache: Path) -> None:
        environment = {**os.environ, "RANKBENCH_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "rankbench", "serve", "--device", "cpu", "--port", "0", *map(str, arguments)]
        self.popen = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.popen.stderr is not None
        self.lines: list[str] = []
        for line in self.popen.stderr:
            self.lines.append(line)
            if "http://" in line:
                break
        assert self.lines and "http://" in self.lines[-1], self.lines
        self.client = Client(int(self.lines[-1].rsplit(":", 1)[1]))
