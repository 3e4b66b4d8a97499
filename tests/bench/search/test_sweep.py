"""A whole sweep on a small table: what it keeps, refuses and leaves alone, and what becomes of it when workers are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from rankbench.baselines.din import DIN
from rankbench.bench import cli
from rankbench.bench.analysis import leaderboard
from rankbench.bench.config import DataConfig, Settings, read_settings
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import EventLog
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.records import sweeps
from rankbench.bench.records.store import Store
from rankbench.bench.records.sweeps import SweepRecord
from rankbench.bench.records.view import View
from rankbench.bench.registry import MODELS
from rankbench.bench.search import budget, sampler, sweep
from rankbench.bench.search.budget import Budget
from rankbench.bench.search.storage import open_storage
from rankbench.bench.search.trial import Outcome
from rankbench.bench.training.progress import CellEnded, CellId, Event
from support import postgres
from support.cache import own_cache
from support.logs import changed
from support.tables import click_table

SMALL = ("--dataset", "clicks.yaml", "--device", "cpu", "--quiet", "--set", "train.epochs=2")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all tests here."""
    return own_cache(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(cache))
    monkeypatch.delenv("RANKBENCH_DATA", raising=False)
    click_table(tmp_path)
    return tmp_path


def home(folder: str | Path) -> Path:
    """The one place below a folder; its name ends with a hash of the data."""
    (path,) = Path(folder).glob("clicks@global-time*")
    return path


def found(results: str | Path, model: str) -> SweepRecord:
    return sweeps.load(home(Path(results) / "sweeps") / f"{model}.json")


