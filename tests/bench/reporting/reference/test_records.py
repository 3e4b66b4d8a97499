"""The page of records and boards leaves out no key of theirs."""

from __future__ import annotations

import dataclasses
import typing

from rankbench.bench.analysis.leaderboard import Board
from rankbench.bench.analysis.statements import Statement
from rankbench.bench.records.schema import METRICS, RunRecord
from rankbench.bench.reporting.reference.records import page


def test_every_key_of_a_record_and_a_board_has_a_line() -> None:
    text = page()
    for holder in (RunRecord, Board):
        section = text.partition(f"\n### {holder.__name__}\n")[2].partition("\n### ")[0]
        assert all(f"\n| `{field.name}` | " in section for field in dataclasses.fields(holder))
    assert all(f"\n| `{metric}` | " in text for metric in METRICS)


def test_every_kind_of_statement_has_a_line() -> None:
    every = [typing.get_args(typing.get_type_hints(one)["kind"])[0] for one in _members(Statement)]
    said = page().partition("\n### Statements\n")[2]
    assert len(every) > 20 and all(f"\n| `{kind}` | " in said for kind in every)


def _members(hint: object) -> list[type]:
    parts = typing.get_args(hint)
    return [hint] if isinstance(hint, type) else [one for part in parts for one in _members(part)]
