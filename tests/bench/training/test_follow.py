"""Whoever follows training from outside reads what the terminal shows, whole and in numbers."""

from __future__ import annotations

import json
import resource
import sys
import types
from pathlib import Path

import pytest
from rich.progress import Progress

from rankbench.bench import cli
from rankbench.bench.errors import UserError
from rankbench.bench.training.display import Display
from rankbench.bench.training.follow import Followed, TensorBoard
from rankbench.bench.training.progress import CellEnded, CellId, CellStarted, EpochStarted, Event, Stepped
from support.cache import own_cache
from support.events import ALIKE, EVENTS, cell
from support.tables import click_table


def told(display: Display) -> None:
    with display:
        for event in EVENTS:
            display.handle(cell(), event)
        display.handle(cell("<hstu>", 1), CellEnded("failed", reason="it has no such file"))


def test_every_event_is_a_line_that_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    for _ in range(2):  # a second start appends
        told(Display(quiet=True, followers=Followed(json=path).start()))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 2 * (len(EVENTS) + 1) and {line["time"][-6:] for line in lines} == {"+00:00"}
    assert [line["event"] for line in lines[:3]] == ["epoch started", "stepped", "epoch finished"]
    first, refit, ended, failed = lines[2], lines[5], lines[6], lines[7]
    facts = ("model", "dataset", "split", "config_hash", "data_hash", "seed", "results", "trial")
    assert [[line[fact] for fact in facts] for line in lines[:8]] == [
        *[["din", "clicks", "global-time", "ab12", "cd34", 0, "/out", None]] * len(EVENTS),
        ["<hstu>", "clicks", "global-time", "ab12", "cd34", 1, "/out", None],
    ]
    assert (first["cell"], first["epoch"], first["valid_auc"], first["examples_per_second"]) == ("din seed 0", 1, 0.6, 1e4)
    assert refit["valid_auc"] is None and ended["metrics"] == {"auc": 0.7, "request_gauc": 0.6, "user_gauc": None}
    assert (failed["status"], failed["reason"], failed["metrics"]) == ("failed", "it has no such file", None)


def test_a_quiet_display_shows_nothing_and_another_one_every_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(Display(quiet=True))
    assert capsys.readouterr().err == ""
    told(Display(quiet=False))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("din seed 0 epoch 1/2  loss 0.6900  valid request_gauc 0.5500  auc 0.6000")
    assert "not validated" in lines[1]
    assert lines[2] == "din seed 0: test request_gauc 0.6000  auc 0.7000  trained in 3.0 s, best epoch 1"
    assert lines[3] == "<hstu> seed 1: FAILED: it has no such file"


def test_what_another_command_finished_is_not_shown_as_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Display(quiet=False, followers=Followed(json=tmp_path / "log").start()) as display:
        display.handle(cell(), CellEnded("elsewhere", 3.0, "test", {"auc": 0.7, "request_gauc": 0.6}, 1))
    shown = "din seed 0: finished by another command meanwhile: test request_gauc 0.6000  auc 0.7000"
    assert capsys.readouterr().err.splitlines() == [shown]
    assert json.loads((tmp_path / "log").read_text())["status"] == "elsewhere"


@pytest.mark.parametrize("where", [Followed(json=Path("file/log")), Followed(tensorboard=Path("file/curves"))])
def test_a_place_that_cannot_be_written_is_one_line(where: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if where.tensorboard is not None:
        pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UserError, match=r"--(log-json|tensorboard): file/\w+ cannot be written \(.*\); name another"):
        where.start()


