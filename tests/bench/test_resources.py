"""What a machine has left is told before a long run needs it."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from rankbench.bench import doctor, resources
from rankbench.bench.resources import Disk, Memory, OpenFiles

Room = namedtuple("Room", "f_files f_favail")


@pytest.mark.parametrize(
    ("text", "limited"), [("1073741824\n", True), ("max\n", False), (None, False), ("9223372036854771712", False)]
)
def test_a_container_may_have_less_than_its_machine(tmp_path: Path, text: str | None, limited: bool) -> None:
    if text is not None:
        (tmp_path / "memory.max").write_text(text)
    found, machine = resources.memory((tmp_path / "memory.max",)), psutil.virtual_memory().total / 2**30
    assert found.total_gb == (1.0 if limited else machine)
    assert 0 < found.available_gb <= found.total_gb


def test_a_folder_that_is_not_there_yet_has_the_room_of_the_one_above(tmp_path: Path) -> None:
    found = resources.disk(tmp_path / "new" / "results")
    assert found.folder == tmp_path and found.free_gb > 0 and found.writable
    (tmp_path / "file").write_text("")
    assert not resources.disk(tmp_path / "file" / "results").writable


@pytest.mark.parametrize(("counted", "files"), [(Room(10, 3), 3), (Room(0, 0), None)])
def test_files_that_can_still_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Room, files: int | None) -> None:
    """Some file systems count none."""
    monkeypatch.setattr(os, "statvfs", lambda folder: counted)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda folder: namedtuple("Usage", "free")(2**30))
    assert resources.disk(tmp_path).files == files


def test_a_disk_that_is_certainly_too_small_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "disk", lambda folder: Disk(folder, 0.25, None, True))
    assert resources.lacks_room(tmp_path, 2**28) is None
    said = f"only 0.25 GiB are free for {tmp_path}, and these runs need at least 0.50; make room"
    assert resources.lacks_room(tmp_path, 2**29) == said


def test_open_files_are_those_of_this_process() -> None:
    found = resources.open_files()
    assert 0 < found.soft <= found.hard


@pytest.mark.parametrize(
    ("name", "found", "state", "words"),
    [
        ("memory", Memory(4.0, 1.5), "warn", "4.0 GiB, 1.5 of them to be had; that is little"),
        ("memory", Memory(24.0, 12.0), "ok", "24.0 GiB, 12.0 of them to be had"),
        ("open_files", OpenFiles(256, 4096), "warn", "256 at most, which several processes or a search may need; ulimit -n 4096"),
        ("open_files", OpenFiles(256, 256), "warn", "ask for a higher limit"),
        ("open_files", OpenFiles(1024, 4096), "ok", "1024 at most"),
        ("disk", Disk(Path("/x"), 0.5, None, True), "warn", "0.5 GiB free; that is little"),
        ("disk", Disk(Path("/x"), 50.0, 99, True), "warn", "50.0 GiB free, but only 99 more files fit there"),
        ("disk", Disk(Path("/x"), 50.0, None, True), "ok", "50.0 GiB free"),
        ("disk", Disk(Path("/x"), 50.0, None, False), "FAIL", "cannot be written; let this user write to /x"),
    ],
)
def test_doctor_warns_of_what_a_long_run_may_fail_by(
    monkeypatch: pytest.MonkeyPatch, name: str, found: object, state: str, words: str
) -> None:
    monkeypatch.setattr(resources, name, lambda *folder: found)
    monkeypatch.setattr(doctor, "_torch", lambda: [])
    monkeypatch.setattr(doctor, "_compiler", lambda: doctor.Condition("compiler", "not asked"))
    (line,) = [
        line
        for line in doctor.examine(None, Path("cache"), Path("results"))
        if line.name == {"open_files": "open files", "disk": "results"}.get(name, name)
    ]
    assert line.state == state and words in line.value
