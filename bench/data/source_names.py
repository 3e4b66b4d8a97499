"""What names in the source data stand for: codes of the log, ids of a model. Each is looked up in an index that is made once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..contract import UNKNOWN, Ids, Jagged
from ..errors import UserError
from .columns import Column
from .eventlog import Multi
from .vocabulary import FieldTable

if TYPE_CHECKING:
    from .dataset import RankingData


class SourceNames:
    """Of one data set, for requests from outside; indexes are made when they are first asked for."""

    def __init__(self, data: RankingData) -> None:
        self.data = data
        self._feature = functools.cache(data.log.feature)
        self._kind = {feature.column: feature for _, feature in data.log.meta.features}
        self._codes: dict[str, dict[str, int]] = {}
        self._ids: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def codes(self, dictionary: str, names: Sequence[str]) -> np.ndarray:
        """int64 [n]: codes of the log, -1 for what it does not know.

        Args:
            dictionary: `user`, `item`, `action`, or `feature.` and the column of a categorical feature.
        """
        if dictionary not in self._codes:
            self._codes[dictionary] = {str(name): code for code, name in enumerate(self.data.log.dictionary(dictionary))}
        known = self._codes[dictionary]
        return np.array([known.get(name, -1) for name in names], dtype=np.int64)

    def action_ids(self, names: Sequence[str]) -> np.ndarray:
        """int32 [n]: what is told of the user's action at past events; `unknown` for one that training events never had."""
        vocabulary = self.data.vocabulary
        return self._ids_of("action", self.codes("action", names), self.data.log.action, vocabulary.action_of_event)

    def context_row(self, table: FieldTable, text: str | None) -> Ids:
        """One row of ids of a logged context field; a value that training events never had is unknown, and so is None.

        Raises:
            UserError: a numeric field, and a text that is no number.
        """
        name = table.field.name
        feature, values = self._kind[name], self._feature(name)
        if feature.kind == "number":
            assert not isinstance(values, Multi) and not isinstance(table.ids, Multi)
            return torch.tensor([self._bin_of(values, table.ids, name, text)])
        parts = [text or ""] if feature.kind == "category" else [part for part in (text or "").split(feature.separator) if part]
        codes = self.codes(f"feature.{name}", parts)
        every_code = values.values if isinstance(values, Multi) else values
        every_id = table.ids.values if isinstance(table.ids, Multi) else table.ids
        row = torch.from_numpy(self._ids_of(name, codes, every_code, every_id).astype(np.int64))
        return Jagged(row, torch.tensor([0, len(row)])) if table.field.multi else row

    def _ids_of(self, name: str, codes: np.ndarray, every_code: Column, every_id: Column) -> np.ndarray:
        """int32 [n]: the id of a code is that of any event which has it."""
        if name not in self._ids:
            code, first = np.unique(np.asarray(every_code), return_index=True)
            self._ids[name] = code, np.asarray(every_id[first])
        return _found(codes, *self._ids[name])

    def _bin_of(self, values: np.ndarray, ids: Column, name: str, text: str | None) -> int:
        """Edges of bins are observed values, so that the largest observed value up to a number lies in the number's bin."""
        if text is None:
            return UNKNOWN
        try:
            number = float(text)
        except ValueError:
            raise UserError(f"context field {name} is a number, not {text!r}") from None
        if name not in self._ids:
            value, first = np.unique(np.asarray(values), return_index=True)
            seen = np.isfinite(value)
            self._ids[name] = value[seen], np.asarray(ids[first[seen]])
        value, bins = self._ids[name]
        if not math.isfinite(number) or not len(value):
            return UNKNOWN
        return int(bins[max(int(np.searchsorted(value, np.float32(number), side="right")) - 1, 0)])


def _found(codes: np.ndarray, known: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """int32 [n]: ids of codes, by `known` in ascending order; `unknown` where a code is not among them."""
    if not len(known):
        return np.full(len(codes), UNKNOWN, dtype=np.int32)
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[place] == codes, ids[place], UNKNOWN).astype(np.int32)
