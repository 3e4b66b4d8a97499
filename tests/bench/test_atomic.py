"""What a killed writer leaves is taken away by the next one, what somebody is at work on never is, and the umask rules."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rankbench.bench import atomic
from rankbench.bench.atomic import WRITING, alone, temporary, temporary_folder, tidy, write_text
from rankbench.bench.errors import UserError
from rankbench.bench.records.store import Store

WRITER = """
import sys, time
from pathlib import Path
from rankbench.bench.atomic import temporary, temporary_folder

with temporary(Path(sys.argv[1])) as file, temporary_folder(Path(sys.argv[1])) as folder:
    file.write_text("half")
    (folder / "part").write_text("half")
    print("at work", flush=True)
    time.sleep(600)
"""


def at_work(folder: Path) -> subprocess.Popen[str]:
    """A process in the midst of writing a file and a folder."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stdout.readline() == "at work\n"
    return process


def unfinished(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.name.startswith(WRITING))


@pytest.mark.long
def test_what_a_living_process_writes_stays_and_what_a_killed_one_wrote_goes(tmp_path: Path) -> None:
    cell = tmp_path / "results" / "runs" / "cell"
    cell.mkdir(parents=True)
    writer = at_work(cell)
    try:
        write_text(cell / "seed-0.json", "whole")
        Store(tmp_path / "results").check_writable()
        assert len(unfinished(cell)) == 2, "somebody is at work on them"
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=60)
    assert len(unfinished(cell)) == 2
    Store(tmp_path / "results").check_writable()
    assert [path.name for path in cell.iterdir()] == ["seed-0.json"]


def test_whoever_writes_into_a_folder_tidies_it_and_no_other(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "below"):
        folder.mkdir(exist_ok=True)
        (folder / f"{WRITING}dead").write_text("half")
        (folder / f"{WRITING}dead-folder").mkdir()
        (folder / f"{WRITING}dead-folder" / "part").write_text("half")
    write_text(tmp_path / "file", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below", "file"]
    assert [path.parent.name for path in unfinished(tmp_path)] == ["below", "below"]
    tidy(tmp_path, below=True)
    assert not unfinished(tmp_path)


def test_nothing_stays_of_what_fails_and_all_of_what_is_renamed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), temporary(tmp_path), temporary_folder(tmp_path):
        raise ZeroDivisionError
    with temporary(tmp_path) as new, temporary_folder(tmp_path) as folder:
        new.write_text("whole")
        os.replace(new, tmp_path / "file")
        os.replace(folder, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_one_that_is_tidied_away_between_its_birth_and_its_lock_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    lock = fcntl.flock

    def tidied_first(handle: int, kind: int) -> None:
        if not taken:
            taken.extend(unfinished(tmp_path))
            taken[0].unlink()
        lock(handle, kind)

    monkeypatch.setattr(atomic.fcntl, "flock", tidied_first)
    with temporary(tmp_path) as path:
        assert path.exists() and path not in taken


def test_without_locks_nothing_of_others_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: int, kind: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic.fcntl, "flock", none)
    (tmp_path / f"{WRITING}perhaps-alive").write_text("half")
    write_text(tmp_path / "file", "whole")
    assert [path.name for path in unfinished(tmp_path)] == [f"{WRITING}perhaps-alive"]


def test_a_name_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("whole")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{WRITING}link").symlink_to(tmp_path / "mine")
    tidy(tmp_path / "cache")
    assert (tmp_path / "mine" / "file").exists()


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)])
def test_the_umask_says_who_reads_a_file(tmp_path: Path, mask: int, file: int, folder: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "cache" / "logs" / "a.pointer", "whole")
        with temporary_folder(tmp_path) as made:
            assert made.stat().st_mode & 0o777 == folder
    finally:
        os.umask(before)
    assert (tmp_path / "cache" / "logs" / "a.pointer").stat().st_mode & 0o777 == file
    assert (tmp_path / "cache" / "logs").stat().st_mode & 0o777 == folder


def test_whoever_does_not_wait_is_told_that_another_one_is_in_there(tmp_path: Path) -> None:
    with alone(tmp_path / "lock"), pytest.raises(BlockingIOError), alone(tmp_path / "lock", wait=False):
        pass
    assert not (tmp_path / "lock").exists()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/below/a cannot be written \(Not a directory\)"):
        write_text(tmp_path / "file" / "below" / "a", "whole")
