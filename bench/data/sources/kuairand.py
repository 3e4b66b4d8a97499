"""KuaiRand-Pure: impressions of short videos with eight feedback signals (Gao et al., CIKM 2022), in the publisher's columns.

What happens after the impression (play time, stay times, the other feedback) is an outcome: it is visible in past events as
their action, and never context of the event itself. `tab` is the scenario of the app in which the video was shown.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...errors import UserError
from .files import read_columns, source_file
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema

_FEEDBACK = ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view", "is_profile_enter")

_USER_FEATURES = (
    "user_active_degree",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{number}" for number in (0, 1, 2, 4, 6, 7, 8, 9, 10, 11)),
)
"""Left out: exact counts (their ranges are here), is_lowactive_period (constant), onehot_feat3 (1,471 values, nearly an id),
5 (one value in 99% of users) and 12 to 17 (flags of a few percent)."""

_ITEM_FEATURES = (
    Feature("author_id"),
    Feature("video_type"),
    Feature("upload_type"),
    Feature("music_type"),
    Feature("tag", "multi", ","),
    Feature("video_duration", "number"),
)

_FOLDERS = ("kuairand-pure", "kuairand-pure/data", "KuaiRand-Pure/data")
_HOW = (
    "download KuaiRand-Pure.tar.gz from https://zenodo.org/records/10439422, unpack it, put the csv files of its data folder "
    "into the folder kuairand-pure of a data root, and set RANKBENCH_DATA to that root"
)


def load_kuairand_pure(roots: DataRoots) -> RawLog:
    """The standard (not randomised) exposure log, one or more parts in order of their names; label is_click.

    Raises:
        UserError: no data root, files missing from it, a column missing from a file.
    """
    folder, parts = _parts(roots)
    user_file = _file(folder, "user_features_pure")
    video_file = _file(folder, "video_features_basic_pure")
    columns = ["user_id", "video_id", "time_ms", "tab", *_FEEDBACK]
    events = pd.concat([read_columns(part, columns) for part in parts], ignore_index=True)
    return RawLog(
        name="kuairand-pure",
        events=events.rename(columns={"user_id": "user", "video_id": "item", "time_ms": "time"}),
        users=_by_id(user_file, "user_id", _USER_FEATURES),
        items=_by_id(video_file, "video_id", tuple(feature.column for feature in _ITEM_FEATURES)),
        schema=Schema(
            label="is_click",
            labels=tuple(Label(column.removeprefix("is_"), column) for column in _FEEDBACK if column != "is_click"),
            action=_FEEDBACK,
            user_features=tuple(Feature(column) for column in _USER_FEATURES),
            item_features=_ITEM_FEATURES,
            context_features=(Feature("tab"),),
            domain=Domain("tab", "scenario of the app in which the video was shown"),
            time_unit="ms",
            calendar=True,
            time_zone="Asia/Shanghai",
            # The log is thin, five events of a user in the median, hours apart: only a local day holds several to rank.
            request_window=86_400,
        ),
        files=tuple(source_file(path, "data root") for path in (*parts, user_file, video_file)),
        licence="CC BY-SA 4.0 (https://zenodo.org/records/10439422)",
        citation=(
            "Chongming Gao, Shijun Li, Yuan Zhang, Jiawei Chen, Biao Li, Wenqiang Lei, Peng Jiang and Xiangnan He. 2022. "
            "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos. CIKM. "
            "https://doi.org/10.1145/3511808.3557624"
        ),
        notes=(
            f"parts: {', '.join(part.name for part in parts)}",
            "user features are one snapshot by the publisher; whether it was taken before the first event is not documented",
        ),
    )


def _parts(roots: DataRoots) -> tuple[Path, list[Path]]:
    """The first known folder that holds parts of the log, and the parts; a part that is there twice counts once."""
    if roots.root is None:
        raise UserError(f"kuairand-pure needs a data root: {_HOW}")
    for name in _FOLDERS:
        folder = roots.root / name
        by_stem = {path.name.removesuffix(".gz"): path for path in sorted(folder.glob("log_standard_*_pure.csv.gz"))}
        by_stem |= {path.name: path for path in sorted(folder.glob("log_standard_*_pure.csv"))}
        if by_stem:
            return folder, [by_stem[stem] for stem in sorted(by_stem)]
    raise UserError(f"{roots.root / _FOLDERS[0]} has no log_standard_*_pure.csv or .csv.gz: {_HOW}")


def _file(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.csv", f"{stem}.csv.gz"):
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} has no {stem}.csv or .csv.gz: {_HOW}")


def _by_id(path: Path, key: str, columns: tuple[str, ...]) -> pd.DataFrame:
    return read_columns(path, [key, *columns]).set_index(key)
