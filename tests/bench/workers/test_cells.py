"""Cells and searches in a storage: asked for once, trained once, and what a worker refuses to do."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from rankbench.bench import cli
from rankbench.bench.config import Settings
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.device import resolve
from rankbench.bench.errors import UserError
from rankbench.bench.records.store import Store
from rankbench.bench.runs import schedule
from rankbench.bench.runs.cell import plan
from rankbench.bench.runs.run import Job
from rankbench.bench.search import budget
from rankbench.bench.search.claims import Claims
from rankbench.bench.search.order import ORDER, SearchOrder, order_of, plain
from rankbench.bench.search.storage import open_storage
from rankbench.bench.training.display import Display
from rankbench.bench.training.progress import CellEnded, CellId, Event
from rankbench.bench.training.team import ALONE
from rankbench.bench.workers import cells
from rankbench.bench.workers.cells import CELL, CellOrder, CellWorker, Standing, hand_out, key_of, outcome, study_of
from rankbench.bench.workers.shared import Shared
from rankbench.bench.workers.standing import standings
from support.cache import own_cache
from support.tables import click_table

FLOORS = ("ctr", "popularity")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    monkeypatch.delenv("RANKBENCH_DATA", raising=False)
    click_table(tmp_path, rows=300)
    return tmp_path


@pytest.fixture
def jobs(folder: Path) -> list[Job]:
    roots = DataRoots(None, folder / "cache")
    found, _ = schedule.with_data(plan(FLOORS, Settings({"dataset": "clicks.yaml"}), 1), roots)
    return [Job(at, cell, "cpu", roots, Store(folder / "out"), True, {}, ALONE) for at, cell in enumerate(found)]


@pytest.fixture
def storage(folder: Path) -> BaseStorage:
    return open_storage("journal.log")


def worker(jobs: list[Job], storage: BaseStorage) -> CellWorker:
    return CellWorker(jobs[0].store.root, storage, resolve("cpu"), jobs[0].roots, lambda *event: None)


def claims(jobs: list[Job], storage: BaseStorage) -> Claims:
    return Claims(study_of(jobs[0].store.root, storage), storage, (CELL, ORDER))


def test_an_order_is_its_cell_wherever_it_is_read(jobs: list[Job], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    order = CellOrder.of(jobs[0])
    monkeypatch.chdir("/")
    read = order_of(CellOrder, plain(order), "here").job("cpu", jobs[0].roots, jobs[0].store)
    assert read.cell.identity == jobs[0].cell.identity and read.cell.source == str(folder / "clicks.yaml")
    assert read.cell.changed == jobs[0].cell.changed and key_of(read) == key_of(jobs[0])


def test_a_cell_that_is_asked_for_twice_is_trained_once(
    jobs: list[Job], storage: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    run_job = cells.run_job

    def watched(job: Job, *rest: Any) -> Any:
        trained.append(key_of(job))
        return run_job(job, *rest)

    monkeypatch.setattr(cells, "run_job", watched)
    root = jobs[0].store.root
    assert hand_out(jobs, root, storage) == len(jobs) and hand_out(jobs, root, storage) == 0
    # Both commands looked before either of them asked.
    study_of(root, storage).enqueue_trial({}, user_attrs={CELL: key_of(jobs[0]), ORDER: plain(CellOrder.of(jobs[0]))})
    crew = [worker(jobs, storage), worker(jobs, storage)]
    while any([one.step() != "done" for one in crew]):
        continue
    assert sorted(trained) == sorted(map(key_of, jobs))
    assert [outcome(job, root, storage) for job in jobs] == [job.store.finished(job.cell.identity) for job in jobs]
    (standing,) = standings(storage)
    assert (standing.asked, standing.complete, standing.waiting, standing.running) == (2, 3, 0, ())


def test_how_a_cell_of_a_shared_run_ends_is_told_then_and_once(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever follows closes it then; the command, which says how all cells ended, adds those of other machines alone."""
    heard: list[tuple[CellId, str]] = []

    class Listener:
        def hear(self, cell: CellId, event: Event) -> None:
            heard.append((cell, type(event).__name__))

        def close(self) -> None: ...

    elsewhere = dataclasses.replace(jobs[0], cell=dataclasses.replace(jobs[0].cell, seed=1))
    hand_out([elsewhere], elsewhere.store.root, open_storage("journal.log"))
    assert worker([elsewhere], open_storage("journal.log")).step() == "trained"
    with Display(quiet=False, followers=[Listener()]) as display:
        for job, record in Shared("journal.log")([*jobs, elsewhere], 1, 1, display):
            assert record is not None
            display.handle(job.cell_id, schedule.ended(record))
    told = [(cell, what) for cell, what in heard if what in ("CellStarted", "CellEnded")]
    here = [(job.cell_id, what) for job in jobs for what in ("CellStarted", "CellEnded")]
    assert told == [*here, (elsewhere.cell_id, "CellEnded")]
    assert sum("trained in" in line for line in capsys.readouterr().err.splitlines()) == 3