@pytest.mark.long
def test_tensorboard_reads_the_curves_of_each_cell(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(Display(quiet=True, followers=[TensorBoard(tmp_path)]))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["-hstu-seed-1-clicks@global-time-ab12-cd34", "din-seed-0-clicks@global-time-ab12-cd34"]
    kept = EventAccumulator(str(tmp_path / names[1]))
    kept.Reload()
    assert [(one.step, round(one.value, 3)) for one in kept.Scalars("train/loss")] == [(3, 0.7), (6, 0.6)]
    assert [one.step for one in kept.Scalars("epoch/valid request_gauc")] == [1], "a refit is not validated"
    assert [round(one.value, 3) for one in kept.Scalars("test/auc")] == [0.7]


def test_whoever_can_no_longer_follow_is_left_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk or a server that is gone ends no training."""
    heard: list[str] = []

    class Full:
        def hear(self, cell: CellId, event: Event) -> None:
            heard.append(cell.name)
            raise UserError("--log-json: log cannot be written (No space left on device)")

        def close(self) -> None:
            heard.append("closed")

    path = tmp_path / "log"
    told(Display(quiet=True, followers=[Full(), *Followed(json=path).start()]))
    assert heard == ["din seed 0", "closed"] and len(path.read_text().splitlines()) == len(EVENTS) + 1
    said = "--log-json: log cannot be written (No space left on device); training goes on without it\n"
    assert capsys.readouterr().err == said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    told(Display(quiet=True, followers=Followed(json=Path("/dev/full")).start()))
    assert capsys.readouterr().err == (
        "--log-json: /dev/full cannot be written (No space left on device); training goes on without it\n"
    )


def test_the_line_that_a_full_disk_cuts_is_told_and_the_next_one_begins_on_its_own(tmp_path: Path) -> None:
    path, usual = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)
    (first,) = Followed(json=path).start()
    first.hear(cell(), EVENTS[0])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, usual[1]))
        with pytest.raises(UserError, match=r"--log-json: .*log cannot be written \(File too large\)"):
            first.hear(cell(), EVENTS[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        first.close()
    for _ in range(2):
        (again,) = Followed(json=path).start()
        again.hear(cell(), EVENTS[1])
        again.close()
    whole, torn, *later = path.read_text().splitlines()
    assert len(torn) == 10 and [json.loads(line)["event"] for line in (whole, *later)] == ["epoch started", "stepped", "stepped"]


class Kept:
    """What a TensorBoard folder is given."""

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.closed = Path(folder).name, list[tuple[str, float, int]](), False

    def add_scalar(self, name: str, value: float, step: int) -> None:
        if value > 1e9:
            raise OSError(28, "No space left on device")
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.closed = True


def curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TensorBoard, list[Kept]]:
    """A follower that writes nothing, and what it would write."""
    made: list[Kept] = []
    module = types.SimpleNamespace(SummaryWriter=lambda folder: made.append(Kept(folder)) or made[-1])
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return TensorBoard(tmp_path), made


def test_cells_of_the_same_name_have_their_own_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower, made = curves(tmp_path, monkeypatch)
    for event in (EpochStarted(1, 2, 9, 0), Stepped(9, 0.7, 1e4)):
        for one in ALIKE:
            follower.hear(one, event)
    assert len({kept.folder for kept in made}) == len(ALIKE) == len(made)
    assert all(kept.scalars[0] == ("train/loss", 0.7, 9) and len(kept.scalars) == 2 for kept in made)


def test_curves_of_a_cell_that_begins_again_begin_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower, made = curves(tmp_path, monkeypatch)
    for _ in range(2):
        for event in (CellStarted({}), EpochStarted(1, 2, 9, 0), Stepped(9, 0.7, 1e4)):
            follower.hear(cell(), event)
    assert [kept.closed for kept in made] == [True, False] and made[0].scalars == made[1].scalars


def test_curves_that_cannot_be_written_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower, _ = curves(tmp_path, monkeypatch)
    with pytest.raises(UserError, match=r"--tensorboard: .* cannot be written \(No space left on device\)"):
        follower.hear(cell(), Stepped(1, 1e10, 1e4))


def test_how_a_cell_ends_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The process that trained it says so at once, and the command again for all cells; one that begins again ends again."""
    heard: list[tuple[CellId, Event]] = []

    class Listener:
        def hear(self, cell: CellId, event: Event) -> None:
            heard.append((cell, event))

        def close(self) -> None: ...

    other = cell(config_hash="ef56")
    with Display(quiet=False, followers=[Listener()]) as display:
        for one in (cell(), cell(), other, cell()):
            display.handle(one, EVENTS[-1])
        display.handle(cell(), CellStarted({}))
        display.handle(cell(), EVENTS[-1])
    assert [one for one, event in heard if isinstance(event, CellEnded)] == [cell(), other, cell()]
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_cells_of_the_same_name_have_their_own_bars() -> None:
    with Display(quiet=True) as display:
        display.bars = Progress(disable=True)
        for one in ALIKE:
            display.handle(one, EpochStarted(1, 2, 9, 0))
        display.handle(ALIKE[1], Stepped(5, 0.7, 1e4))
        assert [task.completed for task in display.bars.tasks] == [0, 5, 0, 0, 0]


@pytest.mark.long
def test_a_run_in_two_processes_and_a_sweep_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    table, short = str(click_table(tmp_path)), ("--set", "train.epochs=2", "--quiet", "--device", "cpu", "--results", "out")
    for command in (["run", "--seeds", "2", "--jobs", "2"], ["sweep", "--trials", "2"]):
        assert cli.main([*command, "--dataset", table, "--models", "din", *short, "--log-json", f"{command[0]}.jsonl"]) == 0
        lines = [json.loads(line) for line in Path(f"{command[0]}.jsonl").read_text().splitlines()]
        ends = [line for line in lines if line["event"] == "cell ended"]
        assert len(ends) == 2 and {line["status"] for line in ends} == {"ok"}
        assert sum(line["event"] == "epoch finished" for line in lines) == 4
        begun = [line for line in lines if line["event"] == "cell started"]
        assert [line["settings"]["train.epochs"] for line in begun] == [2, 2] and {line["model"] for line in begun} == {"din"}
        seed, trial = ([0, 1], [None, None]) if command[0] == "run" else ([0, 0], [0, 1])
        assert sorted((line["seed"], line["trial"]) for line in begun) == list(zip(seed, trial, strict=True))
        assert {line["role"] for line in ends} == {"test" if command[0] == "run" else "valid"}
