"""A column that is written to the disk as it comes."""

from __future__ import annotations

from pathlib import Path

import numpy as np


class GrowingColumn:
    """A .npy file of one dimension that grows at its end."""

    _HEADER = 128

    def __init__(self, path: Path, kind: np.dtype) -> None:
        self._stream, self._kind, self._rows = path.open("wb"), kind, 0
        self._stream.write(b"\0" * self._HEADER)

    def append(self, values: np.ndarray) -> None:
        np.ascontiguousarray(values, dtype=self._kind).tofile(self._stream)
        self._rows += len(values)

    def close(self) -> None:
        """Write the header, whose length does not depend on the number of rows."""
        self._stream.seek(0)
        facts = {"descr": np.lib.format.dtype_to_descr(self._kind), "fortran_order": False, "shape": (self._rows,)}
        np.lib.format.write_array_header_1_0(self._stream, facts)
        assert self._stream.tell() == self._HEADER
        self._stream.close()
