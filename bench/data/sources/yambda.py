"""Yambda: ten months of listening to music, with likes, dislikes and their withdrawal (Ploshkin et al., 2025).

The flat files of https://huggingface.co/datasets/yandex/yambda: multi_event.parquet of 50m, 500m or 5b (uid, timestamp, item_id,
is_organic, played_ratio_pct, track_length_seconds, event_type), artist_item_mapping.parquet (artist_id, item_id) and
album_item_mapping.parquet (album_id, item_id). Timestamps are seconds since a start of their own, in steps of five.

A listen is an example, and its label says that half of the track or more was played (the publisher's Listen+). Likes, dislikes,
unlikes and undislikes are seen in histories alone. What was played and what was clicked are outcomes; whether the track came from
a recommendation (is_organic 0) is known when it begins, and is the domain.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from .files import column_of
from .published import EventFile, FileEvents, Place, sources_of
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema
from .side_files import SideFiles, SideParts
from .values import as_numbers, as_text

_LISTEN_PLUS = 50
"""Percent of a track that must be played."""
_EVENT_NAMES = {"uid": "user", "item_id": "item", "timestamp": "time"}
_OF_TRACK = ("artist", "album")
"""Of which a track may have several."""
_COLUMNS = [*_EVENT_NAMES, "is_organic", "event_type", "played_ratio_pct", "track_length_seconds"]


def load(name: str, roots: DataRoots) -> RawLog:
    """yambda-50m, yambda-500m or yambda-5b: listens as examples.

    Raises:
        UserError: no data root, files missing from it, a column missing from a file.
    """
    size = name.removeprefix("yambda-")
    how = (
        f"put flat/{size}/multi_event.parquet, artist_item_mapping.parquet and album_item_mapping.parquet of "
        f"https://huggingface.co/datasets/yandex/yambda into the folder {name} of a data root, and set RANKBENCH_DATA to that "
        "root"
    )
    place = Place(name, (name, f"{name}/flat/{size}", f"yambda/flat/{size}"), how)
    folder = place.folder(roots, "multi_event.parquet")
    listens = place.file(folder, "multi_event.parquet")
    home = folder.parent.parent if folder.parent.name == "flat" else folder
    mappings = {owner: place.file(home, f"{owner}_item_mapping.parquet") for owner in _OF_TRACK}
    return RawLog(
        name=name,
        events=FileEvents([EventFile(listens, _COLUMNS, _shape)]),
        users=None,
        items=SideParts([_mapping(path, owner) for owner, path in mappings.items()], repeated="all"),
        within={"track_length_seconds": "least"},
        schema=Schema(
            label="played_ratio_pct >= 50",
            labels=(Label("like", "behaviour == like"),),
            action=("behaviour",),
            item_features=(
                Feature("artist", "multi"),
                Feature("album", "multi"),
                Feature("track_length_seconds", "number"),
            ),
            context_features=(Feature("is_organic"),),
            domain=Domain("is_organic", "0: the track was recommended, 1: the user had looked for it"),
            time_unit="s",
            roles=True,
            # As the publisher of the industry's benchmark cuts sessions: half an hour.
            request_window=1800,
        ),
        files=sources_of([listens, *mappings.values()]),
        licence="Apache-2.0 (https://huggingface.co/datasets/yandex/yambda)",
        citation=(
            "Alexander Ploshkin et al. 2025. Yambda-5B: A Large-Scale Multi-modal Dataset for Ranking And Retrieval. "
            "arXiv:2505.22238"
        ),
        notes=(
            "examples are listens; likes, dislikes and their withdrawal are seen in histories alone",
            "times count from a start of their own, in steps of five seconds; the hour of the day means nothing",
            "of a listen and a like of one track within the same five seconds the listen is kept",
        ),
    )


def _shape(block: pd.DataFrame) -> pd.DataFrame:
    kind = column_of(block, "event_type")
    played = as_numbers(column_of(block, "played_ratio_pct"))
    listen = (kind == "listen").to_numpy(dtype=bool, na_value=False)
    outcome = np.where(played >= _LISTEN_PLUS, "listen_plus", "skip")
    return block.rename(columns=_EVENT_NAMES).assign(
        role=np.where(listen, "", "history"),
        behaviour=np.where(listen, outcome, kind.fillna("")),
        is_organic=as_text(column_of(block, "is_organic")),
    )


def _mapping(path: Path, owner: str) -> SideFiles:
    """Artists or albums of tracks, one a row."""
    return SideFiles([path], "item_id", _OF_TRACK, _of_track(owner), read=["item_id", f"{owner}_id"], repeated="all")


def _of_track(owner: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The shape of a block that says nothing of the other."""

    def shape(block: pd.DataFrame) -> pd.DataFrame:
        nothing = dict.fromkeys(_OF_TRACK, pd.Series(dtype="str"))
        return block.assign(**nothing | {owner: block[f"{owner}_id"]})

    return shape
