"""A row is what its name says, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.public.row import PublicRow, day, load, to_json

from .conftest import Place


@pytest.fixture
def row(place: Place) -> tuple[Path, PublicRow]:
    return place.root, place.row("hstu")


def test_a_row_is_read_as_it_was_written(row: tuple[Path, PublicRow]) -> None:
    root, made = row
    path = made.path(root)
    assert load(path) == made and to_json(load(path)) == path.read_text()
    assert path.parent == root / "closed" / "toy@global-time" and path.name.endswith(f"-hstu-{made.id}.json")


def better(raw: dict[str, Any]) -> None:
    raw["entrant"]["quality"]["auc"]["value"]["value"] += 1e-9


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "a number, by the least": better,
    "a word": lambda raw: raw["entrant"]["claims"]["auc"].update(verdict="equivalent"),
    "a tier": lambda raw: raw.update(tier="retrained"),
    "a date": lambda raw: raw.update(date="2027-01-01"),
    "a name": lambda raw: raw.update(by="Somebody Else"),
    "a hash of scores": lambda raw: raw["entrant"]["runs"][0].update(scores="0" * 64),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_row_is_refused_by_its_name(row: tuple[Path, PublicRow], edit: Callable[[dict[str, Any]], None]) -> None:
    root, made = row
    path = made.path(root)
    raw = json.loads(path.read_text())
    edit(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"was edited, copied or renamed: by its content it is closed/toy@global-time/"):
        load(path)


def test_layout_of_the_file_is_no_edit(row: tuple[Path, PublicRow]) -> None:
    root, made = row
    path = made.path(root)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert load(path) == made


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda raw: raw.update(extra=1), "unknown key 'extra'"),
        (lambda raw: raw.update(date="26.11.2026"), "is no date such as 2026-11-30"),
        (lambda raw: raw.update(by=" "), "by is empty"),
        (lambda raw: raw.update(reason="because"), "a row that replaces another says why, and no other does"),
        (lambda raw: raw.update(schema_version=2), "schema version 2, this program reads 1"),
        (lambda raw: raw.update(division="half-open"), "value of division"),
    ],
)
def test_what_is_no_whole_row_is_named(row: tuple[Path, PublicRow], edit: Callable[[dict[str, Any]], None], said: str) -> None:
    root, made = row
    path = made.path(root)
    raw = json.loads(path.read_text())
    edit(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=said):
        load(path)


@pytest.mark.parametrize("text", ["2026-1-1", "20260101", "2026-02-30", ""])
def test_a_date_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match="no date"):
        day(text)
