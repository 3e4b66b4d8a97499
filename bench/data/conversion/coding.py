"""From values of a spool to codes of the log, which follow the order of the values as texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..content import encoded, in_digits, key_of_digits, text_of_key
from ..sources.values import Ids, Wording
from .dictionary import Values
from .merge import TextFile, Texts, merge_runs, read_texts, write_run

AS_THEY_ARE = Wording(whole=False, dotted=False, flags=False)
"""Of texts that stay what they are."""


@dataclass
class Codes:
    """From codes of a spool to those of the log."""

    rank: np.ndarray
    """int32 [distinct values + 1]: code of the log by code of the spool; the last is that of a missing value."""
    texts: Texts
    """Text by code of the log, sorted."""


def ids_of(values: Values, name: str) -> tuple[Ids, np.ndarray]:
    """How ids are written, and which are empty: bool [distinct values + 1], the last for a missing one.

    Raises:
        UserError: ids that fell together, or would.
    """
    ids, empty = Ids(name), np.ones(len(values) + 1, dtype=bool)
    for _, column in values:
        ids.note(column)
    for part, column in values:
        text = ids.write(column)
        empty[:-1][part] = (text.isna() | (text == "")).to_numpy(dtype=bool)
    if ids.padded:
        for _, column in values:
            ids.look_again(ids.wording.write(column))
    return ids, empty


def wording_of(values: Values, used: np.ndarray) -> Wording:
    """How the used among the values are written."""
    wording = Wording()
    for part, column in values:
        wording.note(cast(pd.Series, column[used[:-1][part]]))
    return wording


def coded(values: Values, wording: Wording, used: np.ndarray, path: Path) -> Codes:
    """Codes of the values that are used, a missing one as an empty text.

    Args:
        used: bool [distinct values + 1], the last for a missing value.
        path: where the texts may be kept; other files begin with its name.
    """

    def texts() -> Iterator[tuple[np.ndarray, pa.Array]]:
        """Positions in `used`, and their texts."""
        for part, column in values:
            chosen = np.flatnonzero(used[:-1][part])
            text = wording.write(cast(pd.Series, column.iloc[chosen])).fillna("")
            yield part.start + chosen, _array(text)
        if used[-1]:
            yield np.array([len(used) - 1]), pa.array([""], type=pa.large_string())

    numbers = all(in_digits(text) for _, text in texts())
    key: Callable[[pa.Array], pa.Array] = key_of_digits if numbers else lambda text: text
    runs, codes, places = [], [], []
    for at, (place, text) in enumerate(texts()):
        runs.append(path.with_name(f"{path.name}.{at}.run"))
        codes.append(path.with_name(f"{path.name}.{at}.npy"))
        places.append((place, write_run(key(text), runs[-1])))
    keys = path.with_name(f"{path.name}.keys")
    merge_runs(runs, keys, codes)
    rank = np.full(len(used), -1, dtype=np.int32)
    for (place, local), translation in zip(places, codes, strict=True):
        rank[place] = np.load(translation)[local]
    file = TextFile(path)
    for batch in read_texts(keys):
        file.write(text_of_key(batch) if numbers else batch)
    file.close()
    return Codes(rank, Texts(path))


def as_they_are(values: Values, path: Path) -> Codes:
    """Codes of all values as texts that stay what they are.

    Args:
        path: as for `coded`.
    """
    used = np.ones(len(values) + 1, dtype=bool)
    used[-1] = False
    return coded(values, AS_THEY_ARE, used, path)


def coded_words(text: pd.Series) -> Codes:
    """Codes of texts that are few, none missing."""
    found = encoded(text)
    return Codes(found.codes.astype(np.int32), Texts(found.categories.to_numpy(dtype=object)))


def _array(text: pd.Series) -> pa.Array:
    array = pa.array(text, type=pa.large_string())
    return pc.call_function("coalesce", [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array, ""])
