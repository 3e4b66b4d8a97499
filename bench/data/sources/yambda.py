"""Yambda: ten months of listening to music, with likes, dislikes and their withdrawal (Ploshkin et al., 2025).

The flat files of https://huggingface.co/datasets/yandex/yambda: multi_event.parquet of 50m, 500m or 5b (uid, timestamp, item_id,
is_organic, played_ratio_pct, track_length_seconds, event_type), artist_item_mapping.parquet (artist_id, item_id) and
album_item_mapping.parquet (album_id, item_id). Timestamps are seconds since a start of their own, in steps of five.

A listen is an example, and its label says that half of the track or more was played (the publisher's Listen+). Likes, dislikes,
unlikes and undislikes are seen in histories alone. What was played and what was clicked are outcomes; whether the track came from
a recommendation (is_organic 0) is known when it begins, and is the domain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from .files import column_of, read_blocks, rows_of
from .published import EventFile, FileEvents, OwnFeatures, Place, sources_of
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema
from .values import as_numbers, as_text

_LISTEN_PLUS = 50
"""Percent of a track that must be played."""
_EVENT_NAMES = {"uid": "user", "item_id": "item", "timestamp": "time"}
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
    mappings = {owner: place.file(home, f"{owner}_item_mapping.parquet") for owner in ("artist", "album")}
    return RawLog(
        name=name,
        events=_Tracks(
            [EventFile(listens, _COLUMNS, _shape)],
            {"item": OwnFeatures("item", ["track_length_seconds"])},
            mappings=mappings,
        ),
        users=None,
        items=None,
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


@dataclass
class _Tracks(FileEvents):
    """Events, and the artists and albums of their tracks, of which each may have several."""

    mappings: dict[str, Path] = field(default_factory=dict)

    def finish(self, raw: RawLog) -> RawLog:
        """The log with artists, albums and lengths of its tracks."""
        raw = super().finish(raw)
        assert isinstance(raw.items, pd.DataFrame), "lengths of tracks stand in the events"
        names = {owner: _joined(path, f"{owner}_id", raw.items.index) for owner, path in self.mappings.items()}
        return replace(raw, items=raw.items.assign(**names))


def _joined(path: Path, column: str, items: pd.Index) -> pd.Series:
    """The ids of each of these items, in order of their numbers, with a space between them."""
    parts = [rows_of(block, column_of(block, "item_id").isin(items)) for block in read_blocks(path, ["item_id", column])]
    pairs = pd.concat(parts, ignore_index=True).drop_duplicates()
    ordered = pairs.assign(number=as_numbers(column_of(pairs, column))).sort_values(["item_id", "number"], kind="stable")
    return cast(pd.Series, ordered.groupby("item_id", sort=False)[column].agg(" ".join)).reindex(items)
