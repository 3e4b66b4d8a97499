"""Distinct texts without all of them in memory: sorted runs on disk, merged range by range."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RANGE = 500_000
"""Texts that are merged at a time, more or less."""
_BATCH = 100_000
"""Texts of a batch of a file."""
_SCHEMA = pa.schema([("value", pa.large_string())])


class Texts:
    """Texts in an order, of which a batch is in memory at a time: those of a file, or an array of a few."""

    def __init__(self, source: Path | np.ndarray) -> None:
        self._source = source
        self._length = len(source) if isinstance(source, np.ndarray) else sum(len(batch) for batch in read_texts(source))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[np.ndarray]:
        """object [n] arrays, end to end."""
        if isinstance(self._source, np.ndarray):
            yield from (self._source[begin : begin + _BATCH] for begin in range(0, len(self._source), _BATCH))
            return
        for batch in read_texts(self._source):
            yield batch.to_numpy(zero_copy_only=False)

    def whole(self) -> np.ndarray:
        """object: all of them."""
        return np.concatenate([np.empty(0, dtype=object), *self.blocks()])


def read_texts(path: Path) -> Iterator[pa.Array]:
    """The batches of a file of texts, mapped into memory."""
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            yield file.get_batch(number).column(0)


class TextFile:
    """A file of texts that appears when it is whole."""

    def __init__(self, path: Path, compression: str | None = None) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._writer = pa.ipc.new_file(str(self._part), _SCHEMA, options=pa.ipc.IpcWriteOptions(compression=compression))

    def write(self, texts: pa.Array, batch: int = _BATCH) -> None:
        for begin in range(0, len(texts), batch):
            self._writer.write_batch(pa.record_batch([texts.slice(begin, batch)], schema=_SCHEMA))

    def close(self) -> None:
        self._writer.close()
        self._part.replace(self._path)


def write_run(texts: pa.Array, path: Path) -> np.ndarray:
    """Write the distinct texts among some, sorted by code point, and return the place of each: int32 [n].

    Args:
        texts: large_string, none missing.
    """
    encoded = texts.dictionary_encode()
    order = pc.call_function("sort_indices", [encoded.dictionary]).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    file = TextFile(path)
    file.write(encoded.dictionary.take(pa.array(order)), max(len(order), 1))
    file.close()
    return rank[encoded.indices.to_numpy(zero_copy_only=False)]


def merge_runs(runs: Sequence[Path], target: Path, codes: Sequence[Path]) -> None:
    """Write the distinct texts of all runs, sorted by code point, into `target`, and for each run, where its texts are there.

    Args:
        runs: files of `write_run`.
        codes: of each run the .npy file that is to hold int32 [texts of the run].
    """
    every = [next(read_texts(path), _EMPTY) for path in runs]
    bounds = [[0] * len(every), *_bounds(every), [len(run) for run in every]]
    places = [_places(path, len(run)) for path, run in zip(codes, every, strict=True)]
    file, written = TextFile(target), 0
    for low, high in itertools.pairwise(bounds):
        parts = [run.slice(begin, end - begin) for run, begin, end in zip(every, low, high, strict=True)]
        distinct = pc.call_function("unique", [pa.concat_arrays([_EMPTY, *parts])])
        distinct = distinct.take(pc.call_function("sort_indices", [distinct]))
        options = pc.SetLookupOptions(distinct)
        for part, begin, end, place in zip(parts, low, high, places, strict=True):
            if end > begin:
                place[begin:end] = written + pc.call_function("index_in", [part], options).to_numpy(zero_copy_only=False)
        file.write(distinct)
        written += len(distinct)
    file.close()


_EMPTY = pa.array([], type=pa.large_string())


def _places(path: Path, count: int) -> np.ndarray:
    """An .npy file to be filled."""
    if count == 0:  # nothing can be mapped
        np.save(path, np.empty(0, dtype=np.int32))
        return np.empty(0, dtype=np.int32)
    places = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(count,))
    with path.open("rb+") as file:  # room is taken now: a full disk would otherwise end the process, without a word
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return places


def _bounds(runs: Sequence[pa.Array]) -> list[list[int]]:
    """Where ranges of about RANGE texts begin in each of the runs, the first range left out."""
    step = max(1, RANGE // (4 * max(len(runs), 1)))
    sample = sorted(run[at].as_py() for run in runs for at in range(step // 2, len(run), step))
    each = max(1, RANGE // step)
    cuts = dict.fromkeys(sample[each::each])
    return [[bisect.bisect_left(_Lookup(run), cut) for run in runs] for cut in cuts]


class _Lookup:
    """A run as bisection reads it."""

    def __init__(self, run: pa.Array) -> None:
        self._run = run

    def __len__(self) -> int:
        return len(self._run)

    def __getitem__(self, at: int) -> str:
        return self._run[at].as_py()
