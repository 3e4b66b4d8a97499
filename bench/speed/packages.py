"""Packages of models that are measured: made once, and found again as long as they are of the same model and score alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..config import Experiment
from ..errors import UserError
from ..export import package
from ..export.equal import TOLERANCE, largest_difference
from ..export.programs import trace
from ..records.weights import Header
from ..serving import Scorer

if TYPE_CHECKING:
    from ..export.package import PackagedRanker


@dataclasses.dataclass(frozen=True)
class Packages:
    """In a folder of the cache."""

    folder: Path

    def scorer(self, exact: Scorer, kind: Literal["exported", "compiled"]) -> Scorer:
        """The same model as a package.

        Args:
            exact: in fp32, with its own code.

        Raises:
            UserError: it cannot be exported or compiled, or the package does not score as its model does.
        """
        if exact.device.type != "cpu":
            raise UserError(f"a package of {exact.info.name} computes on the CPU alone")
        model = self._read(exact, kind) or self._make(exact, kind)
        return dataclasses.replace(exact, model=model, precision="fp32", memories={})

    def _path(self, exact: Scorer, kind: str) -> Path:
        data = exact.data
        return self.folder / f"{exact.info.name}-{data.log.meta.name}-{data.config.history_length}-{kind}{package.SUFFIX}"

    def _read(self, exact: Scorer, kind: str) -> PackagedRanker | None:
        """The one that is kept; None if there is none that can be used and scores as the model does."""
        path = self._path(exact, kind)
        try:
            header = package.read_header(path)
            if header.weights != _header(exact):
                return None
            found = package.load(path, header)
            return found if _alike(exact, found) else None
        except UserError:
            return None

    def _make(self, exact: Scorer, kind: Literal["exported", "compiled"]) -> PackagedRanker:
        path, programs = self._path(exact, kind), trace(exact.model, exact.info, exact.data)
        package.write(path, package.to_bytes(programs, _header(exact), kind))
        found = package.load(path, package.read_header(path))
        if not _alike(exact, found):
            raise UserError(f"the {kind} package of {exact.info.name} does not score as its model does")
        return found


def _header(exact: Scorer) -> Header:
    """Of weights that stand in no file."""
    return Header.of(Experiment(exact.info.name, exact.data.config), 0, exact.data)


def _alike(exact: Scorer, found: PackagedRanker) -> bool:
    try:
        return largest_difference(exact.model, found, exact.info, exact.data, spread=1, candidates=(2,)) <= TOLERANCE
    except (KeyError, RuntimeError, AssertionError):  # it was made of a model with other inputs or sizes
        return False
