"""The helper that lets tests compute as other processors do: each has an arithmetic of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.processors import PROCESSORS, as_each_processor, at_hand

CODE = """
import hashlib, json, numpy, scipy.linalg, threadpoolctl, torch
pools = [[pool["architecture"], pool["num_threads"]] for pool in threadpoolctl.threadpool_info()
         if pool["internal_api"] == "openblas"]
left, right = numpy.random.default_rng(0).normal(size=(2, 301, 301))
products = hashlib.sha256((left @ right).tobytes()).hexdigest()
print(json.dumps([pools, "{name}", products, torch.backends.cpu.get_cpu_capability()]))
"""


@pytest.mark.skipif(not at_hand(), reason="this processor can stand for no other")
def test_each_processor_computes_in_its_own_way(tmp_path: Path) -> None:
    done = as_each_processor(["-c", CODE], tmp_path, threads=(1, 2))
    assert set(done) == {(name, threads) for name in at_hand() for threads in (1, 2)}
    products: dict[str, str] = {}
    for (processor, threads), process in done.items():
        assert process.returncode == 0, process.stderr
        pools, name, products[processor], aten = json.loads(process.stdout)
        assert pools and {tuple(pool) for pool in pools} == {(processor, threads)} and name == f"{processor}-{threads}"
        assert aten.lower() == PROCESSORS[processor].aten
    assert len(set(products.values())) == len(at_hand()), "two processors with the same arithmetic prove nothing"
