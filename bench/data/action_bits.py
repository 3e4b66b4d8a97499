"""What actions are made of: an action is a combination of columns, and each value of one is a single thing that a user did."""

from __future__ import annotations

import numpy as np

from ..contract import UNKNOWN
from .columns import blocks
from .eventlog import EventLog
from .vocabulary import Vocabulary

_NOTHING = ("", "0")
"""In a column of flags: not done. In a column of several values, 0 is one of them."""


def action_bits(log: EventLog, vocabulary: Vocabulary) -> tuple[tuple[int, ...], ...]:
    """Of each id of the actions: which bits are set, numbered in the order of columns and values; padding and unknown have none.

    A column that is 0 or 1 is one bit, as of KuaiRand's clicks and likes; any other has a bit for each value, as of stars.
    """
    texts = [str(text) for text in log.dictionary("action")]
    columns = 1 + min((text.count("|") for text in texts), default=0)
    words = [text.split("|", columns - 1) for text in texts]
    bits: dict[tuple[int, str], int] = {}
    for column in range(columns):
        values = sorted({word[column] for word in words})
        flags = set(values) <= {*_NOTHING, "1"}
        for value in values:
            if value and not (flags and value in _NOTHING):
                bits[column, value] = len(bits)
    name = np.zeros(len(words), dtype=np.int64)
    for block in blocks(log.meta.events):
        name[log.action[block]] = vocabulary.action_of_event[block]
    found: list[tuple[int, ...]] = [()] * vocabulary.action.field.size
    for code in np.flatnonzero(name > UNKNOWN):
        found[name[code]] = tuple(bits[part] for part in enumerate(words[code]) if part in bits)
    return tuple(found)
