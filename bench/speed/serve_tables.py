"""Measurements of serving as tables: all that was measured, and the cost of a request alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..typed import from_dict, parse, text_of
from .serve import ServeTime


def lines(rows: Sequence[ServeTime]) -> list[str]:
    """A table: medians over rounds, of p50 with the smallest and largest."""
    shares = [one.share for one in rows[0].open[0]]
    loads = [f"at {share:.0%}: p50, p99" for share in shares]
    head = (
        *("model", "form", "numbers", "threads", "events seen (read)", "candidates", "past"),
        *("ms p50 (least, most)", "p95", "p99", "CPU ms p50", "requests/s", "candidates/s", *loads, "off fp32"),
    )
    result = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        wall = [one.wall for one in row.closed]
        middle = [one.p50 for one in wall]
        rate = statistics.median(one.per_second for one in row.closed)
        cells = (
            *(
                row.model,
                row.form,
                _numbers(row),
                str(row.threads),
                f"{row.history:,} ({row.read:,.0f})",
                f"{row.candidates:,}",
                row.past,
            ),
            f"{statistics.median(middle):.2f} ({min(middle):.2f}, {max(middle):.2f})",
            *(_median([getattr(one, name) for one in wall]) for name in ("p95", "p99")),
            _median([one.cpu.p50 for one in row.closed]),
            *(f"{rate:,.1f}", f"{rate * row.candidates:,.0f}"),
            *(
                ", ".join(_median([getattr(loads[at].wall, name) for loads in row.open]) or "-" for name in ("p50", "p99"))
                for at in range(len(shares))
            ),
            "" if row.difference is None else f"{row.difference:.0e}",
        )
        result.append("| " + " | ".join(cells) + " |")
    return result


def _median(values: Sequence[float | None]) -> str:
    """Over rounds; empty if any round had too few requests."""
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.2f}" if len(known) == len(values) else ""


def costs(rows: Sequence[ServeTime]) -> list[str]:
    """Median CPU milliseconds of a request in the closed load, median over rounds: a line for a model in one way, a column for
    each length of history with all numbers of candidates."""
    histories, sizes = sorted({row.history for row in rows}), sorted({row.candidates for row in rows})
    asked = " / ".join(f"{size:,}" for size in sizes)
    head = ["model", "form", "numbers", "threads", "past", *(f"{history:,} events: {asked} candidates" for history in histories)]
    result = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    ways: dict[tuple[str, ...], dict[tuple[int, int], str]] = {}
    for row in rows:
        way = (row.model, row.form, _numbers(row), str(row.threads), row.past)
        ways.setdefault(way, {})[row.history, row.candidates] = f"{statistics.median(one.cpu.p50 for one in row.closed):.1f}"
    for way, found in ways.items():
        cells = (" / ".join(found.get((history, size), "-") for size in sizes) for history in histories)
        result.append("| " + " | ".join([*way, *cells]) + " |")
    return result


def read_rows(path: Path) -> list[ServeTime]:
    """The rows of a record of `rankbench speed serve`.

    Raises:
        UserError: it cannot be read, or is another record.
    """

    def broken(what: str) -> UserError:
        return UserError(f"{path} {what}; name a record of rankbench speed serve")

    raw: Any = parse(text_of(path, broken), broken)
    rows = raw.get("rows") if isinstance(raw, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise broken("has no rows")
    return [from_dict(ServeTime, row, f"{path}: rows") for row in rows]


def _numbers(row: ServeTime) -> str:
    return row.precision + ("" if row.quantised is None else f" ({row.quantised:.0%})")
