"""Tenrec: videos that were shown in two apps, with four kinds of feedback and no times (Yuan et al., NeurIPS 2022).

Files of https://static.qblv.qq.com/qblv/h5/algo-frontend/tenrec_dataset.html: QK-video.csv, QB-video.csv and ctr_data_1M.csv, the
benchmark's part of the first for click prediction (user_id, item_id, click, follow, like, share, video_category, watching_times,
gender, age; the last one also hist_1 to hist_10, which are not read, since nothing states that they lie before the row). The
files of articles hold clicked ones alone and are not read.

There are no times, but a user's rows stand in order: the time of a row is its place among the rows of its user, one second each.
Times of different users say nothing of each other, so that the default split is by user. Rows that repeat in the file stay.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .files import column_of
from .published import EventFile, FileEvents, Place, sources_of
from .schema import DataRoots, Feature, Label, RawLog, Schema

_SIGNALS = ("click", "follow", "like", "share")
_FILES = {"tenrec-qk-video": "QK-video.csv", "tenrec-qb-video": "QB-video.csv", "tenrec-ctr-1m": "ctr_data_1M.csv"}


def load(name: str, roots: DataRoots) -> RawLog:
    """tenrec-qk-video, tenrec-qb-video or tenrec-ctr-1m: impressions with the label click.

    Raises:
        UserError: no data root, the file missing from it, a column missing from the file.
    """
    file = _FILES[name]
    how = (
        f"put {file} of https://static.qblv.qq.com/qblv/h5/algo-frontend/tenrec_dataset.html into the folder tenrec of a data "
        "root, and set RANKBENCH_DATA to that root"
    )
    place = Place(name, ("tenrec", "Tenrec"), how)
    path = place.file(place.folder(roots, file), file)
    events = EventFile(path, ("user_id", "item_id", *_SIGNALS, "video_category", "gender", "age"), _Ordered())
    return RawLog(
        name=name,
        events=FileEvents([events]),
        users=None,
        items=None,
        schema=Schema(
            label="click",
            labels=tuple(Label(signal, signal) for signal in _SIGNALS if signal != "click"),
            action=_SIGNALS,
            user_features=(Feature("gender"), Feature("age")),
            item_features=(Feature("video_category"),),
            time_unit="s",
            # Ten rows of a user in a row: what a sitting shows.
            request_window=10,
        ),
        within={"gender": "least", "age": "least", "video_category": "least"},
        files=sources_of([path]),
        licence="CC BY-NC 4.0 and the publisher's own terms (https://github.com/yuangh-x/2022-NIPS-Tenrec)",
        citation=(
            "Guanghu Yuan, Fajie Yuan, Yudong Li, Beibei Kong, Shujie Li, Lei Chen, Min Yang, Chenyun Yu, Bo Hu, Zang Li, Yu Xu "
            "and Xiaohu Qie. 2022. Tenrec: A Large-scale Multipurpose Benchmark Dataset for Recommender Systems. NeurIPS. "
            "arXiv:2210.10629"
        ),
        default_split="per-user-time",
        notes=(
            "there are no times: a row's time is its place among the rows of its user, and only splits by user mean something",
        ),
    )


class _Ordered:
    """Gives each row its place among the rows of its user, over all blocks."""

    def __init__(self) -> None:
        self._seen = pd.Series(dtype=np.int64)

    def __call__(self, block: pd.DataFrame) -> pd.DataFrame:
        user = column_of(block, "user_id")
        before = user.map(self._seen).fillna(0).astype(np.int64)
        place = before + block.groupby("user_id", sort=False).cumcount()
        self._seen = self._seen.add(user.value_counts(), fill_value=0).astype(np.int64)
        return block.rename(columns={"user_id": "user", "item_id": "item"}).assign(time=place.astype(str))
