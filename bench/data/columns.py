"""Columns with a row for each event, without the memory of one: computed when asked for, made in blocks, kept in scratch files.

What the harness makes of a log is as long as the log. None of it is held whole in memory: what follows from other columns is
computed for the rows that are asked for; what must be kept lies, once it is large, in a file that nobody else sees and that is
gone with its last user. Loops over events go by blocks of whole users.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, why

BLOCK_ROWS = 1_000_000
"""Rows of a log that are held at a time, more if one user has more."""
IN_MEMORY = 1 << 24
"""Bytes up to which a column that must be kept is kept in memory."""


class Computed:
    """A column whose values follow from others; looks like an array that is read."""

    def __init__(self, rows: int, values: Callable[[np.ndarray], np.ndarray]) -> None:
        """`values`: int64 positions [n] -> their values [n]."""
        self._rows, self._values = rows, values

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, slice):
            return self._values(np.arange(*rows.indices(self._rows)))
        rows = np.asarray(rows)
        if rows.dtype == bool:
            return self._values(np.flatnonzero(rows))
        if rows.ndim == 0:
            return self._values(rows.reshape(1))[0]
        return self._values(rows.reshape(-1)).reshape(rows.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


Column = np.ndarray | Computed


def blocks(rows: int, width: int = 1) -> Iterator[slice]:
    """0 .. rows - 1 in blocks, of fewer rows where a row has `width` values."""
    size = max(BLOCK_ROWS // width, 1)
    return (slice(begin, min(begin + size, rows)) for begin in range(0, rows, size))


def user_blocks(user_offsets: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Users and their events in blocks of whole users, or whatever else has such offsets.

    Args:
        user_offsets: int64 [users + 1].
    """
    users, first = len(user_offsets) - 1, 0
    while first < users:
        last = int(np.searchsorted(user_offsets, user_offsets[first] + BLOCK_ROWS, side="right")) - 1
        last = min(max(last, first + 1), users)
        yield slice(first, last), slice(int(user_offsets[first]), int(user_offsets[last]))
        first = last


def scratch(rows: int, kind: Any, near: Path | None = None) -> np.ndarray:
    """An array of zeros to be filled: in memory, or once it is large in a file that no name leads to.

    Args:
        near: a folder on whose disk there is room; where it cannot be written, or if left out, the system's place for such files.

    Raises:
        UserError: no room for the file.
    """
    kind = np.dtype(kind)
    size = rows * kind.itemsize
    if size <= IN_MEMORY:
        return np.zeros(rows, dtype=kind)
    with _file(near) as file:
        try:
            # Room is taken now: a full disk would otherwise end the process when it writes to the mapped file.
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise UserError(f"no room for a scratch file of {size:,} bytes ({error.strerror}): free some disk space") from None
        return np.asarray(np.memmap(file, dtype=kind, mode="r+", shape=(rows,)))


def _file(near: Path | None) -> Any:
    if near is not None:
        try:
            return tempfile.TemporaryFile(dir=near)
        except OSError:
            pass
    return tempfile.TemporaryFile()


def collected(parts: Iterable[np.ndarray], kind: Any, near: Path | None = None) -> np.ndarray:
    """All parts as one array, kept as `scratch` keeps them."""
    held: list[np.ndarray] = []
    kind, size, file = np.dtype(kind), 0, None
    try:
        for part in parts:
            part = np.ascontiguousarray(part, dtype=kind)
            size += part.nbytes
            if file is None and size > IN_MEMORY:
                file = _file(near)
                for earlier in held:
                    file.write(earlier.data)
                held = []
            if file is None:
                held.append(part)
            else:
                file.write(part.data)
        if file is None:
            return np.concatenate([np.empty(0, dtype=kind), *held])
        file.flush()
        return np.asarray(np.memmap(file, dtype=kind, mode="r+"))
    except OSError as error:
        raise UserError(f"a scratch file cannot be written ({why(error)}): free some disk space") from None
    finally:
        if file is not None:
            file.close()