@pytest.mark.long
def test_a_sweep_from_the_first_trial_to_the_board(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("sweep", *SMALL, "--models", "din,gbdt,random", "--trials", "3", "--results", "out", "--set", "gbdt.trees=5")
    command = (*command, "--set", "train.max_seconds=600")
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    assert "nothing to tune: random" in shown
    for model in ("din", "gbdt"):
        record = found("out", model)
        assert [trial.state for trial in record.trials] == ["complete"] * 3
        assert record.trials[0].params == record.defaults and record.default_value == record.trials[0].value
        assert all(trial.params.keys() == record.space.keys() and trial.seconds > 0 for trial in record.trials)
        tuned = home("out/tuned") / f"{model}.yaml"
        assert tuned.read_text().startswith(f"# Trial {record.best.number} of: rankbench sweep --models {model} ")  # type: ignore[union-attr]
        settings = read_settings(tuned, tuple(MODELS))
        assert settings.tuning[model].study == record.study and settings.tuning[model].trials == 3
        assert settings.tuning[model].value == record.best.value  # type: ignore[union-attr]
        assert settings.models[model].get("train.epochs") == (2 if model == "din" else None), "gbdt has no epochs"
        assert "train.max_seconds" not in settings.models[model]
    pictures = {path.name: path.read_bytes() for path in home("out/sweeps").iterdir()}
    assert {"best-so-far.svg", "din-trials.png", "gbdt-trials.svg"} <= pictures.keys()

    # Once more: nothing is left to do, and everything is written again as it was.
    assert cli.main(command) == 0 and cli.main(("sweep", "--redraw", "--results", "out")) == 0
    assert pictures == {path.name: path.read_bytes() for path in home("out/sweeps").iterdir()}

    # Tuned settings and defaults on one board; a floor runs as it is.
    tuned_run = ("run", *SMALL[:5], "--seeds", "1", "--results", "out")
    assert cli.main((*tuned_run, "--models", "din,random", "--config", "tuned")) == 0
    assert cli.main((*tuned_run, "--models", "din,random", "--set", "train.epochs=1")) == 0
    board = leaderboard.build(View.of(Store(Path("out")), "clicks", "global-time"))
    labels = {row.label for row in board.rows}
    assert "din (tuned)" in labels and any(label.startswith("din [") or label == "din" for label in labels), labels
    capsys.readouterr()
    assert cli.main((*tuned_run, "--models", "din,hstu,bst", "--config", "tuned")) == 2
    assert "no tuned settings of bst, hstu" in (line := capsys.readouterr().err) and "--models bst,hstu" in line
    assert cli.main((*tuned_run, "--models", "din", "--config", "tuned", "--set", "data.time=none")) == 2
    assert "clicks@global-time" in (line := capsys.readouterr().err) and "--set data.time=" in line

    # A study is never gone on with under other settings.
    assert cli.main(["train.epochs=3" if word == "train.epochs=2" else word for word in command]) == 2
    assert "was made with train.epochs=2, not 3" in capsys.readouterr().err
    assert cli.main((*command, "--set", "din.negative_history=true")) == 2
    assert "din" in capsys.readouterr().err


@pytest.mark.long
def test_a_search_goes_on_from_its_record_as_if_its_storage_were_still_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With pruned trials and proposals that learn from the first ones, a search in two halves is the search in one."""
    monkeypatch.setattr(sampler, "RANDOM_TRIALS", 2)
    monkeypatch.setattr(sweep, "WARM_UP_TRIALS", 2)
    monkeypatch.setattr(sweep, "WARM_UP_EPOCHS", 0)
    command = ("sweep", *SMALL, "--models", "lr", "--results")

    def searched(results: str, trials: int) -> list[tuple[object, ...]]:
        assert cli.main((*command, results, "--trials", str(trials))) == 0
        return [(one.number, one.state, one.params, one.value, one.curve) for one in found(results, "lr").trials]

    whole = searched("whole", 9)
    half = searched("halves", 5)
    Path("halves/sweeps/journal.log").unlink()
    seconds = [trial.seconds for trial in found("halves", "lr").trials]
    assert searched("halves", 9) == whole and whole[:5] == half
    assert [trial.seconds for trial in found("halves", "lr").trials][:5] == seconds, "what is done is not done again"
    assert {state for _, state, *_ in whole} == {"complete", "pruned"}

    # Trials that only the record has are not overwritten, nor is a search of another kind.
    Path("halves/sweeps/journal.log").unlink()
    kept = home("halves/sweeps") / "lr.json"
    record = kept.read_bytes()
    kept.unlink()
    searched("halves", 1)
    kept.write_bytes(record)
    capsys.readouterr()
    assert cli.main((*command, "halves", "--trials", "9")) == 2
    assert re.search("lr.json holds [89] trials that study", capsys.readouterr().err) and kept.read_bytes() == record
    assert cli.main((*command, "halves", "--storage", "other.log", "--seed", "1", "--trials", "9")) == 2
    assert "lr.json was made with seed=0, not 1" in capsys.readouterr().err and kept.read_bytes() == record


@pytest.mark.long
def test_what_was_left_of_a_beginning_is_taken_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BEGINNING", 0.1)
    assert cli.main(("sweep", *SMALL, "--models", "lr", "--trials", "1", "--results", "named", "--storage", "named.log")) == 0
    name = found("named", "lr").study
    left = optuna.create_study(study_name=name, storage=open_storage("j.log"), direction="maximize")
    left.add_trial(optuna.trial.create_trial(value=1.0))
    assert cli.main(("sweep", *SMALL, "--models", "lr", "--trials", "1", "--results", "out", "--storage", "j.log")) == 0
    assert [trial.params for trial in found("out", "lr").trials] == [found("out", "lr").defaults]


def test_an_interrupted_search_keeps_its_trials_but_tunes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "train_trial", interrupted)
    command = ("sweep", *SMALL, "--models", "lr", "--trials", "2", "--results", "out")
    assert cli.main(command) == 130
    assert [trial.state for trial in found("out", "lr").trials] == ["handed on"]
    assert not Path("out/tuned").exists()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert cli.main(command) == 0
    assert [trial.state for trial in found("out", "lr").trials] == ["handed on", "complete", "complete"]


def test_a_model_that_has_nothing_to_search_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(("sweep", *SMALL, "--models", "random,ctr")) == 2
    assert "random, ctr cannot be tuned" in capsys.readouterr().err
    assert cli.main(("sweep", "--redraw", "--results", "none")) == 2
    assert "no trials in" in capsys.readouterr().err


def test_failed_trials_are_kept_and_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, built = DIN.forward, []

    def breaks(self: DIN, batch: object) -> object:
        if self not in built:
            built.append(self)
        if len(built) == 2:
            raise MemoryError("no\nroom")
        return forward(self, batch) * (float("nan") if len(built) == 3 else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(DIN, "forward", breaks)
    assert cli.main(("sweep", *SMALL, "--models", "din", "--trials", "4", "--results", "out")) == 0
    record = found("out", "din")
    assert [trial.state for trial in record.trials] == ["complete", "failed", "failed", "complete"]
    assert (record.trials[1].reason or "").startswith("MemoryError: no room (test_sweep.py:")
    assert "loss became nan" in (record.trials[2].reason or "")


@pytest.mark.long
def test_time_ends_a_search_in_mid_trial(folder: Path) -> None:
    long = ("--set", "train.epochs=1000", "--set", "train.patience=1000", "--seconds", "1", "--trials", "1000")
    assert cli.main(("sweep", *SMALL[:5], "--models", "lr", "--results", "out", *long)) == 0
    record = found("out", "lr")
    assert record.seconds >= 1 and len(record.counted) < 1000
    assert record.counted[-1].state == "complete" and record.counted[-1].epochs < 1000
    assert record.budget_seconds == 1.0
    # What was found under a limit of time is trained under it, and says so; what was not is not.
    last = record.counted[-1]
    assert last.cut and not any(trial.cut for trial in record.counted[:-1])
    assert record.best is not None
    tuned = read_settings(next(Path("out/tuned").rglob("lr.yaml")), tuple(MODELS))
    assert tuned.tuning["lr"].cut == record.best.cut
    assert ("train.max_seconds" in tuned.models["lr"]) == record.best.cut


def test_each_trials_limit_goes_with_the_winner_that_it_cut(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = ("--set", "train.epochs=100000", "--set", "train.patience=100000", "--set", "train.max_seconds=0.2", "--trials", "2")
    assert cli.main(("sweep", *SMALL[:5], "--models", "lr", "--results", "out", *long)) == 0
    assert "lr: a limit of time ended the best trial" in capsys.readouterr().out
    record = found("out", "lr")
    assert [trial.cut for trial in record.trials] == [True, True]
    tuned = read_settings(next(Path("out/tuned").rglob("lr.yaml")), tuple(MODELS))
    assert tuned.tuning["lr"].cut and tuned.models["lr"]["train.max_seconds"] == 0.2


@pytest.mark.long
def test_no_trial_reads_a_test_example(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Test labels turned round change nothing, and nobody asks for examples of the test."""
    asked = set()
    examples, prepare_log = RankingData.examples, sweep.prepare_log

    def watched(self: RankingData, role: str, seed: int = 0, epoch: int = 0) -> object:
        asked.add(role)
        return examples(self, role, seed, epoch)

    monkeypatch.setattr(RankingData, "examples", watched)

    def searched(results: str) -> list[tuple[object, ...]]:
        command = ("sweep", *SMALL, "--models", "din,hstu", "--trials", "2", "--results", results)
        assert cli.main(command) == 0
        records = [found(results, model) for model in ("din", "hstu")]
        return [(trial.params, trial.value, trial.best_epoch) for record in records for trial in record.trials]

    def poisoned(log: EventLog, config: DataConfig) -> RankingData:
        data = prepare_log(log, config)
        label = np.array(data.log.label)
        test = data.split.examples("test")
        label[test] = 1 - label[test]
        return changed(data, tmp_path / "other log", label=label)

    clean = searched("clean")
    monkeypatch.setattr(sweep, "prepare_log", poisoned)
    assert searched("poisoned") == clean
    assert asked == {"train", "valid"}


def test_trials_are_told_by_their_settings_too(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials 0 of two searches have the same name."""
    monkeypatch.setattr(sweep, "train_trial", lambda *_: Outcome(0.5, 1, 1, False))
    heard: list[tuple[CellId, Event]] = []
    for epochs in (1, 2):
        target = sweep.prepare_sweep(
            ("lr",), Settings({"dataset": "clicks.yaml"}, train={"epochs": epochs}), Budget(1), 0, True, f"{epochs}.log", "cpu",
            DataRoots(None, cache), folder / "out", {},
        )  # fmt: skip
        sweep.work(target, lambda *said: heard.append(said))
    cells = list(dict.fromkeys(cell for cell, _ in heard))
    assert [(one.name, one.dataset, one.trial, one.seed) for one in cells] == [("lr trial 0", "clicks", 0, 0)] * 2
    assert len({one.config_hash for one in cells}) == 2 and len({one.data_hash for one in cells}) == 1
    assert [one for one, event in heard if isinstance(event, CellEnded)] == cells


def test_pruning_ends_trials_that_are_worse_than_most(folder: Path, cache: Path) -> None:
    """Asked of Optuna's pruner as it is set up here: after enough trials and epochs, below the median."""
    target = sweep.prepare_sweep(
        ("din",), Settings({"dataset": "clicks.yaml"}), Budget(1), 0, True, "j.log", "cpu", DataRoots(None, cache),
        folder / "out", {},
    )  # fmt: skip
    storage = open_storage("j.log")
    cell = target.targets[0].cell
    data = prepare_log(open_dataset(cell.source, target.roots), cell.experiment.data)
    worker = sweep.Worker(target.targets[0], target, data, sweep.devices.resolve("cpu"), storage, lambda *event: None)
    for number in range(sweep.WARM_UP_TRIALS + 1):
        trial, ends = worker.study.ask(), []
        for epoch in range(1, 5):
            trial.report(0.7 - 0.01 * number, step=epoch)
            ends.append(trial.should_prune())
        worker.study.tell(trial, 0.7)
        assert ends == [False, False, number == sweep.WARM_UP_TRIALS, number == sweep.WARM_UP_TRIALS][: len(ends)]


TRIALS = 3
LONG = ("--set", "train.epochs=8", "--set", "train.patience=8", "--set", "train.checkpoint_seconds=0.05", "--no-prune")


def start(folder: Path, storage: str, jobs: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "rankbench", "sweep", "--dataset", "clicks.yaml", "--models", "hstu", "--trials", str(TRIALS),
            "--device", "cpu", "--results", "out", "--storage", storage, "--jobs", str(jobs), *LONG,
        ],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def in_mid_trial(storage: str) -> FrozenTrial | None:
    """A trial that a process trains, of which there is a checkpoint and much left to do."""
    opened = open_storage(storage)
    for name in optuna.get_all_study_names(opened):
        study = optuna.load_study(study_name=name, storage=opened)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            kept = list(Path("out/checkpoints").rglob(f"*-trial-{trial.number}.pt"))
            if kept and budget.LEASE in trial.user_attrs and len(trial.intermediate_values) < 5:
                return trial
    return None


def kill_one(storage: str, crew: list[subprocess.Popen[str]]) -> FrozenTrial:
    """Kill whoever is in mid-trial first; its trial."""
    deadline = time.monotonic() + 300
    while (trial := in_mid_trial(storage)) is None:
        assert all(one.poll() is None for one in crew), "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(trial.user_attrs[budget.LEASE]["pid"], signal.SIGKILL)
    return trial


def check_complete(victim: FrozenTrial, output: str) -> None:
    record = found("out", "hstu")
    assert sum(trial.counts for trial in record.trials) == TRIALS and not [t for t in record.trials if t.state == "failed"]
    lost = [trial for trial in record.trials if trial.state == "handed on"]
    assert [(trial.number, trial.reason) for trial in lost] == [(victim.number, budget.DIED)]
    (retry,) = (trial for trial in record.trials if trial.retry_of == victim.number and trial.counts)
    assert retry.params == lost[0].params and retry.state == "complete" and retry.epochs == 8
    roots = [trial.number if trial.retry_of is None else victim.number for trial in record.counted]
    assert len(set(roots)) == TRIALS, "no trial is lost or done twice"
    name = f"hstu trial {victim.number} epoch "
    epochs = [line.split()[4] for line in output.splitlines() if line.startswith(name)]  # those of the survivor may stand first
    assert max(epochs) == "8/8" and len(epochs) == len(set(epochs)), "epochs of the checkpoint are not trained again"
    assert not list(Path("out/checkpoints").rglob("*.pt"))
    assert (home("out/tuned") / "hstu.yaml").exists()


@pytest.fixture(params=["journal", pytest.param("postgresql", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "journal":
        yield str(tmp_path / "journal.log")
    else:
        with postgres.cluster() as url:
            yield url


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_two_workers_of_which_one_is_killed(folder: Path, storage: str) -> None:
    """Journal: two commands started by hand. PostgreSQL: two workers of one command, which says that it lost one."""
    click_table(folder, rows=3000)
    by_hand = "://" not in storage
    crew = [start(folder, storage, jobs=1) for _ in range(2)] if by_hand else [start(folder, storage, jobs=2)]
    victim = kill_one(storage, crew)
    errors = [one.communicate(timeout=300)[1] for one in crew]
    assert sorted(one.returncode for one in crew) == ([-signal.SIGKILL, 0] if by_hand else [0]), errors
    assert by_hand or "ended with exit code -9" in errors[0]
    check_complete(victim, "".join(errors))
