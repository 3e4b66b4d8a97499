"""Whether the runs of a place can be rows of one board: seeds, and scores that are their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..analysis import study
from ..errors import UserError
from ..records.store import Store
from .finding import Finding
from .runs import Run

SEEDS = 3
"""That every row needs at least."""
ROWS = 50_000
"""Test rows by which scores are compared, at most."""
NEAR = 0.02
"""Distance of two runs' scores below which one is a copy. The nearest two seeds of any model that was committed were .064 apart,
the nearest two models .074."""
NEARER = 1.5
"""Factor by which both of two runs must be nearer to the other's seeds than to their own, so that they were exchanged. Between
rows of much the same model it reached 1.4 by chance."""


def about_groups(groups: Iterable[tuple[str, Sequence[Run]]], store: Store) -> Iterator[Finding]:
    """Of runs that share data and what is asked of them, by the names of their groups."""
    named = [(name, list(runs)) for name, runs in groups]
    for name, runs in named:
        yield from _about_seeds(name, runs, store)
        yield from _about_copies(name, runs)
    places: dict[str, list[str]] = {}
    for name, runs in named:
        identity = runs[0].record.identity
        places.setdefault(f"{identity.dataset}@{identity.split}", []).append(name)
    for place, names in places.items():
        if len(names) > 1:
            yield Finding("note", place, f"its runs are of {len(names)} groups, each a board of its own: {', '.join(names)}")


def _about_seeds(name: str, runs: list[Run], store: Store) -> Iterator[Finding]:
    seeds: dict[str, set[int]] = {}
    for run in runs:
        seeds.setdefault(run.row, set()).add(run.record.identity.seed)
    identity = runs[0].record.identity
    table = store.study_folder(identity.dataset, identity.split) / "study.json"
    if table.exists():
        try:
            points = {f"{point.row.model}/{point.row.config_hash}" for point in study.load(table).points}
        except UserError as error:
            yield Finding("wrong", name, str(error))
            return
        # Beside its points a study has runs of one seed, among which a point's settings were chosen.
        seeds = {row: own for row, own in seeds.items() if row in points}
    every = set().union(*seeds.values()) if seeds else set()
    for row, own in sorted(seeds.items()):
        if lacking := sorted(set(range(max(own) + 1)) - own):
            gaps = f"seeds are counted from 0, and {_listed(lacking)} are not there"
            yield Finding("wrong", name, f"{row} has the seeds {_listed(own)}; {gaps}")
        elif own != every:
            yield Finding("wrong", name, f"{row} lacks the seeds {_listed(every - own)}, which other rows have")
        if len(own) < SEEDS:
            yield Finding("wrong", name, f"{row} has {len(own)} seed(s); every row needs {SEEDS} at least")


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _about_copies(name: str, runs: list[Run]) -> Iterator[Finding]:
    """Scores that are another run's. Floors that count are left out: theirs are made again."""
    codes: dict[Run, np.ndarray] = {}
    for run in runs:
        if not run.counted:
            try:
                codes[run] = run.codes
            except UserError:
                continue  # said where its metrics are recomputed
    lengths = {len(found) for found in codes.values()}
    if len(lengths) > 1:
        yield Finding("wrong", name, f"its scores are of {' and '.join(map(str, sorted(lengths)))} test rows")
        return
    if len(codes) < 2:
        return
    found = list(codes)
    step = max(1, -(-lengths.pop() // ROWS))
    apart = distances(np.stack([codes[run][::step] for run in found]))
    for one, other in itertools.combinations(range(len(found)), 2):
        a, b = found[one], found[other]
        if apart[one, other] < NEAR and not _alike(a, b):
            yield _copy(a, b, apart[one, other])
    yield from _about_exchanges(found, apart)


def about_copies_of(own: Sequence[Run], others: Sequence[Run]) -> Iterator[Finding]:
    """Scores of runs that are those of runs elsewhere, of the same test rows."""
    own, others = ([run for run in runs if not run.counted] for runs in (own, others))
    if not own or not others:
        return
    step = max(1, -(-len(own[0].codes) // ROWS))
    apart = distances(np.stack([run.codes[::step] for run in (*own, *others)]))
    for one, run in enumerate(own):
        for at, other in enumerate(others, len(own)):
            if apart[one, at] < NEAR and not _alike(run, other):
                yield _copy(run, other, apart[one, at])


def _alike(one: Run, other: Run) -> bool:
    """Two settings of one model may train alike, for example where early stopping comes before either's limit."""
    first, second = one.record.identity, other.record.identity
    return first.model == second.model and first.seed == second.seed


def _copy(one: Run, other: Run, apart: float) -> Finding:
    return Finding("wrong", one.where, f"its scores are those of {other.where} ({apart:.4f} of their spread apart)")


def distances(codes: np.ndarray) -> np.ndarray:
    """Root mean square of the difference of two runs' logits without their means, over the spread of these: float64 [runs, runs].

    Args:
        codes: [runs, rows].
    """
    centred = codes.astype(np.float64)
    centred -= centred.mean(1, keepdims=True)
    product = centred @ centred.T / centred.shape[1]
    spread = np.diag(product)
    both = (spread[:, None] + spread[None, :]) / 2
    return np.sqrt(np.maximum(2 * (both - product), 0) / np.maximum(both, 1e-9))


def _about_exchanges(runs: list[Run], apart: np.ndarray) -> Iterator[Finding]:
    rows: dict[str, list[int]] = {}
    for at, run in enumerate(runs):
        rows.setdefault(run.row, []).append(at)

    def mean(one: int, others: list[int], without: int) -> float:
        return float(np.mean([apart[one, other] for other in others if other != without]))

    large = [group for group in rows.values() if len(group) >= SEEDS]
    for own, theirs in itertools.combinations(large, 2):
        for one, other in itertools.product(own, theirs):
            there, back = mean(one, own, one) / max(mean(one, theirs, other), 1e-9), 0.0
            if there > NEARER:
                back = mean(other, theirs, other) / max(mean(other, own, one), 1e-9)
            if back > NEARER:
                what = f"its scores and those of {runs[other].where} are exchanged: each is nearer to the other row's seeds"
                yield Finding("wrong", runs[one].where, f"{what} ({there:.1f} and {back:.1f} times)")
