"""Events of a log as a client would ask for them: users, items, actions and context by their names in the source data."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .dataset import RankingData
from .eventlog import Multi
from .told import PastEvent


@dataclass(frozen=True)
class Asked:
    """The request of a logged event, in names."""

    user: str
    time: int
    """Milliseconds since 1970: from when the request looks back."""
    context: dict[str, str]
    item: str
    """What the event is about."""


class AskedOf:
    """Of one data set; dictionaries are read once."""

    def __init__(self, data: RankingData) -> None:
        self.data = data
        self._texts = functools.cache(data.log.dictionary)
        self._feature = functools.cache(data.log.feature)

    def request(self, event: int) -> Asked:
        """What the request of an event says, without its past."""
        log, user = self.data.log, int(self.data.log.user_of(np.array([event]))[0])
        time = int(self.data.request_start[event])
        return Asked(str(self._texts("user")[user]), time, self.context(event), self.item(int(log.item[event])))

    def past(self, event: int) -> list[PastEvent]:
        """All that the user did before the request of an event, whatever of it the model reads."""
        log = self.data.log
        begin = int(log.user_offsets[log.user_of(np.array([event]))[0]])
        return [
            PastEvent(
                self.item(int(log.item[at])),
                int(log.time[at]),
                bool(log.label[at]),
                str(self._texts("action")[log.action[at]]),
                self.context(at),
            )
            for at in range(begin, int(self.data.hi[event]))
        ]

    def item(self, code: int) -> str:
        """The name of an item of the log."""
        return str(self._texts("item")[code])

    def context(self, event: int) -> dict[str, str]:
        """Logged context of an event, as far as it is not missing."""
        known = {table.field.name for table in self.data.vocabulary.context}
        found = {}
        for _, feature in self.data.log.meta.features:
            if feature.column in known:
                found[feature.column] = self._text(feature.column, feature.kind, feature.separator, event)
        return {name: text for name, text in found.items() if text is not None}

    def _text(self, column: str, kind: str, separator: str, event: int) -> str | None:
        values = self._feature(column)
        if isinstance(values, Multi):
            codes = values.values[values.offsets[event] : values.offsets[event + 1]]
            return separator.join(str(self._texts(f"feature.{column}")[code]) for code in codes)
        if kind == "number":
            return None if np.isnan(values[event]) else repr(float(values[event]))
        return str(self._texts(f"feature.{column}")[values[event]])