def without_times(table: Path) -> list[list[str]]:
    """The cells of a study's table that hold no cost."""
    rows = [line.split(" | ") for line in table.read_text().splitlines() if line.startswith("| ")]
    kept = [at for at, head in enumerate(rows[0]) if not any(word in head for word in ("train", "ms", "MB", "examples/s"))]
    return [[row[at] for at in kept] for row in rows if len(row) == len(rows[0])]


@pytest.mark.long
def test_workers_share_a_study_round_by_round_and_its_answer_is_the_same(folder: Path) -> None:
    asked = ["study", "time", "--dataset", "clicks.yaml", "--models", "lr", "--size", "full", "--seeds", "2"]
    asked += ["--set", "train.epochs=1", "--set", "data.request_window=36000", "--jobs", "1", "--device", "cpu", "--results"]
    assert cli.main([*asked, "alone"]) == 0
    assert cli.main([*asked, "shared", "--storage", "journal.log"]) == 0
    alone, shared = (folder / name / "studies/time/clicks@global-time/table.md" for name in ("alone", "shared"))
    assert without_times(alone) == without_times(shared)
    (standing,) = standings(open_storage("journal.log"))
    records = list((folder / "shared").rglob("seed-*.json"))
    assert standing.complete == standing.asked == len(records) and standing.waiting == 0


def test_the_end_of_a_cell_that_somebody_else_has_by_now_is_not_told(jobs: list[Job], storage: BaseStorage) -> None:
    hand_out(jobs[:1], jobs[0].store.root, storage)
    heard: list[Event] = []
    late = CellWorker(jobs[0].store.root, storage, resolve("cpu"), jobs[0].roots, lambda cell, event: heard.append(event))
    late.claims.end = lambda *_, **__: False  # type: ignore[method-assign]
    assert late.step() == "trained" and heard and not any(isinstance(event, CellEnded) for event in heard)


def test_the_cell_of_a_dead_worker_has_one_successor(jobs: list[Job], storage: BaseStorage) -> None:
    hand_out(jobs[:1], jobs[0].store.root, storage)
    own = claims(jobs, storage)
    (waiting,) = own.ledger().trials
    assert own.take(waiting) and not own.take(waiting), "it can be taken once"
    own.hand_on(own.frozen(waiting.number), budget.DIED)
    own.hand_on(own.frozen(waiting.number), budget.DIED)
    (trial,) = Standing.of(own).under_way.values()
    assert trial.state == TrialState.WAITING and trial.user_attrs[budget.ATTEMPT] == 2
    assert worker(jobs, storage).step() == "trained" and not Standing.of(own).under_way


