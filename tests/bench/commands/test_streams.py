"""A pass through time as a command: on files in the form in which Yambda is published, which were made here."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rankbench.bench import cli, serving
from rankbench.bench.analysis.stream_statements import Envelopes, FloorsToTarget, ToTarget
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.records import weights
from rankbench.bench.reporting import stream_files
from rankbench.bench.runs import schedule
from support.published import write_arrow
from support.yambda import EVENT_TYPES

DAY = 86_400
DAYS, USERS, ITEMS = 6, 40, 30
RUN = ("--protocol", "dlrmv4-mini", "--device", "cpu", "--jobs", "1", "--quiet", "--results", "results", "--target", "0.6")


def publish(home: Path) -> None:
    """Listens whose label follows from the track, with likes of what was heard to the end."""
    rng, rows = random.Random(3), []
    for user in range(USERS):
        for time in sorted(rng.randrange(DAYS * DAY // 5) * 5 for _ in range(80)):
            item = rng.randrange(ITEMS)
            played = rng.randrange(60, 101) if rng.random() < (item + 1) / (ITEMS + 1) else rng.randrange(50)
            rows.append((user, time, item, rng.randrange(2), played, 100 + item, "listen"))
            if played > 90:
                rows.append((user, time + 5, item, 1, None, None, "like"))
    write_arrow(home / "multi_event.parquet", EVENT_TYPES, [dict(zip(EVENT_TYPES, row, strict=True)) for row in rows])
    for owner in ("artist", "album"):
        pairs: list[dict[str, Any]] = [{f"{owner}_id": item % 7, "item_id": item} for item in range(ITEMS)]
        write_arrow(home / f"{owner}_item_mapping.parquet", {f"{owner}_id": pa.uint32(), "item_id": pa.uint32()}, pairs)


@pytest.mark.long
def test_the_benchmark_in_small_from_files_to_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path / "data" / "yambda-50m")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RANKBENCH_DATA", str(tmp_path / "data"))
    asked = ("run", "--dataset", "yambda-50m", "--models", "own-rate,lr", "--seeds", "4", *RUN)
    assert cli.main([*asked, "--set", "train.lr=1e-2"]) == 0
    shown = capsys.readouterr().out
    assert "lr: AUC 0.6 on the next window, reached after" in shown and "differs: every listen is an example" in shown

    folder = next((tmp_path / "results" / "streams").iterdir())
    assert {path.name for path in folder.iterdir()} == {"stream.json", "table.md", "table.csv", "to_target.svg", "to_target.png"}
    board = stream_files.load(folder / "stream.json")
    assert [window.number for window in board.windows] == list(range(2, DAYS + 1))
    rows = {row.model: row for row in board.rows}
    assert rows.keys() == {"own-rate", "lr"} and all(len(row.seeds) == 4 for row in board.rows)
    for row in board.rows:
        learned = [work.samples for work in row.work]
        assert learned == sorted(learned) and len(row.auc) == DAYS - 1
        assert [before + window.scored for before, window in zip(learned, board.windows, strict=True)][:-1] == learned[1:]
    assert set(rows["own-rate"].seeds[0].request_gauc) == {0.5}
    told = {one.row: one for one in board.statements if isinstance(one, ToTarget)}
    assert told["lr"].reached == 4 and told["own-rate"].reached == 0 and told["own-rate"].work is None
    assert any(isinstance(one, FloorsToTarget) and one.floors == ("lr",) for one in board.statements)
    assert [set(one.watched) for one in board.statements if isinstance(one, Envelopes)] == [{row.label for row in board.rows}]
    assert len((folder / "table.csv").read_text().splitlines()) == 1 + 2 * 4 * (DAYS - 1)

    # What is asked for scores later knows what the last window had that was learned from, as the record's own test did.
    path = next(Path("results/runs").rglob("lr/*/seed-0.safetensors"))
    served = serving.of_header(weights.read(path)[1], path, DataRoots(tmp_path / "data", tmp_path / "cache"), None)[1]
    assert served.window == DAYS - 2

    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        if path.name != "stream.json":
            path.unlink()

    def train(*_: object) -> None:
        raise AssertionError("what is finished is not trained again")

    monkeypatch.setattr(schedule, "run_job", train)
    assert cli.main([*asked, "--set", "train.lr=1e-2"]) == 0
    assert cli.main(["redraw", "--results", "results"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == made
    assert cli.main(["check", "results"]) == 0
    assert "nothing wrong was found" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "train.epochs=3"), "train.epochs=3 does nothing beside the other settings of lr"),
        (("--set", "data.test_history=frozen"), "data.test_history=frozen"),
        (("--set", "data.feedback_delay=60"), "data.feedback_delay=60.0 does not go with train.order=time"),
        (("--set", "data.item_id=codes"), "data.item_id=codes does not go with train.order=time"),
    ],
)
def test_what_would_let_the_future_in_is_refused(
    more: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path / "data" / "yambda-50m")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RANKBENCH_DATA", str(tmp_path / "data"))
    assert cli.main(["run", "--dataset", "yambda-50m", "--models", "lr", "--seeds", "1", *RUN, *more]) == 2
    assert message in capsys.readouterr().err


def test_a_sweep_of_passes_is_refused(own_folders: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", "--models", "lr", "--protocol", "dlrmv4-mini", "--dataset", "ml-1m", "--quiet"]) == 2
    assert "train.order=time has no validation to search by" in capsys.readouterr().err
