"""Rows that somebody verifies: everything is computed again and, where it is asked for, one seed of each is trained again."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import in_one_line
from ..evaluation import evaluator, metrics, scores
from ..evaluation.new_seed import new_seed
from ..public.board import PublicBoard, read
from ..public.entrant import reference, same
from ..public.row import TIERS, CodeVersion, Entrant, PublicRow, Retraining, Tier, Verification
from ..public.rules import strayed
from ..public.submission import Offered, Submission, add_all, asked_cells, offer, row_of, row_on, view_of
from ..records import provenance
from ..records.rounded import rounded
from ..records.schema import RunRecord
from ..records.store import stores_below
from ..records.view import View
from ..rows import data_of, restored
from .again import about_scores_made_again, device_of, made_again, same_scores
from .finding import Finding, about
from .folder import AuditMeans, check
from .groups import about_copies_of
from .runs import Run


@dataclass(frozen=True)
class Verifying:
    """What a verifier asks for."""

    by: str
    retrain: bool = False
    models: Sequence[str] = ()
    """Names; none: all that are there."""

    @property
    def tier(self) -> Tier:
        return "retrained" if self.retrain else "recomputed"


def verify(folder: Path, public: Path, asked: Verifying, means: AuditMeans) -> tuple[list[Path], list[Finding]]:
    """Verify the rows that stand on the runs of a results folder, and write them anew with their tier.

    Runs of the closed division that have no row get one. No row is written if anything in the folder is wrong.

    Args:
        public: the folder of the board, in that of the results which hold its references.
        means: `seed` chooses the seeds that are trained again; `retrain` is not used.

    Returns:
        The files that were written, and what was found.

    Raises:
        UserError: there is no such run, the data set is not here, or the board is broken.
    """
    board = read(public)
    view = restored(view_of(folder, board), means.roots, means.source)
    references = functools.cache(lambda track: restored(reference(track, public.parent), means.roots, means.source))
    groups = asked_cells(view, asked.models)
    findings = [one for one in check(folder, dataclasses.replace(means, retrain=0)) if one.kind != "ok"]
    findings += _copies(view, public.parent)
    if any(one.kind == "wrong" for one in findings):
        return [], findings
    rng, rows = np.random.default_rng(means.seed), []
    for group in groups:
        old = row_on(board, view, group)
        version = old.version if old is not None else board.versions.newest.version
        one = offer(view, group, board, references, old.division if old is not None else "closed", version)
        before = _before(board, one, old, asked)
        if isinstance(before, Finding):
            findings.append(before)
            continue
        retraining = None
        if asked.retrain:
            means.told(f"training again: {one.name}")
            retraining, said = _retrained(view, group, before.entrant, means, int(rng.integers(len(group))))
            findings += said
            if retraining is None or any(finding.kind == "wrong" for finding in said):
                continue
        rows.append(_row(before, old, asked, retraining))
    return add_all(board, rows), findings


def _before(board: PublicBoard, one: Offered, old: PublicRow | None, asked: Verifying) -> PublicRow | Finding:
    """The row that is verified, or why there is none."""
    if one.entrant is None:
        return Finding("note" if old is None else "wrong", one.name, f"no row: {one.refused}")
    if old is None:
        return row_of(one.entrant, board, Submission(asked.by), _today())
    if key := same(old.entrant, one.entrant):
        return Finding("wrong", one.name, f"{key} of the row {old.id} is not what its runs make of it")
    if TIERS.index(old.tier) >= TIERS.index(asked.tier):
        return Finding("note", one.name, f"the row {old.id} is {old.tier} already")
    return old


def _row(before: PublicRow, old: PublicRow | None, asked: Verifying, retraining: Retraining | None) -> PublicRow:
    return dataclasses.replace(
        before,
        tier=asked.tier,
        date=_today().isoformat(),
        replaces=None if old is None else old.id,
        reason="" if old is None else f"{asked.tier} by {asked.by}",
        verification=Verification(asked.by, _code(), retraining),
    )


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _code() -> CodeVersion:
    """What verifies."""
    here = provenance.environment(torch.device("cpu"))
    return CodeVersion(here.versions.get("rankbench"), here.git_commit, here.code_hash)


def _copies(view: View, results: Path) -> Iterator[Finding]:
    """Scores that are those of runs which the results folder of the board holds already."""
    own = [Run(record, view) for record in view.records if record.status == "ok" and view.has_scores(record.identity)]
    rows = {run.view.rows_hash(run.record.identity) for run in own}
    for store in stores_below(results):
        if store.root.resolve() == view.store.root.resolve():
            continue
        for place in {(run.record.identity.dataset, run.record.identity.split) for run in own}:
            there = View.of(store, *place)
            finished = (record for record in there.records if record.status == "ok" and there.has_scores(record.identity))
            others = [Run(record, there) for record in finished]
            for rows_hash in rows:
                yield from about_copies_of(_about(own, rows_hash), _about(others, rows_hash))


def _about(runs: Sequence[Run], rows_hash: str) -> list[Run]:
    return [run for run in runs if run.view.rows_hash(run.record.identity) == rows_hash]


def _retrained(
    view: View, group: Sequence[RunRecord], entrant: Entrant, means: AuditMeans, at: int
) -> tuple[Retraining | None, list[Finding]]:
    """Train a seed of a cell again, and hold it against the others.

    Args:
        at: its place among the seeds.
    """
    runs = [Run(record, view) for record in group]
    run, siblings = runs[at], runs[:at] + runs[at + 1 :]
    try:
        data = data_of(run.record.config["data"], means.roots, run.where, means.source)
        codes, valid = made_again(run, data)
    except Exception as error:  # whatever a record's settings lead to
        return None, [Finding("wrong", run.where, f"it cannot be trained again: {in_one_line(error)}")]
    said = list(about(run.where, about_scores_made_again(run, siblings, codes, valid)))
    if len(codes) != len(run.codes):
        return None, said
    test = metrics.evaluate(evaluator.rows(data, "test").assign(score=scores.probabilities(codes)))["all"]
    retraining = Retraining(
        seed=run.record.identity.seed,
        same_scores=same_scores(run, codes),
        values={metric: float("nan") if (value := test[metric]) is None else float(value) for metric in entrant.quality},
        allowed={metric: new_seed(found.by_seed, len(entrant.quality)) for metric, found in entrant.quality.items()},
        device=device_of(run).type,
    )
    for metric in strayed(retraining):
        bounds = retraining.allowed[metric]
        what = f"trained again it has {metric} {retraining.values[metric]:.4f}"
        said.append(Finding("wrong", run.where, f"{what}; its seeds allow {bounds.low:.4f} to {bounds.high:.4f}"))
    return rounded(retraining), said
