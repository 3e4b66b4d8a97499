"""Taobao UserBehavior: views, carts, favourites and purchases, 25 November to 3 December 2017 (Zhu et al., KDD 2018).

The file has no header: user, item, category, behaviour, time. Nothing was shown without being touched, so that every row is a
positive and negatives are sampled; the behaviour is the action of a past event. A few items appear with two categories; the
first in order of text counts.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import UserError
from .files import TextFormat, columns_of, header_of, read_text, source_file
from .schema import ALL_POSITIVE, DataRoots, Feature, RawLog, Schema

_COLUMNS = ("user", "item", "category", "behaviour", "time")
_BEHAVIOURS = ("pv", "cart", "fav", "buy")
_FOLDERS = ("taobao-userbehavior", "taobao-userbehavior-100k")
_HOW = (
    "put UserBehavior.csv of https://tianchi.aliyun.com/dataset/649 (or its first rows as small_sample.csv.gz) into the folder "
    f"{_FOLDERS[0]} of a data root, and set RANKBENCH_DATA to that root"
)


def load_taobao(roots: DataRoots) -> RawLog:
    """All behaviours as positives.

    Raises:
        UserError: no data root, no such file in it, or a file of another shape.
    """
    path = _file(roots)
    form = TextFormat(header=False)
    if len(header_of(path, form)) != len(_COLUMNS):
        raise UserError(f"{path} must have five columns and no header: {', '.join(_COLUMNS)}")
    events = read_text(path, [str(at) for at in range(len(_COLUMNS))], form).set_axis(list(_COLUMNS), axis=1)
    known = events["behaviour"].isin(_BEHAVIOURS).to_numpy()
    if not known.all():
        row = int(known.argmin())
        raise UserError(
            f"{path}: behaviour {events['behaviour'].iloc[row]!r} in row {row + 1} is none of {', '.join(_BEHAVIOURS)}"
        )
    categories = columns_of(events, ("item", "category")).dropna().drop_duplicates().sort_values("category")
    return RawLog(
        name="taobao-userbehavior",
        events=columns_of(events, ("user", "item", "time", "behaviour")),
        users=None,
        items=categories.drop_duplicates("item").set_index("item"),
        schema=Schema(
            label=ALL_POSITIVE,
            action=("behaviour",),
            item_features=(Feature("category"),),
            time_unit="s",
            calendar=True,
            time_zone="Asia/Shanghai",
        ),
        files=(source_file(path, "data root"),),
        licence="Alibaba Tianchi: research use (https://tianchi.aliyun.com/dataset/649)",
        citation=(
            "Han Zhu, Xiang Li, Pengye Zhang, Guozheng Li, Jie He, Han Li and Kun Gai. 2018. Learning Tree-based Deep Model for "
            "Recommender Systems. KDD. https://doi.org/10.1145/3219819.3219826"
        ),
        notes=("every row is a positive: negatives are sampled, in training and in the test",),
    )


def _file(roots: DataRoots) -> Path:
    if roots.root is None:
        raise UserError(f"taobao-userbehavior needs a data root: {_HOW}")
    for folder in _FOLDERS:
        for stem in ("UserBehavior.csv", "small_sample.csv"):
            for path in (roots.root / folder / stem, roots.root / folder / f"{stem}.gz"):
                if path.is_file():
                    return path
    raise UserError(f"{roots.root / _FOLDERS[0]} has no UserBehavior.csv: {_HOW}")
