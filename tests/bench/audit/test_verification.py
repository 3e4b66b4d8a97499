"""Verification writes rows of what it computed and trained again, and none of what is not true."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from rankbench.bench.audit.finding import Finding
from rankbench.bench.audit.folder import AuditMeans
from rankbench.bench.audit.verification import Verifying, verify
from rankbench.bench.public.board import read
from rankbench.bench.public.entrant import reference
from rankbench.bench.public.row import PublicRow, to_json
from rankbench.bench.public.rules import OWN
from rankbench.bench.public.submission import Submission, submit, view_of
from rankbench.bench.public.versions import Track
from rankbench.bench.records.view import View
from rankbench.bench.rows import restored

from .conftest import Folder
from .test_folder import recompute
from .test_folder import rows as rows_of

pytestmark = pytest.mark.long


@pytest.fixture
def public(made: Folder, tmp_path: Path) -> Path:
    """A board whose reference is the logistic regression."""
    results = tmp_path / "results"
    shutil.copytree(made.root / "runs", results / "runs", ignore=shutil.ignore_patterns("dnn", "popularity"))
    (path,) = results.rglob("lr/*/seed-0.json")
    raw = json.loads(path.read_text())
    identity = raw["identity"]
    track = {
        **{key: identity[key] for key in ("dataset", "split", "content_hash", "split_hash")},
        "data": {key: value for key, value in raw["config"]["data"].items() if key not in OWN},
        "reference": {"store": ".", "model": "lr", "config_hash": identity["config_hash"]},
    }
    allowance = {"seeds": 3, "trials": 0, "epochs": 20}
    version = {"version": 1, "date": "2026-01-01", "changes": "New.", "comparable": [], "allowance": allowance, "tracks": [track]}
    (results / "public").mkdir()
    (results / "public" / "versions.yaml").write_text(yaml.safe_dump([version]))
    return results / "public"


def verified(
    folder: Folder, public: Path, *models: str, retrain: bool = False, by: str = "B. Reviewer"
) -> tuple[list[PublicRow], list[Finding]]:
    means = AuditMeans(folder.roots, str(folder.table), seed=3)
    written, findings = verify(folder.root, public, Verifying(by, retrain, models), means)
    return [row for row in read(public).rows.values() if row.path(public) in written], findings


def wrong(findings: list[Finding]) -> list[str]:
    return [str(one) for one in findings if one.kind == "wrong"]


def submitted(folder: Folder, public: Path, *models: str) -> list[PublicRow]:
    """Rows of the open division: the folder's runs were trained for two epochs, which somebody set by hand."""
    board = read(public)
    view = restored(view_of(folder.root, board), folder.roots, str(folder.table))

    def references(track: Track) -> View:
        return restored(reference(track, public.parent), folder.roots, str(folder.table))

    written, told = submit(view, public, references, Submission("A. Person", "open", models))
    assert told == []
    return [row for row in read(public).rows.values() if row.path(public) in written]


def test_what_holds_is_recomputed_then_retrained_and_no_tier_is_given_twice(folder: Folder, public: Path) -> None:
    (old,) = submitted(folder, public, "dnn")
    (new,), findings = verified(folder, public, "dnn")
    assert wrong(findings) == []
    assert (new.tier, new.replaces, new.by, new.submitted) == ("recomputed", old.id, "A. Person", old.submitted)
    assert new.entrant == old.entrant and new.verification is not None and new.verification.by == "B. Reviewer"
    rows, findings = verified(folder, public, "dnn")
    assert rows == [] and [f"the row {new.id} is recomputed already" in one.what for one in findings][-1]
    (last,), findings = verified(folder, public, "dnn", retrain=True)
    assert last.replaces == new.id and last.verification is not None
    retraining = last.verification.retraining
    assert retraining is not None and retraining.same_scores and retraining.values.keys() == last.entrant.quality.keys()
    seed = retraining.seed
    assert retraining.values["auc"] == pytest.approx(last.entrant.quality["auc"].by_seed[seed], abs=1e-9)


def test_runs_of_the_closed_division_get_their_row_at_once(folder: Folder, public: Path) -> None:
    rows, findings = verified(folder, public)
    assert [(row.entrant.model, row.division, row.tier) for row in rows] == [("popularity", "closed", "recomputed")]
    assert sum("were set by hand" in one.what for one in findings) == 2


def test_copied_seeds_stop_everything(folder: Folder, public: Path) -> None:
    folder.set_codes("dnn", 1, folder.codes("dnn", 0))
    recompute(folder, "dnn", 1)
    rows, findings = verified(folder, public)
    assert rows == [] and any("its scores are those of runs/clicks@global-time/dnn/" in line for line in wrong(findings))


def test_scores_that_the_repository_has_under_another_name_are_found(folder: Folder, public: Path) -> None:
    for seed in range(3):
        folder.set_codes("dnn", seed, folder.codes("lr", seed))
        recompute(folder, "dnn", seed)
    shutil.rmtree(folder.path("lr", 0).parents[1])
    rows, findings = verified(folder, public)
    assert rows == [] and any("its scores are those of runs/clicks@global-time/lr/" in line for line in wrong(findings))


def test_a_row_that_says_more_than_its_runs_is_not_verified(folder: Folder, public: Path) -> None:
    (old,) = submitted(folder, public, "dnn")
    auc = old.entrant.quality["auc"]
    value = dataclasses.replace(auc.value, value=auc.value.value + 0.1)
    more = dataclasses.replace(auc, value=value, by_seed=tuple(one + 0.1 for one in auc.by_seed))
    quality = {**old.entrant.quality, "auc": more}
    forged = dataclasses.replace(old, entrant=dataclasses.replace(old.entrant, quality=quality))
    old.path(public).unlink()
    forged.path(public).write_text(to_json(forged))
    rows, findings = verified(folder, public, "dnn")
    assert rows == [] and any(
        f"quality of the row {forged.id} is not what its runs make of it" in line for line in wrong(findings)
    )


def test_a_seed_that_no_training_gives_is_not_verified(folder: Folder, public: Path) -> None:
    """Scores of all seeds that know some of the labels: consistent with each other, and with no training."""
    rng = np.random.default_rng(0)
    label = rows_of(folder)["label"].to_numpy().astype(np.int64)
    for seed in range(3):
        codes = folder.codes("dnn", seed).astype(np.int64) + (rng.random(len(label)) < 0.3) * (label * 2 - 1) * 400
        folder.set_codes("dnn", seed, codes)
        recompute(folder, "dnn", seed)
    submitted(folder, public, "dnn")
    rows, findings = verified(folder, public, "dnn", retrain=True)
    assert rows == [] and wrong(findings)
