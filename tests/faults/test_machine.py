"""On a full, failing, slow or read-only disk, with little memory, a clock that jumps or another process at the same work, a
command ends in one line or does its work, and the next start makes all of it good; python -m support.machine tries more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.machine.lacking import HARMLESS, KINDS, compiled, drawn

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compiled(tmp_path_factory.mktemp("shim"))
    except RuntimeError as error:
        pytest.skip(str(error))


WRITE = """
import sys, time
from pathlib import Path
import numpy as np

folder = Path(sys.argv[1])
began = time.monotonic()
for act in (
    lambda: (folder / "python").write_bytes(bytes(5000)),
    lambda: np.save(folder / "numpy.npy", np.zeros(5000, np.uint8)),
    lambda: (folder / "below").mkdir(),
):
    try:
        act()
        print("done")
    except OSError as error:
        print(error.errno or "short")
print(time.monotonic() - began > 0.1, abs(time.time() - time.time()) > 3600)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"FAULT_ERRNO": "28", "FAULT_BYTES": "100"}, "28 28 done False"),
        ({"FAULT_ERRNO": "5", "FAULT_BYTES": "7000"}, "done short done False"),
        ({"FAULT_ERRNO": "30", "FAULT_BYTES": "-1"}, "30 30 30 False"),
        ({"FAULT_DELAY": "60000"}, "done done done False"),
        ({"FAULT_CLOCK": "86400"}, "done done done True"),
    ],
)
def test_the_shim_does_what_it_says(shim: Path, tmp_path: Path, fault: dict[str, str], said: str) -> None:
    environment = {**ENVIRONMENT, "LD_PRELOAD": str(shim), "FAULT_UNDER": f"{tmp_path}/", **fault}
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300).stdout.split()
    slow = found.pop(3)
    assert found == said.split()
    assert slow == "True" or "FAULT_DELAY" not in fault, "two writes took longer"


def test_a_seed_draws_the_same_lack(tmp_path: Path) -> None:
    assert all(drawn(kind, 3, tmp_path, 1000) == drawn(kind, 3, tmp_path, 1000) for kind in KINDS)
    assert set(KINDS) > HARMLESS


@pytest.mark.long
def test_commands_end_in_one_line_or_do_their_work_and_the_next_start_makes_all_good(shim: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.machine", "--rounds", str(2 * len(KINDS)), "--only", "conversion,sweep"]
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
    environment.pop("RANKBENCH_DATA", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{2 * len(KINDS)} rounds, 0 with a fault" in done.stdout
