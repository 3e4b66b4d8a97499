"""docs/results/public_board.md: the public leaderboard as its rows are, and nothing besides."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from ..analysis.comparison import HEADLINES, HeadlineMetric
from ..evaluation.cards import shown
from ..evaluation.stats import Estimate
from ..public.board import PublicBoard, expiry
from ..public.envelope import LEAST_ROWS, LEVEL, beyond, envelopes
from ..public.row import DIVISIONS, PublicRow
from .board_files import LOADED, count, markdown_table
from .words import difference, level, listed

ORDER = ("better", "reference", "equivalent", "not settled", "worse")
"""Of claims by the headline: rows stand in this order, and by value only among those of one word."""

FLAG = "⚑"
"""A row beyond the envelope of its family."""


def to_markdown(board: PublicBoard, folder: str, today: datetime.date) -> str:
    """The page.

    Args:
        folder: from the page to the board's folder.
        today: by which self-reported rows expire. The page changes only on days on which one does.
    """
    parts = [
        "# Public leaderboard",
        f"Made by `rankbench report --public` from the rows in [{folder}]({folder}), and by nothing else. What divisions, tiers, "
        "claims and versions mean, and what cannot be found: [rules](public_rules.md). How to submit: "
        "[CONTRIBUTING](../../CONTRIBUTING.md#a-row-of-the-public-leaderboard).",
        "A claim is a row minus its track's reference, a paired difference with a 95% interval over test users and seeds, each a "
        "single comparison (of rows that are truly like the reference, one in twenty is called better or worse): "
        "**better**, **worse**, **equivalent** or **not settled**. Rows stand in the order of their claims; the order among rows "
        f"of one word means nothing that is shown. {LOADED} Measured beside other work: comparable with nothing.",
        *(part for place in board.versions.places() for part in _track(board, folder, place, today)),
        *_history(board, today),
        *_versions(board),
    ]
    return "\n\n".join(parts) + "\n"


def _track(board: PublicBoard, folder: str, place: tuple[str, str], today: datetime.date) -> Iterator[str]:
    yield f"## {place[0]} @ {place[1]}"
    track = board.versions.track(board.versions.newest.version, place)
    assert track is not None, "a track stays"
    yield (
        f"Reference: {track.reference.model}. Data {track.content_hash[:12]}, split {track.split_hash[:12]}. Versions of the "
        f"board in this ranking: {listed([str(number) for number in sorted(board.versions.together(place))])}."
    )
    for division in DIVISIONS:
        rows = board.standing(division, place, today)
        yield f"### {place[0]}: {division} division"
        if not rows:
            yield "No row yet."
            continue
        flags = {row.id for row in rows if beyond(board, row, today)}
        metrics: list[HeadlineMetric] = [metric for metric in HEADLINES if any(metric in row.entrant.quality for row in rows)]
        header = [
            "model",
            "family",
            "settings",
            *(text for metric in metrics for text in (shown(metric), f"claim by {shown(metric)}")),
        ]
        table = [[*header, "seeds", "parameters", "train s", "hardware", "tier", "by", "date", "row"]]
        table += [_cells(row, metrics, folder, board, row.id in flags) for row in _ordered(rows)]
        yield "\n".join(markdown_table(table))
        if flags:
            yield f"{FLAG} A seed of it lies beyond the envelope of its family: look for a leak before you believe it."
    yield "\n".join(_envelopes(board, place, today))


def _ordered(rows: Sequence[PublicRow]) -> list[PublicRow]:
    def key(row: PublicRow) -> tuple:
        return ORDER.index(_word(row, row.entrant.headline)), -row.entrant.quality[row.entrant.headline].value.value, row.id

    return sorted(rows, key=key)


def _word(row: PublicRow, metric: HeadlineMetric) -> str:
    return row.entrant.claims[metric].verdict if row.entrant.claims else "reference"


def _cells(row: PublicRow, metrics: Sequence[HeadlineMetric], folder: str, board: PublicBoard, flagged: bool) -> list[str]:
    entrant = row.entrant
    cells = [entrant.model + (f" {FLAG}" if flagged else ""), entrant.family, _settings(row)]
    for metric in metrics:
        quality, claim = entrant.quality.get(metric), entrant.claims.get(metric)
        cells.append("-" if quality is None else level(quality.value))
        cells.append(_word(row, metric) if claim is None else _claim(claim.verdict, claim.difference))
    until = expiry(row)
    tier = row.tier if until is None else f"{row.tier}, until {until}"
    file = row.path(board.root).relative_to(board.root).as_posix()
    return [
        *cells,
        str(len(entrant.runs)),
        count(entrant.parameters),
        f"{entrant.train_seconds:.0f}{'' if entrant.comparable else f' {LOADED}'}",
        ", ".join(
            dict.fromkeys(f"{where.processor} ({where.threads} thread{'s' * (where.threads > 1)})" for where in entrant.hardware)
        ),
        tier,
        row.by if row.verification is None or row.verification.by == row.by else f"{row.by}; verified by {row.verification.by}",
        row.submitted,
        f"[{row.id[:8]}]({folder}/{file})",
    ]


def _claim(verdict: str, apart: Estimate) -> str:
    return f"**{verdict}** {difference(apart)}"


def _settings(row: PublicRow) -> str:
    entrant = row.entrant
    if entrant.tuning is not None:
        return f"search of {entrant.tuning.trials} trials"
    return ", ".join(f"{key.removeprefix('params.')}={value}" for key, value in entrant.changed.items()) or "defaults"


def _envelopes(board: PublicBoard, place: tuple[str, str], today: datetime.date) -> Iterator[str]:
    yield (
        "Envelopes: the best seed of each family so far in the closed division, and the bound below which that of one more model "
        f"stays with {LEVEL:.0%} probability. A row beyond it is marked {FLAG}."
    )
    yield ""
    found = envelopes(board, place, today)
    if not found:
        yield "- No row is verified yet, so that there is no envelope."
    for one in found:
        bound = f"bound {one.bound:.4f}" if one.known else f"no bound: {LEAST_ROWS} rows are needed"
        rows = f"{one.rows} row{'s' * (one.rows > 1)}"
        yield f"- {one.family}, {shown(one.metric)}: best {one.best:.4f} of {rows}; {bound}"


def _history(board: PublicBoard, today: datetime.date) -> Iterator[str]:
    yield "## Rows that are no longer ranked"
    lines = []
    for row in board.rows.values():
        state = board.state(row, today)
        if state == "stands":
            continue
        new = next((other for other in board.rows.values() if other.replaces == row.id), None)
        why = {"expired": f"expired on {expiry(row)}", "of another version": f"of version {row.version} of the board"}.get(state)
        if new is not None:
            why = f"replaced by {new.id[:8]} on {new.date}: {new.reason}"
        lines.append(
            f"- {row.date}, {row.id[:8]}, {row.entrant.model} on {' @ '.join(row.place)}, {row.division}, by {row.by}: {why}"
        )
    yield "\n".join(lines) or "None."


def _versions(board: PublicBoard) -> Iterator[str]:
    yield "## Versions of the board"
    entries = board.versions.entries
    table = [["version", "date", "what changed", "closed division: seeds, trials, epochs"]]
    for entry in reversed(entries):
        allowed = entry.allowance
        table.append([str(entry.version), entry.date, entry.changes, f"{allowed.seeds}, {allowed.trials}, {allowed.epochs}"])
    yield "\n".join(markdown_table(table))
    yield "Which versions' rows may stand in one ranking with those of the newest, by track:"
    header = ["track", *(str(entry.version) for entry in entries)]
    lines = []
    for place in board.versions.places():
        together = board.versions.together(place)
        lines.append([" @ ".join(place), *("yes" if entry.version in together else "no" for entry in entries)])
    yield "\n".join(markdown_table([header, *lines]))
