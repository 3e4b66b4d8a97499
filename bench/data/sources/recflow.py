"""RecFlow: short videos that a recommender showed, and what its stages had dropped before (Liu et al., ICLR 2025).

Files and columns as https://github.com/RecFlow-ICLR/RecFlow states them: a feather file a day, 2024-01-13 to 2024-02-18, in the
folders realshow (what was shown) and all_stage (also what ranking, coarse ranking and pre-ranking dropped). What was shown is
read: a row is a video, a request is one answer of the recommender, and the label is effective_view, 30% of the video or more.
Ranks within the stages are the recommender's own answer and no input; playing time and feedback are outcomes. What the stages
dropped was never seen by the user and is not read.
"""

from __future__ import annotations

from .published import EventFile, FileEvents, Place, matching, renamed, sources_of
from .schema import DataRoots, Feature, Label, RawLog, Schema

_EVENT_NAMES = {"user_id": "user", "video_id": "item", "request_timestamp": "time", "request_id": "request"}
_SIGNALS = ("effective_view", "long_view", "like", "follow", "forward", "comment")
_OF_VIDEO = ("author_id", "category_level_one", "category_level_two", "upload_type", "duration")
_CONTEXT = ("device_id", "age", "gender", "province")
"""They stand in every row and may change; a user has several devices."""
_HOW = (
    "put the folder realshow of https://github.com/RecFlow-ICLR/RecFlow (USTC Drive) into the folder recflow of a data root, and "
    "set RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """What was shown, with the label effective_view.

    Raises:
        UserError: no data root, no day in it, a column missing from a file.
    """
    folder = Place(name, ("recflow/realshow", "RecFlow/realshow"), _HOW).folder(roots, "*.feather")
    days = matching(folder, "*.feather")
    columns = (*_EVENT_NAMES, *_CONTEXT, *_OF_VIDEO, *_SIGNALS)
    return RawLog(
        name=name,
        events=FileEvents([EventFile(path, columns, renamed(_EVENT_NAMES)) for path in days]),
        users=None,
        items=None,
        schema=Schema(
            label="effective_view",
            labels=tuple(Label(signal, signal) for signal in _SIGNALS if signal != "effective_view"),
            action=_SIGNALS,
            item_features=tuple(Feature(column, "number" if column == "duration" else "category") for column in _OF_VIDEO),
            context_features=tuple(Feature(column) for column in _CONTEXT),
            time_unit="ms",
            calendar=True,
            time_zone="Asia/Shanghai",
            request_ids=True,
        ),
        within=dict.fromkeys(_OF_VIDEO, "least"),
        files=sources_of(days),
        licence="CC BY-SA 4.0 (https://github.com/RecFlow-ICLR/RecFlow)",
        citation=(
            "Qi Liu, Kai Zheng, Rui Huang, Wuchao Li, Kuo Cai, Yuan Chai, Yanan Niu, Yiqun Hui, Bing Han, Na Mou, Hongning Wang, "
            "Wentian Bao, Yun En Yu, Guorui Zhou, Han Li, Yang Song, Defu Lian and Kun Gai. 2025. RecFlow: An Industrial Full "
            "Flow Recommendation Dataset. ICLR. arXiv:2410.20868"
        ),
        notes=(f"days: {days[0].stem} to {days[-1].stem}, {len(days)} files", "what earlier stages dropped is not read"),
    )
