"""Storages: one line says what is wrong, passwords stay secret, and a killed writer spoils nothing."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import optuna
import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.search.storage import _Lock, open_storage


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("nonsense://host/db", "is not the URL of a database; .*write postgresql\\+psycopg://"),
        ("postgresql+psycopg://me:secret@host/db", "needs the package psycopg: pip install 'rankbench\\[postgres\\]'"),
        ("mysql+pymysql://me:secret@host/db", "needs the package pymysql: pip install pymysql"),
        ("sqlite:///nowhere/at/all.db", "cannot be opened"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_one_line(storage: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=message) as caught:
        open_storage(storage)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.log").write_text("milk\neggs\n")
    with pytest.raises(UserError, match="is not a whole journal of Optuna"):
        open_storage(str(tmp_path / "notes.log"))


def test_a_writer_killed_in_mid_line_spoils_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = optuna.create_study(study_name="one", storage=open_storage("sweeps/journal.log"))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    journal = tmp_path / "sweeps" / "journal.log"
    with journal.open("a") as file:
        file.write('{"op_code":4,"worker_id":"half a li')
    again = optuna.load_study(study_name="one", storage=open_storage("sweeps/journal.log"))
    again.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    whole = optuna.load_study(study_name="one", storage=open_storage(str(journal)))
    assert [trial.number for trial in whole.trials] == [0, 1, 2, 3]


def test_a_lock_that_was_not_got_is_not_held(tmp_path: Path) -> None:
    """Optuna releases only what it got: a lock kept by mistake would stop every worker, this process first."""
    journal = tmp_path / "journal.log"
    lock = _Lock(journal)
    with pytest.raises(FileNotFoundError):
        lock.acquire()
    journal.touch()
    other = os.open(f"{journal}.flock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    assert lock.acquire()
    lock.release()
