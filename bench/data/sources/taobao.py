"""Taobao UserBehavior: views, carts, favourites and purchases, 25 November to 3 December 2017 (Zhu et al., KDD 2018).

The file has no header: user, item, category, behaviour, time; 100,150,807 rows (https://tianchi.aliyun.com/dataset/649). Nothing
was shown without being touched, so that every row is a positive and negatives are sampled; the behaviour is the action of a past
event. A few items appear with two categories; the first in order of text counts. Rows whose time lies outside the nine days that
the publisher states (some lie in 1902) are left out and counted.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...errors import UserError
from .files import TextFormat, column_of, header_of, rows_of
from .published import EventFile, FileEvents, Place, matching, sources_of
from .schema import ALL_POSITIVE, DataRoots, Feature, RawLog, Schema
from .values import as_numbers

_COLUMNS = ("user", "item", "category", "behaviour", "time")
_BEHAVIOURS = ("pv", "cart", "fav", "buy")
_BEGIN, _END = 1511539200, 1512316800
"""25 November and 4 December 2017 in China, in seconds."""
_FOLDERS = ("taobao-userbehavior", "taobao-userbehavior-100k")
_HOW = (
    "put UserBehavior.csv of https://tianchi.aliyun.com/dataset/649 (or its first rows as small_sample.csv.gz) into the folder "
    f"{_FOLDERS[0]} of a data root, and set RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """All behaviours as positives.

    Raises:
        UserError: no data root, no such file in it, or a file of another shape.
    """
    path = _file(Place(name, _FOLDERS, _HOW), roots)
    form = TextFormat(header=False)
    if len(header_of(path, form)) != len(_COLUMNS):
        raise UserError(f"{path} must have five columns and no header: {', '.join(_COLUMNS)}")
    file = EventFile(path, [str(at) for at in range(len(_COLUMNS))], _Rows(path), form)
    return RawLog(
        name=name,
        events=FileEvents([file]),
        users=None,
        items=None,
        schema=Schema(
            label=ALL_POSITIVE,
            action=("behaviour",),
            item_features=(Feature("category"),),
            time_unit="s",
            calendar=True,
            time_zone="Asia/Shanghai",
        ),
        within={"category": "least"},
        files=sources_of([path]),
        licence="Alibaba Tianchi: research use (https://tianchi.aliyun.com/dataset/649)",
        citation=(
            "Han Zhu, Xiang Li, Pengye Zhang, Guozheng Li, Jie He, Han Li and Kun Gai. 2018. Learning Tree-based Deep Model for "
            "Recommender Systems. KDD. https://doi.org/10.1145/3219819.3219826"
        ),
        notes=(
            "every row is a positive: negatives are sampled, in training and in the test",
            "rows outside of 25 November to 3 December 2017, the publisher's days, are left out",
        ),
    )


class _Rows:
    """Names the columns of each block, refuses a behaviour that is none, and leaves out times outside of the nine days."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0

    def __call__(self, block: pd.DataFrame) -> pd.DataFrame:
        events = block.set_axis(list(_COLUMNS), axis=1)
        known = column_of(events, "behaviour").isin(_BEHAVIOURS).to_numpy()
        if not known.all():
            row = int(known.argmin())
            raise UserError(
                f"{self._path}: behaviour {events['behaviour'].iloc[row]!r} in row {self._read + row + 1} is none of "
                f"{', '.join(_BEHAVIOURS)}"
            )
        self._read += len(events)
        time = as_numbers(column_of(events, "time"))
        # What is no number at all is counted as an unreadable time later on.
        return rows_of(events, ~((time < _BEGIN) | (time >= _END)))


def _file(place: Place, roots: DataRoots) -> Path:
    for name in ("UserBehavior.csv", "small_sample.csv"):
        for folder in [roots.root / one for one in _FOLDERS] if roots.root is not None else ():
            if found := matching(folder, name):
                return found[0]
    return place.file(place.folder(roots, "UserBehavior.csv"), "UserBehavior.csv")
