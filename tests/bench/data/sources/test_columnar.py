"""Parquet and feather files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from rankbench.bench.data.sources.columnar import batches_of


def test_a_feather_file_that_points_out_of_itself_is_refused(tmp_path: Path) -> None:
    """Its strings lie where its offsets say, which without a look would be anywhere in memory: the process would die."""
    users = pa.array([f"u{'x' * (row % 3)}" for row in range(20)], pa.string())
    offsets = np.frombuffer(users.buffers()[1], np.int32)[:21]
    path = tmp_path / "clicks.feather"
    feather.write_feather(pa.table({"user": users}), str(path), compression="uncompressed")
    beyond = offsets.copy()
    beyond[7:] += 2**30
    content = path.read_bytes()
    assert content.count(offsets.tobytes()) == 1
    path.write_bytes(content.replace(offsets.tobytes(), beyond.tobytes()))
    with pytest.raises(pa.ArrowInvalid, match="ffset"):
        list(batches_of(path, ["user"], 8))
