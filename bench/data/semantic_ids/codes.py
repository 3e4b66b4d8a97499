"""The codes of a log's items: made once for a split from what training knows, kept beside the log, and described."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ...config import DataConfig
from ...errors import UserError
from ...identity import short_hash
from ..columns import Column
from ..eventlog import EventLog
from .vectors import trained_items

_VERSION = 1
"""Raised by hand when the same settings give other codes."""

NO_CODE = -1


@dataclass(frozen=True)
class CodeFacts:
    """How well codes tell items apart, and which items have them."""

    source: str
    method: str
    levels: int
    size: int
    """Different codes at a level, at most."""
    trained: int
    """Items with training events."""
    coded: int
    """Of these, with codes."""
    distinct: int
    """Different semantic ids among them."""
    colliding: int
    """Of these items, those whose whole semantic id another of them has as well."""
    largest: int
    """Items with the commonest semantic id."""
    cold: int
    """Items without training events."""
    cold_coded: int
    """Of these, with codes."""
    cold_known: int
    """Of these, with the whole semantic id of an item with training events; of the others training knows a beginning alone."""

    def line(self) -> str:
        """For people."""
        return (
            f"semantic ids ({self.method} over {self.source}, {self.levels} levels of {self.size}): {self.coded:,} of "
            f"{self.trained:,} training items have codes, {self.distinct:,} different ones; {self.colliding:,} items share all "
            f"of theirs with another, {self.largest:,} the commonest. Of {self.cold:,} items without training events "
            f"{self.cold_coded:,} have codes, {self.cold_known:,} those of a training item"
        )


@dataclass(frozen=True)
class ItemCodes:
    """Semantic ids of all items."""

    codes: np.ndarray
    """int32 [items, levels], coarse to fine; 0 where there is none."""
    has_code: np.ndarray
    """bool [items]"""
    facts: CodeFacts

    @property
    def hash(self) -> str:
        """12 hex digits."""
        return hashlib.sha256(self.codes.tobytes() + self.has_code.tobytes()).hexdigest()[:12]


class Quantizer(Protocol):
    """Vectors to codes."""

    def __call__(self, training: np.ndarray, every: np.ndarray, levels: int, size: int) -> np.ndarray:
        """int32 [n, levels] of the float32 vectors `every` [n, d], by what is learned from the rows `training` [m, d] alone."""
        ...


def item_codes(log: EventLog, train: Column, config: DataConfig) -> ItemCodes:
    """Codes frozen on the training events `train` (bool [events]); of other items as far as the source knows them.

    The codes lie beside the log once they were made, so that all runs of a machine have the same.

    Raises:
        UserError: the source says nothing of any training item.
    """
    said = (config.code_source, config.code_method, config.code_levels, config.code_size)
    name = f"codes.{short_hash([_VERSION, _hash(train), *said])}"
    if (log.folder / f"{name}.npy").exists():
        codes = np.asarray(log.column(name))
    else:
        codes = _made(log, train, config)
        _keep(codes, log.folder / f"{name}.npy")
    has_code = (codes != NO_CODE).all(1)
    return ItemCodes(np.where(codes == NO_CODE, 0, codes), has_code, _facts(codes, has_code, trained_items(log, train), config))


def _hash(train: Column) -> str:
    """Of the packed bits, eight events in a byte."""
    digest, step = hashlib.sha256(), 1 << 20
    for begin in range(0, len(train), step):
        digest.update(np.packbits(train[begin : begin + step]).data)
    return digest.hexdigest()


def _made(log: EventLog, train: Column, config: DataConfig) -> np.ndarray:
    from threadpoolctl import threadpool_limits

    from .kmeans import residual_kmeans
    from .rq_vae import residual_autoencoder
    from .vectors import event_vectors, feature_vectors

    quantizers: dict[str, Quantizer] = {"k-means": residual_kmeans, "rq-vae": residual_autoencoder}
    with threadpool_limits(1):  # sums in one order, however many threads there are
        vectors = feature_vectors(log, train) if config.code_source == "features" else event_vectors(log, train)
        training = vectors.known & trained_items(log, train)
        if not training.any():
            raise UserError(
                f"the items of {log.meta.name} have no side information to make codes of: set data.code_source=events, or "
                "data.item_id=id"
            )
        codes = np.full((log.meta.items, config.code_levels), NO_CODE, dtype=np.int32)
        codes[vectors.known] = quantizers[config.code_method](
            vectors.values[training], vectors.values[vectors.known], config.code_levels, config.code_size
        )
    return codes


def _keep(codes: np.ndarray, path: Path) -> None:
    """Write the file as a whole; where the folder cannot be written, the codes are made anew each time."""
    with contextlib.suppress(OSError):
        number, new = tempfile.mkstemp(dir=path.parent, suffix=".new")
        try:
            with os.fdopen(number, "wb") as file:
                np.save(file, codes)
            os.chmod(new, 0o644)  # temporary files are born private; a cache may be shared
            os.replace(new, path)
        finally:
            Path(new).unlink(missing_ok=True)


def _facts(codes: np.ndarray, has_code: np.ndarray, trained: np.ndarray, config: DataConfig) -> CodeFacts:
    warm, cold = has_code & trained, has_code & ~trained
    distinct, place, count = np.unique(codes[warm], axis=0, return_inverse=True, return_counts=True)
    found = np.concatenate([codes[cold], distinct])
    # A row of `found` that occurs twice is a cold item's and a training item's.
    _, row = np.unique(found, axis=0, return_inverse=True)
    return CodeFacts(
        source=config.code_source,
        method=config.code_method,
        levels=config.code_levels,
        size=config.code_size,
        trained=int(trained.sum()),
        coded=int(warm.sum()),
        distinct=len(distinct),
        colliding=int((count[place.ravel()] > 1).sum()),
        largest=int(count.max(initial=0)),
        cold=int((~trained).sum()),
        cold_coded=int(cold.sum()),
        cold_known=int(np.isin(row.ravel()[: cold.sum()], row.ravel()[cold.sum() :]).sum()),
    )
