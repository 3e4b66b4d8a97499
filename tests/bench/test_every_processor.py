"""The same records give the same files, byte by byte, whatever processor and number of threads draw a board or a study."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rankbench.bench import cli
from support.cache import own_cache
from support.processors import as_each_processor, at_hand
from support.tables import click_table

ON_CLICKS = ("--dataset", "clicks.yaml", "--results", "results", "--device", "cpu", "--jobs", "1")
SMALL = (*ON_CLICKS, "--set", "train.epochs=1", "--set", "data.request_window=36000")
STUDY = ("study", "time", "--models", "lr", "--seeds", "2", *SMALL)
AGAIN = """
from rankbench.bench import cli
assert cli.main(["board", "--results", "results", "--dataset", "clicks.yaml"]) == 0
assert cli.main({study!r}) == 0
"""


@pytest.mark.long
@pytest.mark.skipif(not at_hand(), reason="this processor can stand for no other")
def test_boards_and_studies_are_the_same_files_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = own_cache(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    click_table(tmp_path)
    assert cli.main(["run", "--models", "random,ctr,lr,dnn", "--seeds", "3", *SMALL]) == 0
    assert cli.main(list(STUDY)) == 0
    made = files(tmp_path / "results")
    pages = {name for name in made if not name.startswith("runs/") and "/runs/" not in name}
    assert any(name.endswith("board.md") for name in pages) and any(name.endswith("study.json") for name in pages)
    code = "import shutil, os\nshutil.copytree('.', '../{name}')\nos.chdir('../{name}')\n" + AGAIN.format(study=list(STUDY))
    for name in pages:
        (tmp_path / "results" / name).unlink()
    own = tmp_path / "own"
    own.mkdir()
    for part in ("results", "clicks.csv", "clicks.yaml"):
        shutil.move(tmp_path / part, own / part)
    done = as_each_processor(["-c", code], own, threads=(1, 2), RANKBENCH_CACHE=str(cache))
    for (processor, threads), process in done.items():
        assert process.returncode == 0, process.stderr
        again = files(tmp_path / f"{processor}-{threads}" / "results")
        assert again.keys() == made.keys()
        assert [name for name in made if again[name] != made[name]] == [], f"as {processor} with {threads} thread(s)"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
