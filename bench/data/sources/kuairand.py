"""KuaiRand: impressions of short videos with eight feedback signals in fifteen scenarios of an app (Gao et al., CIKM 2022).

Files, columns and sizes are those that the publisher's page states (https://github.com/chongminggao/KuaiRand): a standard log in
two parts of time, in 27K each in two files; a log of videos that were exposed at random; tables of users and videos. Pure,
1K and 27K differ in which users and videos they hold. The statistics of videos are left out: they count what happens until the
end of the log.

What happens after the impression (play time, stay times, the other feedback) is an outcome: it is visible in past events as
their action, and never context of the event itself. `tab` is the scenario of the app in which the video was shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ...errors import UserError
from .files import column_of
from .published import EventFile, FileEvents, Place, matching, renamed, sources_of
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema
from .side_files import SideFiles
from .values import as_numbers

_FEEDBACK = ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view", "is_profile_enter")
_EVENT_NAMES = {"user_id": "user", "video_id": "item", "time_ms": "time"}

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

Test = Literal["later", "random", "dates"]
"""What the test is. later: none is declared. random: what was exposed at random, after the part of the log that is learned
from. dates: the standard log from 29 April, as for others' long_view (protocols.py)."""


@dataclass(frozen=True)
class _Version:
    suffix: str
    """Of the file names."""
    archive: str
    md5: str
    """Of the archive, as Zenodo states it."""
    window: float
    """Seconds of a request."""


_VERSIONS = {
    # The log is thin, five events of a user in the median, hours apart: only a local day holds several to rank.
    "kuairand-pure": _Version("pure", "KuaiRand-Pure", "0820331067a3784d9691136f772b35a7", 86_400),
    # All that a user saw is here, some hundred videos a day: within ten minutes there are several.
    "kuairand-1k": _Version("1k", "KuaiRand-1K", "6b0b9c8222d67fcd4c676218edca3f1f", 600),
    "kuairand-27k": _Version("27k", "KuaiRand-27K", "3e3c799a24e2d23a4d2c757fbf9adf59", 600),
}
_TESTS: dict[str, Test] = {"-random": "random", "-long-view": "dates"}


def load(name: str, roots: DataRoots) -> RawLog:
    """kuairand-pure, kuairand-1k or kuairand-27k: the standard log, or with `-random` or `-long-view` behind it, see Test.

    Raises:
        UserError: no data root, files missing from it, a column missing from a file.
    """
    base = next(version for version in _VERSIONS if name.startswith(version))
    version, test = _VERSIONS[base], _TESTS.get(name.removeprefix(base), "later")
    place = Place(name, (base, f"{base}/data", f"{version.archive}/data"), _how(base, version))
    folder = place.folder(roots, f"log_standard_*_{version.suffix}*.csv")
    parts = matching(folder, f"log_standard_*_{version.suffix}*.csv")
    user_file = place.file(folder, f"user_features_{version.suffix}.csv")
    video_file = place.file(folder, f"video_features_basic_{version.suffix}.csv")
    events = _events(place, folder, parts, version, test)
    label = "long_view" if test == "dates" else "is_click"
    random = "what was exposed at random is the test; the standard log of its days is seen in histories alone"
    by_date = "training up to 21 April, validation 22 to 28 April, test from 29 April, by the publisher's dates"
    return RawLog(
        name=name,
        events=FileEvents(events),
        users=SideFiles([user_file], "user_id", _USER_FEATURES, repeated="refused"),
        items=SideFiles([video_file], "video_id", [feature.column for feature in _ITEM_FEATURES], repeated="refused"),
        schema=Schema(
            label=label,
            labels=tuple(Label(column.removeprefix("is_"), column) for column in _FEEDBACK if column != label),
            action=_FEEDBACK,
            user_features=tuple(Feature(column) for column in _USER_FEATURES),
            item_features=_ITEM_FEATURES,
            context_features=(Feature("tab"),),
            domain=Domain("tab", "scenario of the app in which the video was shown"),
            roles=test != "later",
            time_unit="ms",
            calendar=True,
            time_zone="Asia/Shanghai",
            request_window=version.window,
        ),
        files=sources_of([*(file.path for file in events), user_file, video_file]),
        licence="CC BY-SA 4.0 (https://zenodo.org/records/10439422)",
        citation=(
            "Chongming Gao, Shijun Li, Yuan Zhang, Jiawei Chen, Biao Li, Wenqiang Lei, Peng Jiang and Xiangnan He. 2022. "
            "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos. CIKM. "
            "https://doi.org/10.1145/3511808.3557624"
        ),
        default_split="global-time" if test == "later" else "declared",
        notes=(
            f"parts: {', '.join(file.path.name for file in events)}",
            "user features are one snapshot by the publisher; whether it was taken before the first event is not documented",
            *{"random": (random,), "dates": (by_date,), "later": ()}[test],
        ),
    )


def _events(place: Place, folder: Path, parts: list[Path], version: _Version, test: Test) -> list[EventFile]:
    columns = [*_EVENT_NAMES, "tab", *_FEEDBACK]
    if test == "later":
        return [EventFile(path, columns, renamed(_EVENT_NAMES)) for path in parts]
    if test == "dates":
        return [EventFile(path, [*columns, "date"], _by_date) for path in parts]
    early = [path for path in parts if path.name.startswith("log_standard_4_08_to_4_21_")]
    if not early:
        raise UserError(f"{folder} has no log_standard_4_08_to_4_21_{version.suffix}*.csv, which {place.name} learns from")
    random = place.file(folder, f"log_random_4_22_to_5_08_{version.suffix}.csv")
    roles = [(path, "train" if path in early else "history") for path in parts]
    return [EventFile(path, columns, renamed(_EVENT_NAMES, role=role)) for path, role in [*roles, (random, "test")]]


def _by_date(block: pd.DataFrame) -> pd.DataFrame:
    """Parts of the log by its own column of dates, YYYYMMDD in China."""
    date = as_numbers(column_of(block, "date"))
    role = np.select([date <= 20220421, date <= 20220428], ["train", "valid"], default="test")
    return block.drop(columns="date").rename(columns=_EVENT_NAMES).assign(role=role)


def _how(base: str, version: _Version) -> str:
    return (
        f"download {version.archive}.tar.gz (md5 {version.md5}) from https://zenodo.org/records/10439422, unpack it, put the csv "
        f"files of its data folder into the folder {base} of a data root, and set RANKBENCH_DATA to that root"
    )
