"""Versions are counted, dated, hashed one upon the other, and compared by track."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from rankbench.bench.errors import UserError
from rankbench.bench.public.versions import Versions, load
from support.public import VERSION

PLACE = ("toy", "global-time")


def read(root: Path, *entries: dict[str, Any]) -> Versions:
    (root / "versions.yaml").write_text(yaml.dump([plain(entry) for entry in entries], Dumper=yaml.SafeDumper))
    return load(root)


def plain(entry: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(entry)
    for track in made["tracks"]:
        track["data"] = {key: list(value) if isinstance(value, tuple) else value for key, value in track["data"].items()}
    return made


def after(number: int, comparable: list[int], tracks: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    return {**VERSION, "version": number, "comparable": comparable, "tracks": tracks or [], "date": "2026-02-01", **changes}


def other_track(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(VERSION["tracks"][0]), **changes}


def test_a_later_version_keeps_tracks_and_says_which_may_be_compared(tmp_path: Path) -> None:
    versions = read(tmp_path, VERSION, after(2, [1], [other_track(dataset="new")]), after(3, [2]))
    track = versions.track(3, PLACE)
    assert track is not None and track == versions.track(1, PLACE)
    assert versions.together(PLACE) == {3, 2}
    assert versions.track(1, ("new", "global-time")) is None
    assert versions.places() == [PLACE, ("new", "global-time")]


def test_a_track_that_asks_something_else_is_not_compared_whatever_the_list_says(tmp_path: Path) -> None:
    versions = read(tmp_path, VERSION, after(2, [1], [other_track(content_hash="d" * 64)]))
    assert versions.together(PLACE) == {2}


def test_a_change_of_an_old_version_changes_the_hash_of_all_later_ones(tmp_path: Path) -> None:
    before = read(tmp_path, VERSION, after(2, [1]))
    changed = read(tmp_path, {**VERSION, "allowance": {"seeds": 3, "trials": 500, "epochs": 20}}, after(2, [1]))
    grown = read(tmp_path, VERSION, after(2, [1]), after(3, []))
    assert all(before.hash_of(number) != changed.hash_of(number) for number in (1, 2))
    assert all(before.hash_of(number) == grown.hash_of(number) for number in (1, 2))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "must be a list of versions"),
        ([after(2, [])], "entry 1 is called version 2"),
        ([VERSION, after(2, [2])], "version 2 cannot be comparable with version 2"),
        ([VERSION, after(2, [], date="2025-12-31")], "version 2 is of 2025-12-31, before version 1"),
        ([{**VERSION, "changes": " "}], "changes is empty"),
        ([{**VERSION, "tracks": [other_track(), other_track()]}], "a track stands there twice"),
        ([{**VERSION, "allowance": {"seeds": 1, "trials": 5, "epochs": 20}}], "allowance.seeds must be at least 3"),
        ([{**VERSION, "colour": "red"}], "unknown key in"),
    ],
)
def test_what_is_no_list_of_versions_is_named(tmp_path: Path, entries: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(tmp_path, *entries)
