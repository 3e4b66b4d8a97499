"""A log appears whole, and one process makes it at a time."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from rankbench.bench.data.eventlog import complete_folder


def test_who_waited_for_a_lock_that_was_taken_away_holds_the_one_that_is_there(tmp_path: Path) -> None:
    """Else a third process, which finds no lock, would write into the same folder beside it."""
    lock, inside, leave = tmp_path / ".log.lock", threading.Event(), threading.Event()

    def make() -> None:
        with complete_folder(tmp_path / "log") as building:
            (building / "meta.json").write_text("{}")
            inside.set()
            leave.wait(30)

    first = lock.open("w")
    fcntl.flock(first, fcntl.LOCK_EX)
    waiting = threading.Thread(target=make)
    waiting.start()
    assert not inside.wait(0.2)
    lock.unlink()  # as who is done does, before it lets go
    first.close()
    assert inside.wait(30)
    with lock.open("w") as third, pytest.raises(BlockingIOError):
        fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)
    leave.set()
    waiting.join()
    assert (tmp_path / "log" / "meta.json").exists() and not lock.exists()


def test_nothing_stays_of_a_log_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), complete_folder(tmp_path / "log", resumed=True) as building:
        (building / "item.npy").write_text("half")
        raise ValueError("no")
    assert not list(tmp_path.iterdir())
