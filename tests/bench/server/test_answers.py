"""The file of answers: whatever happens to the disk, every line that was written whole can be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rankbench.bench.server.answers import AnswerLog


def test_after_a_full_disk_every_answer_has_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, room, write = tmp_path / "answers.jsonl", [10**6], os.write

    def limited(file: int, content: bytes) -> int:
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        written = write(file, content[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)
    log = AnswerLog(path)
    log.write(id="a")
    for left in (4, 0, 1):  # a torn line; nothing at all; no more than the end of the torn line
        room[0] = left
        with pytest.raises(OSError, match="space"):
            log.write(id="b")
    room[0] = 10**6
    log.write(id="c")
    log.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["id"] for line in (lines[0], lines[-1])] == ["a", "c"] and lines[1:-1] == ['{"id']


def test_a_line_torn_by_an_earlier_process_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": "a"}\n{"id"')
    log = AnswerLog(path)
    log.write(id="c")
    log.close()
    assert path.read_text() == '{"id": "a"}\n{"id"\n{"id": "c"}\n'