def positions(rows: int, which: Callable[[slice], np.ndarray], near: Path | None = None) -> np.ndarray:
    """int64: the rows for which `which` is true, ascending; it says so for one block at a time."""
    return collected((block.start + np.flatnonzero(which(block)) for block in blocks(rows)), np.int64, near)


def chosen(values: np.ndarray, which: Callable[[np.ndarray], np.ndarray], near: Path | None = None) -> np.ndarray:
    """Those of the values for which `which`, asked for one block after the other, is true."""
    parts = (values[block] for block in blocks(len(values)))
    return collected((part[which(part)] for part in parts), values.dtype, near)


def ranges(start: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The integers start[r] .. start[r] + length[r] - 1 of all rows end to end, and the rows' offsets [n + 1]."""
    offsets = np.concatenate([[0], np.cumsum(length)])
    return np.repeat(start - offsets[:-1], length) + np.arange(offsets[-1]), offsets


def numbered(rows: int, near: Path | None = None) -> np.ndarray:
    """int32 or int64 [rows]: 0 .. rows - 1."""
    order = scratch(rows, np.int32 if rows < 2**31 else np.int64, near)
    for block in blocks(rows):
        order[block] = np.arange(block.start, block.stop)
    return order


def shuffled(rows: int, rng: np.random.Generator, near: Path | None = None) -> np.ndarray:
    """int32 or int64 [rows]: what `rng.permutation(rows)` gives."""
    order = numbered(rows, near)
    rng.shuffle(order)
    return order


def sorted_rows(rows: int, key: Callable[[slice], np.ndarray], near: Path | None = None) -> np.ndarray:
    """int32 or int64 [rows]: what a stable `argsort` of the keys gives.

    Args:
        key: of a block of rows, whole numbers within 2^53 of 0: as exact as a float is.
    """
    # Complex numbers are ordered by their real part, then by the other one, and sorted in place: no copy is held in memory.
    pair = scratch(rows, np.complex128, near)
    for block in blocks(rows):
        pair[block] = key(block) + 1j * np.arange(block.start, block.stop)
    pair.sort()
    order = scratch(rows, np.int32 if rows < 2**31 else np.int64, near)
    for block in blocks(rows):
        order[block] = np.imag(pair[block])
    return order


_BINS = 1 << 16


def order_statistics(column: Callable[[], Iterable[np.ndarray]], places: Iterable[int]) -> list[int]:
    """The values that would stand at `places` (from 0) if a column of integers were sorted.

    Counts values in ever narrower ranges, so that nothing is sorted or held.

    Args:
        column: its values in blocks, each time it is called.
    """
    wanted = list(places)
    low, high = 2**63 - 1, -(2**63)
    for part in column():
        if len(part):
            low, high = min(low, int(part.min())), max(high, int(part.max()))
    # For each place: the range [begin, begin + width) that holds it, and how many values lie below that range.
    begins, below, width = [low] * len(wanted), [0] * len(wanted), high - low + 1
    while width > 1:
        step = -(-width // _BINS)
        counts = {begin: np.zeros(_BINS, dtype=np.int64) for begin in set(begins)}
        for part in column():
            for begin, count in counts.items():
                inside = part[(part >= begin) & (part <= min(begin + (width - 1), high))].astype(np.int64)
                # Two values of 64 bits may be further apart than such a number with a sign can say.
                apart = inside.view(np.uint64) - np.uint64(begin % 2**64)
                count += np.bincount((apart // np.uint64(step)).astype(np.int64), minlength=_BINS)
        for at, place in enumerate(wanted):
            total = below[at] + np.cumsum(counts[begins[at]])
            found = int(np.searchsorted(total, place, side="right"))
            below[at] = int(total[found - 1]) if found else below[at]
            begins[at] += found * step
        width = step
    return begins
