"""A conversion that is killed at any stage goes on when the same command is given again, and makes the same log."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.data.conversion import rows
from rankbench.bench.data.conversion.dictionary import Dictionary
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots

KILLED = """
import os, sys
from pathlib import Path
from rankbench.bench.data.conversion import dictionary, rows, stream, within
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots

def killing(owner, name, after):
    whole, left = getattr(owner, name), [after]
    def killed(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        return whole(*arguments, **named)
    setattr(owner, name, killed)

owner, name, after = sys.argv[1:4]
killing(eval(owner), name, int(after))
open_dataset(sys.argv[4], DataRoots(None, Path(sys.argv[5])))
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part in range(4):
        time = np.sort(rng.integers(10**9, 10**9 + 10**6, 500))
        users, items = rng.integers(0, 40, 500), rng.integers(0, 60, 500)
        frame = {"user": [f"u{user}" for user in users], "item": items, "time": time, "click": rng.integers(0, 2, 500)}
        frame |= {"brand": items % 7, "tags": [f"{item % 5} {item % 3}" for item in items.tolist()]}
        pd.DataFrame(frame).to_parquet(tmp_path / f"{part}.parquet")
    (tmp_path / "clicks.yaml").write_text(
        'events: "*.parquet"\nlabel: click\naction: [click]\nitem_features: [brand, {column: tags, kind: multi}]\n'
    )
    return tmp_path / "clicks.yaml"


@pytest.mark.long
@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        ("dictionary.Dictionary", "add", 15),
        ("dictionary", "merge_runs", 1),
        ("rows.Records", "_scatter", 2),
        ("stream.GrowingColumn", "append", 1),
        ("stream", "_close", 0),
        ("within", "write_words", 0),
        ("within", "write_words", 1),
    ],
)
def test_a_killed_conversion_goes_on(
    table: Path, tmp_path: Path, owner: str, name: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_dataset(str(table), DataRoots(None, tmp_path / "whole")).meta.content_hash
    cache = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, owner, name, str(after), str(table), str(cache)]
    assert subprocess.run(command, env=dict(os.environ), check=False).returncode == 9
    assert len(list((cache / "logs").glob(".*.part"))) == 1, "what is done is kept"

    encoded, scattered = [], []
    add, scatter = Dictionary.add, rows.Records._scatter
    monkeypatch.setattr(Dictionary, "add", lambda self, *rest: encoded.append(1) or add(self, *rest))
    monkeypatch.setattr(rows.Records, "_scatter", lambda self, *rest: scattered.append(1) or scatter(self, *rest))
    log = open_dataset(str(table), DataRoots(None, cache))
    assert log.meta.content_hash == expected
    parts_of_tags = 2  # of all cells and of a missing one, which are taken apart when all is known
    assert len(encoded) == (5 if name == "add" else 0) + parts_of_tags, "what was kept is not encoded again"
    assert bool(scattered) == (owner not in ("stream.GrowingColumn", "stream", "within"))
    assert not [path.name for path in (cache / "logs").iterdir() if path.name.startswith(".")], "nothing half-written stays"
