"""The model that answers, and how another takes its place without a pause.

The new model is read, checked and asked once while the old one goes on answering. It then takes its place in one step: a
request has either the one or the other from its beginning to its end. A file that cannot be used changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.asked import AskedOf
from ..errors import DAMAGED, UserError
from ..identity import file_hash
from ..serving import Scorer

Load = Callable[[Path], Scorer]

READINGS = 3
"""Of a file that another takes the place of while it is read, before that is an error."""


@dataclass(frozen=True)
class Model:
    """A scorer and where it comes from."""

    scorer: Scorer
    weights: Path
    sha256: str
    generation: int


class Served:
    """`current` may be read from any thread; it is changed by one at a time."""

    def __init__(self, weights: Path, load: Load, folder: Path | None = None) -> None:
        """Read the first model.

        Args:
            load: a scorer from a file of weights.
            folder: below which the files of further models must lie; None: where the first one lies.

        Raises:
            UserError: the file or its data cannot be used.
        """
        self.folder = (weights.parent if folder is None else folder).resolve()
        self._load = load
        self._changing = threading.Lock()
        self.current = self._read(weights, 1)

    def change(self, weights: Path | None) -> Model:
        """Let another model answer from now on; None: the present file, read again.

        Raises:
            UserError: it cannot be used, lies elsewhere, or another change is under way; the present one goes on.
        """
        path = self.current.weights if weights is None else weights
        if weights is not None and not path.resolve().is_relative_to(self.folder):
            raise UserError(f"weights {path} lie outside of {self.folder}, the folder of models that this server may use")
        if not self._changing.acquire(blocking=False):
            raise UserError("another change of the model is under way; ask again when it has ended")
        try:
            self.current = self._read(path, self.current.generation + 1)
        finally:
            self._changing.release()
        return self.current

    def _read(self, path: Path, generation: int) -> Model:
        scorer, digest = self._loaded(path)
        _warm_up(scorer, path)
        return Model(scorer, path, digest, generation)

    def _loaded(self, path: Path) -> tuple[Scorer, str]:
        """A scorer and the sha256 of the very file that it was read from: what answers is what is named."""
        for _ in range(READINGS):
            before, failed = _sha256(path), None
            try:
                scorer = self._load(path)
            except DAMAGED as error:
                failed = UserError(f"weights {path} cannot be used ({error})")
            except UserError as error:
                failed = error
            if _sha256(path) != before:
                continue
            if failed is not None:
                raise failed
            return scorer, before
        raise UserError(f"weights {path} change while they are read; ask again when they are written")


def _sha256(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise UserError(f"weights {path} cannot be read ({error.strerror or error})") from None


def _warm_up(scorer: Scorer, path: Path) -> None:
    """Ask for a logged request: indexes and kernels are made, and a model that gives no numbers is found."""
    event = int(scorer.data.split.examples("test")[-1])
    asked = AskedOf(scorer.data).request(event)
    found = scorer.score(asked.user, [asked.item, asked.item], asked.time, asked.context)
    scorer.memories.clear()
    if not np.isfinite(found.probability).all():
        raise UserError(f"weights {path} give no finite probability for the last test request; train again")