def test_a_cell_whose_workers_die_fails_for_good(jobs: list[Job], storage: BaseStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    hand_out(jobs[:1], jobs[0].store.root, storage)
    own = claims(jobs, storage)
    monkeypatch.setattr(own._watch, "dead", lambda trial: True)
    for _ in range(3):
        (trial,) = Standing.of(own).under_way.values()
        own.take(trial)
        own.bury()
    assert not Standing.of(own).under_way
    assert outcome(jobs[0], jobs[0].store.root, storage) == "its worker died, 3 times in a row"


def test_a_machine_with_other_data_hands_the_cell_on(jobs: list[Job], storage: BaseStorage, folder: Path) -> None:
    hand_out(jobs[:1], jobs[0].store.root, storage)
    click_table(folder, rows=301)
    with pytest.raises(UserError, match="changed while its cells ran"):
        worker(jobs, storage).step()
    (trial,) = Standing.of(claims(jobs, storage)).under_way.values()
    assert trial.state == TrialState.WAITING and trial.user_attrs[budget.ATTEMPT] == 1, "nobody died of it"


def test_a_cell_that_cannot_be_done_here_keeps_no_other_from_it(
    jobs: list[Job], storage: BaseStorage, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "gone.yaml").write_text((folder / "clicks.yaml").read_text())
    (gone,), _ = schedule.with_data(plan(FLOORS[:1], Settings({"dataset": "gone.yaml"}), 1), jobs[0].roots)
    (folder / "gone.yaml").unlink()
    root = jobs[0].store.root
    root.mkdir()
    hand_out([dataclasses.replace(jobs[0], cell=gone), *jobs], root, storage)
    assert cli.main(WORKER) == 2
    line = capsys.readouterr().err
    assert "gone.yaml" in line and line.count("\n") == 1
    assert all(job.store.finished(job.cell.identity) for job in jobs)
    (standing,) = standings(storage)
    assert (standing.complete, standing.waiting, standing.open) == (2, 1, True), "it waits for somebody who can"


def test_a_record_that_is_not_where_it_must_be_is_told(jobs: list[Job], storage: BaseStorage) -> None:
    root = jobs[0].store.root
    hand_out(jobs[:1], root, storage)
    assert worker(jobs, storage).step() == "trained"
    shutil.rmtree(root)
    with pytest.raises(UserError, match="let all workers share that folder"):
        outcome(jobs[0], root, storage)


def test_orders_of_another_version_are_told() -> None:
    with pytest.raises(UserError, match="the order of study x is broken: it lacks "):
        order_of(SearchOrder, {"model": "din"}, "study x")


def _search(*more: str) -> tuple[str, ...]:
    return ("sweep", "--models", "lr", "--dataset", "clicks.yaml", "--device", "cpu", "--results", "out", "--trials", "1", *more)


RUN = ("run", "--models", ",".join(FLOORS), "--dataset", "clicks.yaml", "--device", "cpu", "--results", "out", "--seeds", "1")
WORKER = ("worker", "--storage", "journal.log", "--device", "cpu", "--quiet")


@pytest.mark.long
def test_a_worker_needs_the_storage_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main((*_search("--set", "train.epochs=1"), "--storage", "journal.log", "--hand-out")) == 0
    assert cli.main((*RUN, "--storage", "journal.log", "--hand-out")) == 0
    assert cli.main(("worker", "--storage", "journal.log", "--show")) == 1, "cells are waiting"
    assert not list(folder.glob("out/runs/**/*.json"))
    assert cli.main(WORKER) == 0
    assert cli.main(("worker", "--storage", "journal.log", "--show")) == 0
    assert len(list(folder.glob("out/runs/**/seed-0.json"))) == len(FLOORS)
    assert len(list(folder.glob("out/sweeps/*/lr.json"))) == len(list(folder.glob("out/tuned/*/lr.yaml"))) == 1
    capsys.readouterr()
    assert cli.main((*RUN, "--storage", "journal.log", "--quiet")) == 0, "the same command makes the board"
    assert "popularity" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "command", "message"),
    [
        (lambda folder: None, (*RUN, "--hand-out"), "--hand-out needs --storage"),
        (lambda folder: None, (*RUN, "--storage", "j.log", "--hand-out", "--jobs", "2"), "--hand-out makes no use of --jobs"),
        (lambda folder: None, (*_search("--hand-out"), "--quiet"), "--hand-out makes no use of --quiet"),
        (lambda folder: None, (*WORKER, "--show"), "--show makes no use of --device, --quiet"),
        (
            lambda folder: (cli.main((*_search("--hand-out"), "--storage", "journal.log")), shutil.rmtree(folder / "out")),
            WORKER,
            "is not on this machine; share it under the same path",
        ),
        (
            lambda folder: (cli.main((*_search("--hand-out"), "--storage", "journal.log")), click_table(folder, rows=301)),
            WORKER,
            "this machine has other data: the study would be clicks@global-time",
        ),
    ],
)
def test_what_a_worker_cannot_do_is_one_line(
    folder: Path,
    before: Callable[[Path], object],
    command: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before(folder)
    capsys.readouterr()
    assert cli.main(command) == 2
    assert message in (line := capsys.readouterr().err) and line.count("\n") == 1


def test_a_search_that_nobody_began_is_not_done(folder: Path) -> None:
    assert cli.main((*_search("--hand-out"), "--storage", "journal.log")) == 0
    assert cli.main(("worker", "--storage", "journal.log", "--show")) == 1


@pytest.mark.long
def test_files_that_an_ended_worker_did_not_write_are_written(folder: Path) -> None:
    """The last trial of a search is in the storage, but not in its record, nor in its tuned settings."""
    first = (*_search("--set", "train.epochs=1"), "--storage", "journal.log")
    assert cli.main((*first, "--quiet")) == 0
    (record,), (best,) = folder.glob("out/sweeps/*/lr.json"), folder.glob("out/tuned/*/lr.yaml")
    earlier = record.read_bytes()
    assert cli.main((*(("2" if word == "1" else word) for word in first), "--quiet")) == 0
    later = json.loads(record.read_bytes())
    record.write_bytes(earlier)
    best.unlink()
    assert cli.main(WORKER) == 0
    assert json.loads(record.read_bytes()) == later and "trials: 2" in best.read_text()
    later_still = record.read_text().replace("complete", "pruned")  # of another search under the same name
    record.write_text(later_still)
    assert cli.main(WORKER) == 0
    assert record.read_text() == later_still


def test_an_empty_storage_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(("worker", "--storage", "journal.log", "--show")) == 0
    assert "nothing was ever asked for here" in capsys.readouterr().out
