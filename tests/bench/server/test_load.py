"""A server under open load over HTTP at 80% of its capacity: no error, and no memory that grows.

Ten seconds unless RANKBENCH_LOAD_SECONDS says otherwise; docs/howto/serving.md has what longer loads showed. Nothing is asked of
latencies, which are printed: queue and timeout are so large that a busy machine makes nobody wait in vain.
"""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from rankbench.bench.speed.load import Latency
from support.serving import Client, Process, trained_hstu

SECONDS = float(os.environ.get("RANKBENCH_LOAD_SECONDS", "10"))
SHARE = 0.8


def body(number: int) -> dict:
    """Of 30 users, at many moments: pasts are kept and let go."""
    candidates = [f"i{(number + at) % 25}" for at in range(100)]
    return {"user": f"u{number % 30}", "candidates": candidates, "time": 1_600_000_000_000 + 997_000 * (number % 700)}


def capacity(client: Client, seconds: float) -> float:
    """Requests a second that two callers get answered, back to back."""
    counts, end = [0, 0], time.monotonic() + seconds

    def ask(who: int) -> None:
        while time.monotonic() < end:
            assert client.post("/score", body(2 * counts[who] + who)).status == 200
            counts[who] += 1

    threads = [threading.Thread(target=ask, args=(who,)) for who in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


@pytest.mark.long
def test_no_error_and_flat_memory_at_four_fifths_of_the_capacity(tmp_path: Path) -> None:
    trained = trained_hstu(tmp_path)
    limits = ("--queue", "2000", "--timeout-ms", "120000", "--remembered", "64")
    process = Process("--weights", trained.weights, "--dataset", trained.table, *limits, cache=trained.cache)
    client, statuses, waited, memory = process.client, [], [], []
    try:
        able = capacity(client, min(5.0, SECONDS))
        rate = SHARE * able
        arrivals = np.cumsum(np.random.default_rng(0).exponential(1 / rate, max(20, round(rate * SECONDS))))
        watched, begin = psutil.Process(process.popen.pid), time.monotonic()

        def ask(number: int, arrival: float) -> None:
            statuses.append(client.post("/score", body(number)).status)
            waited.append(time.monotonic() - begin - arrival)

        with concurrent.futures.ThreadPoolExecutor(64) as callers:
            for number, arrival in enumerate(arrivals.tolist()):
                time.sleep(max(0.0, begin + arrival - time.monotonic()))
                callers.submit(ask, number, arrival)
                if number % max(len(arrivals) // 20, 1) == 0:
                    memory.append(watched.memory_info().rss / 2**20)
        memory.append(watched.memory_info().rss / 2**20)
    finally:
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(60) == 0
    print(f"capacity {able:.1f}/s, {rate:.1f}/s for {SECONDS:g} s: {Latency.of(waited)}, MB {[round(one) for one in memory]}")
    assert statuses == [200] * len(arrivals)
    assert memory[-1] < 1.05 * memory[len(memory) // 4] + 8
