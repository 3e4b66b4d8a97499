"""The helper that lets tests compute as other processors do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.blas import kernels, under_each_kernel

CODE = """
import json, numpy, scipy.linalg, threadpoolctl
print(json.dumps([[pool["architecture"], pool["num_threads"]] for pool in threadpoolctl.threadpool_info()
                  if pool["internal_api"] == "openblas"] + ["{name}"]))
"""


@pytest.mark.skipif(not kernels(), reason="no kernel of OpenBLAS can be chosen on this processor")
def test_each_kernel_is_the_one_that_computes(tmp_path: Path) -> None:
    done = under_each_kernel(["-c", CODE], tmp_path, threads=(1, 2))
    assert set(done) == {(kernel, threads) for kernel in kernels() for threads in (1, 2)}
    for (kernel, threads), process in done.items():
        assert process.returncode == 0, process.stderr
        *pools, name = json.loads(process.stdout)
        may_be = {kernel, "Haswell"} if kernel == "Zen" else {kernel}  # builds without Zen's own have Haswell's in its place
        assert pools and {architecture for architecture, _ in pools} <= may_be
        assert {count for _, count in pools} == {threads} and name == f"{kernel}-{threads}"
