"""What says which item it is, by data.item_id: the field of its id, that of its semantic id, or both."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..config import DataConfig
from ..contract import ITEM, ITEM_CODES, UNKNOWN, Field
from ..errors import UserError
from .eventlog import EventLog, Multi
from .semantic_ids.codes import ItemCodes, item_codes
from .splits import Split
from .vocabulary import FieldTable, Vocabulary, categorical


def with_item_ids(vocabulary: Vocabulary, log: EventLog, split: Split, config: DataConfig) -> Vocabulary:
    """The vocabulary whose items are known as the settings say. The id stands first, unknown for all where items have none; the
    codes stand last.

    Raises:
        UserError: nothing is left that tells of items, or codes cannot be made.
    """
    how, (usual, *features) = config.item_id, vocabulary.item
    if how == "id":
        return vocabulary
    if ITEM_CODES in (table.field.name for table in (*vocabulary.user, *features, *vocabulary.context)):
        raise UserError(f"{log.meta.name} has a feature called {ITEM_CODES}, as semantic ids are: rename it")
    nobody = FieldTable(Field(ITEM, UNKNOWN + 1), "item", np.full(log.meta.items, UNKNOWN, dtype=np.int32))
    if how == "none":
        if not features:
            raise UserError(f"data.item_id=none: models are given no side information of the items of {log.meta.name} either")
        return dataclasses.replace(vocabulary, item=(nobody, *features))
    made = item_codes(log, split.known, config)
    events, rare = split.item_events, split.item_events < config.backoff_events
    # Where no id is hidden in training, codes that stand in for ids are learned from rare items alone.
    codes = prefixes(made, np.where(rare, events, 0) if how == "backoff" and not config.unknown_rate else events)
    if how in ("codes", "both"):
        first = nobody if how == "codes" else usual
        return dataclasses.replace(vocabulary, item=(first, *features, codes), codes=made)
    frequent = np.where(rare, 0, events)
    ids = categorical(ITEM, "item", np.arange(log.meta.items), frequent)
    own, behind = _backing_off(codes, ids)
    return dataclasses.replace(vocabulary, item=(ids, *features, own), codes=made, behind_ids=behind)


def prefixes(made: ItemCodes, events: np.ndarray) -> FieldTable:
    """The semantic id as a field of several values: its first code, its first two codes, and so on, as far as items with training
    events have the same.

    A code of a finer level means something behind the coarser ones alone, hence prefixes (Zheng et al. 2025, arXiv:2504.02137).

    Args:
        events: int64 [items], of training.
    """
    trained, codes = made.has_code & (events > 0), made.codes
    ids = np.zeros(codes.shape, dtype=np.int32)
    place, size = np.zeros(len(codes), dtype=np.int64), UNKNOWN + 1
    for level in range(codes.shape[1]):
        # The rank of each prefix among those of its level: by the shorter prefix, then by the code.
        _, place = np.unique(place * (int(codes.max(initial=0)) + 1) + codes[:, level], return_inverse=True)
        seen = np.zeros(len(codes), dtype=bool)
        seen[place[trained]] = True
        ids[:, level] = np.where(made.has_code & seen[place], size - 1 + np.cumsum(seen)[place], 0)
        size += int(seen.sum())
    known = ids > 0
    return FieldTable(Field(ITEM_CODES, size, multi=True), "item", Multi(ids[known], _offsets(known.sum(1))))


def _backing_off(codes: FieldTable, ids: FieldTable) -> tuple[FieldTable, FieldTable]:
    """The codes of items without an id alone; and those of the others, by their id."""
    assert isinstance(codes.ids, Multi) and isinstance(ids.ids, np.ndarray)
    (values, offsets), without = codes.ids, ids.ids == UNKNOWN
    lengths = np.diff(offsets)
    own = Multi(values[np.repeat(without, lengths)], _offsets(lengths * without))
    item = np.argsort(ids.ids, kind="stable")[int(without.sum()) :]  # in the order of the ids, which are 2..
    behind = [values[offsets[one] : offsets[one + 1]] for one in item]
    by_id = Multi(np.concatenate([values[:0], *behind]), _offsets(np.array([0, 0, *map(len, behind)])))
    return dataclasses.replace(codes, ids=own), dataclasses.replace(codes, ids=by_id)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)])
