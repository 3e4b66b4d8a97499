"""Alibaba's big-data contest of 2014: clicks, purchases, favourites and carts of brands in a mobile shop.

One file, t_alibaba_data.csv (user_id, brand_id, type, visit_datetime as month-day of 2014): type 0 is a click, 1 a purchase, 2 a
favourite, 3 a cart. As in taobao-userbehavior, nothing was logged that the user did not touch: every row is a positive, negatives
are sampled, and the behaviour is the action of a past event. Several equal rows of a day are real, but one user, brand and day
is one event here, a purchase before all else; the order within a day is not known.
"""

from __future__ import annotations

import pandas as pd

from .files import column_of
from .published import EventFile, FileEvents, Place, sources_of
from .schema import ALL_POSITIVE, DataRoots, RawLog, Schema

_BEHAVIOURS = {"0": "click", "1": "buy", "2": "favourite", "3": "cart"}
_HOW = (
    "put t_alibaba_data.csv (or .csv.gz) of the contest into the folder alibaba-mobile-2014 of a data root, and set "
    "RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """All behaviours as positives.

    Raises:
        UserError: no data root, no such file in it, a column missing from it.
    """
    place = Place(name, ("alibaba-mobile-2014",), _HOW)
    path = place.file(place.folder(roots, "t_alibaba_data.csv"), "t_alibaba_data.csv")
    return RawLog(
        name=name,
        events=FileEvents([EventFile(path, ["user_id", "brand_id", "type", "visit_datetime"], _shape)]),
        users=None,
        items=None,
        schema=Schema(
            label=ALL_POSITIVE,
            action=("behaviour",),
            time_unit="datetime",
            time_format="%Y-%m-%d",
            calendar=True,
            time_zone="Asia/Shanghai",
        ),
        files=sources_of([path]),
        licence="contest data of Alibaba (2014): research use",
        citation="Alibaba. 2014. Alibaba Big Data Competition, Tmall Recommendation Prize. Tianchi",
        notes=(
            "every row is a positive: negatives are sampled, in training and in the test",
            "times are days of 2014: of equal user, brand and day one row is kept",
        ),
    )


def _shape(block: pd.DataFrame) -> pd.DataFrame:
    day = "2014-" + column_of(block, "visit_datetime")
    kind = column_of(block, "type")
    return pd.DataFrame(
        {
            "user": block["user_id"],
            "item": block["brand_id"],
            "time": day,
            "behaviour": kind.map(_BEHAVIOURS).fillna(kind),
        }
    )
