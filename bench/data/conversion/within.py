"""Features of users and items that stand in every event: one value for each id, out of the codes of a spool.

In memory are a few numbers for each id and for each distinct value of one feature; no row and no text of them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from ...errors import UserError
from ..content import Owner
from ..sources.labels import Unread
from ..sources.schema import Feature
from ..sources.values import as_feature, as_numbers
from .coding import as_they_are, ids_of, wording_of
from .dictionary import Values
from .features import write_words
from .merge import Texts
from .spool import Spool


@dataclass(frozen=True)
class Events:
    """Rows of events as they were read, those included that the log has not."""

    spool: Spool
    ranks: dict[str, np.ndarray]
    """Owner -> int32 [distinct ids + 1]: code of the log by code of the spool, -1 for ids that it does not have."""


def write_within(events: Events, owner: Owner, ids: int, unread: dict[str, int], folder: Path) -> dict[str, Texts]:
    """Write the features of a log's users or items that stand in its events, in the order of their codes, into `folder`.

    Args:
        ids: of the log.
        unread: number feature -> its values that are there but no numbers; those of these are added.

    Returns:
        Dictionary -> its texts.

    Raises:
        UserError: a feature of which an id has several values where it may have one, a number feature that holds few numbers.
    """
    work = folder / "rows" / f"{owner}.within"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    place = _places(events.ranks[owner], ids)
    texts: dict[str, Texts] = {}
    for at, (name, (whose, feature, dictionary)) in enumerate(events.spool.owned.items()):
        if whose == owner:
            one = _Within(events.spool, owner, feature, dictionary.finish(events.spool.blocks), work / f"{at}.equal")
            chosen = one.chosen(place)
            if feature.kind == "number":
                column, unread[name] = one.numbers(chosen)
                np.save(folder / f"feature.{name}.npy", column[chosen[:ids]])
            else:
                used = np.zeros(len(one.values) + 1, dtype=bool)
                used[chosen] = True
                wording = wording_of(one.values, used)
                texts[f"feature.{name}"] = write_words(feature, one.values, wording, chosen[:ids], folder, work, at)
    return texts


def _places(rank: np.ndarray, ids: int) -> np.ndarray:
    """int32 [distinct ids + 1]: where the value of an id is kept: those of the log first, in its order, then each other one; last
    what belongs to none."""
    place = rank.copy()
    others = np.append(np.flatnonzero(rank[:-1] < 0), len(rank) - 1)
    place[others] = np.arange(ids, ids + len(others), dtype=np.int32)
    return place


@dataclass
class _Within:
    """One feature."""

    spool: Spool
    owner: Owner
    feature: Feature
    values: Values
    work: Path

    def chosen(self, place: np.ndarray) -> np.ndarray:
        """int32 [places of ids]: code of the value that counts, -1 for ids without any."""
        if self.spool.raw.within[self.feature.column] == "least":
            return self._least(place)
        return self._same(place)

    def numbers(self, chosen: np.ndarray) -> tuple[np.ndarray, int]:
        """float32 [values + 1]: the value of each code, the last for a missing one; and how many ids have a value that is no
        number."""
        raw, name = self.spool.raw, self.feature.column
        times = np.bincount(chosen + 1, minlength=len(self.values) + 1)[1:]
        unread = Unread(f"the {self.owner} table of {raw.name}: feature {name!r}", raw.schema.decimal)
        found = np.full(len(self.values) + 1, np.float32(np.nan))
        for part, column in self.values:
            exact = as_numbers(column, raw.schema.decimal)
            unread.note(column, exact, times[part])
            found[:-1][part] = as_feature(exact)
        return found, unread.finish()

    def _least(self, place: np.ndarray) -> np.ndarray:
        order = np.argsort(self._equal(), kind="stable").astype(np.int32)
        rank = np.empty(len(order) + 1, dtype=np.int32)
        rank[order], rank[-1] = np.arange(len(order), dtype=np.int32), len(order)
        least = np.full(int(place[-1]) + 1, len(order), dtype=np.int32)
        for block in self.spool:
            np.minimum.at(least, place[block.text(self.owner)], rank[block.owned(self.feature.column)])
        return np.append(order, np.int32(-1))[least[:-1]]

    def _same(self, place: np.ndarray) -> np.ndarray:
        equal = self._equal()
        first = np.full(int(place[-1]), -1, dtype=np.int32)
        for block in self.spool:
            code, value = block.text(self.owner), block.owned(self.feature.column)
            code, value = code[value >= 0], value[value >= 0]
            at = place[code]
            new = np.flatnonzero(first[at] < 0)[::-1]
            first[at[new]] = value[new]
            differs = equal[first[at]] != equal[value]
            if differs.any():
                self._refuse(int(code[differs.argmax()]))
        return first

    def _equal(self) -> np.ndarray:
        """int32 [values]: equal for values that are, in their order: that of numbers and moments, else by code point; values of
        several types are what their texts are."""
        kinds = self.values.kinds
        if kinds <= {""}:
            return np.arange(len(self.values), dtype=np.int32)
        if len(kinds) > 1:
            return as_they_are(self.values, self.work).rank[:-1]
        whole = self.values.whole()
        numbers = whole if pd.api.types.is_float_dtype(whole.dtype) else whole.astype("int64")
        return np.unique(numbers.to_numpy(), return_inverse=True)[1].astype(np.int32)

    def _refuse(self, code: int) -> NoReturn:
        raw, owner = self.spool.raw, self.owner
        values = self.spool.texts[owner].finish(self.spool.blocks)
        ids, _ = ids_of(values, f"{raw.where or raw.name}: column {raw.named.get(owner, owner)!r}")
        one = next(ids.write(column).iloc[code - part.start] for part, column in values if part.start <= code < part.stop)
        raise UserError(
            f"{raw.where or raw.name}: {owner} feature {self.feature.column!r} of {one!r} changes between events: "
            f"list it under context_features, or give a table with one row for each {owner}"
        )
