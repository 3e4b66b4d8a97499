"""VK-LSVD: short videos shown to users of VK from January to June 2025, with seven kinds of feedback (Poslavsky et al.).

Files of https://huggingface.co/datasets/deepvk/VK-LSVD, of the whole set or of one of its subsamples: train/week_00.parquet to
week_24, validation/week_25.parquet and, since the challenge ended, test/week_26.parquet (user_id, item_id, place, platform,
agent, timespent in seconds up to 255, and true or false for like, dislike, share, bookmark, click_on_author, open_comments), and
metadata/users_metadata.parquet (user_id, age, gender, geo), metadata/items_metadata.parquet (item_id, author_id, duration).

There are no times: a file is a week, and its rows are in order of time. Each row gets the time that it would have if a week's
rows were spread evenly over it, counted from the first week of all. The last week that is there is the declared test.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ...errors import UserError
from .files import column_of, readable
from .published import EventFile, FileEvents, Place, sources_of
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema
from .side_files import SideFiles
from .values import as_numbers

_WEEK_MS = 7 * 86_400_000
_CONTEXT = ("place", "platform", "agent")
_SIGNALS = ("like", "dislike", "share", "bookmark", "click_on_author", "open_comments")
_PARTS = ("train", "validation", "test")
_WATCHED = {0: "0-4 s", 5: "5-14 s", 15: "15-59 s", 60: "60 s and more"}
"""From how many seconds on -> what a history says of the time that was spent."""
_HOW = (
    "put train, validation and, if you have it, test of one subsample (or of interactions) and the folder metadata of "
    "https://huggingface.co/datasets/deepvk/VK-LSVD into the folder vk-lsvd of a data root, and set RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """Impressions with the label like, and the other signals as further labels.

    Raises:
        UserError: no data root, files missing from it or of another shape.
    """
    place = Place(name, ("vk-lsvd", "VK-LSVD"), _HOW)
    folder = place.folder(roots, "train/week_*.parquet")
    weeks = [path for part in _PARTS for path in sorted((folder / part).glob("week_*.parquet"))]
    held_out = [path for path in weeks if path.parent.name != "train"]
    users, items = (place.file(folder / "metadata", f"{owner}_metadata.parquet") for owner in ("users", "items"))
    last = weeks[-1] if held_out else None
    return RawLog(
        name=name,
        events=FileEvents([EventFile(path, _COLUMNS, _Week(path, _role(path, last))) for path in weeks]),
        users=SideFiles([users], "user_id", ("age", "gender", "geo")),
        items=SideFiles([items], "item_id", ("author_id", "duration")),
        schema=Schema(
            label="like",
            labels=tuple(Label(signal, signal) for signal in _SIGNALS if signal != "like"),
            action=(*_SIGNALS, "watched"),
            user_features=(Feature("age", "number"), Feature("gender"), Feature("geo")),
            item_features=(Feature("author_id"), Feature("duration", "number")),
            context_features=tuple(Feature(column) for column in _CONTEXT),
            domain=Domain("place", "feed, search, group and other places of the app"),
            time_unit="ms",
            roles=bool(held_out),
            # Of times that are made of positions: about as much as a user sees in a sitting.
            request_window=3600,
        ),
        files=sources_of([*weeks, users, items]),
        licence="Apache-2.0 (https://huggingface.co/datasets/deepvk/VK-LSVD)",
        citation=(
            "Aleksandr Poslavsky et al. 2026. VK-LSVD: A Large-Scale Industrial Dataset for Short-Video Recommendation. "
            "arXiv:2602.04567"
        ),
        default_split="declared" if held_out else "global-time",
        notes=(
            f"weeks: {', '.join(f'{path.parent.name}/{path.stem}' for path in weeks)}",
            "times are made of the week and of the place of a row within it; the hour of the day means nothing",
        ),
    )


_COLUMNS = ("user_id", "item_id", *_CONTEXT, "timespent", *_SIGNALS)


def _role(path: Path, last: Path | None) -> str:
    if path == last:
        return "test"
    return "valid" if path.parent.name == "validation" else "train"


class _Week:
    """Gives the rows of one file their times, in the order in which they come."""

    def __init__(self, path: Path, role: str) -> None:
        number = re.search(r"\d+", path.stem)
        if number is None:
            raise UserError(f"{path} has no number of its week in its name, such as week_07.parquet")
        with readable(path):
            self._rows = pq.ParquetFile(path).metadata.num_rows
        self._begin, self._role, self._read = int(number[0]) * _WEEK_MS, role, 0

    def __call__(self, block: pd.DataFrame) -> pd.DataFrame:
        place = np.arange(self._read, self._read + len(block))
        self._read += len(block)
        seconds = np.nan_to_num(as_numbers(column_of(block, "timespent")))
        step = np.searchsorted(list(_WATCHED), seconds, side="right") - 1
        return block.rename(columns={"user_id": "user", "item_id": "item"}).assign(
            time=(self._begin + place * _WEEK_MS // max(1, self._rows)).astype(str),
            watched=np.array(list(_WATCHED.values()), dtype=object)[np.maximum(step, 0)],
            role=self._role,
        )
