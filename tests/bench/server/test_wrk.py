"""A client that is not ours: wrk loads a server with the script that docs/howto/serving.md names."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support.serving import Process, trained_hstu

SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "score.lua"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (apt install wrk)")
def test_wrk_gets_an_answer_to_every_request(tmp_path: Path) -> None:
    trained = trained_hstu(tmp_path)
    process = Process("--weights", trained.weights, "--dataset", trained.table, "--timeout-ms", "60000", cache=trained.cache)
    try:
        load = ["wrk", "--threads", "1", "--connections", "4", "--duration", "5s", "--timeout", "60s", "--latency"]
        address = f"http://127.0.0.1:{process.client.port}/score"
        shown = subprocess.run([*load, "--script", str(SCRIPT), address], capture_output=True, text=True, timeout=120)
        counted = process.client.get("/metrics").text
    finally:
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(60) == 0
    assert shown.returncode == 0, shown.stderr
    found = re.search(r"^rankbench: (\d+) answers, (\d+) of them refusals, (\d+) errors", shown.stdout, re.MULTILINE)
    assert found, shown.stdout
    print(shown.stdout)
    answers, refusals, errors = map(int, found.groups())
    assert answers > 0 and refusals == errors == 0
    answered = re.search(r'^rankbench_requests_total\{status="200"\} (\S+)$', counted, re.MULTILINE)
    assert answered and float(answered[1]) >= answers
