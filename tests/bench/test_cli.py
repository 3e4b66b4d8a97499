"""The shell around the harness: help, exit codes, one-line errors, and a whole benchmark on a small table of one's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rankbench import __version__
from rankbench.bench import cli
from rankbench.bench.config import read_settings
from rankbench.bench.data.sources import DATASETS
from rankbench.bench.data.splits import SPLITS
from rankbench.bench.evaluation.cards import METRICS
from rankbench.bench.registry import MODELS
from rankbench.bench.runs import schedule
from rankbench.bench.studies.catalog import STUDIES
from rankbench.kernels import native
from support.shell import refused
from support.tables import click_table

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return click_table(tmp_path)


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "rankbench", *arguments], env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"rankbench {__version__}\n"


def test_lists_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    def names(kind: str) -> set[str]:
        assert cli.main(["ls", kind]) == 0
        return {line.split()[0] for line in capsys.readouterr().out.splitlines()}

    assert names("models") == set(MODELS)
    assert names("studies") == set(STUDIES)
    assert names("datasets") == {*DATASETS, "FILE.yaml"}
    assert names("metrics") == set(METRICS)


def benchmark(table: Path, *more: str) -> int:
    return cli.main(["run", "--dataset", str(table), "--device", "cpu", "--jobs", "1", "--set", "train.epochs=2", *more])


def drawn(results: str) -> dict[str, bytes]:
    """Every file of the boards of a folder; the bytes of a PNG depend on a library's version."""
    return {path.name: path.read_bytes() for path in Path(results).glob("boards/*/*") if path.suffix != ".png"}


@pytest.mark.long
def test_a_whole_benchmark(table: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ("--models", "popularity,dnn,hstu", "--seeds", "2")
    assert benchmark(table, *asked) == 0
    first = capsys.readouterr()
    assert all(name in first.out for name in ("popularity", "dnn", "hstu"))
    assert first.out.rstrip().endswith(str(Path("results/local/boards/clicks@global-time")))
    files = {path.name for path in (tmp_path / "results/local/boards/clicks@global-time").iterdir()}
    assert {"board.md", "board.csv", "board.json"} <= files and any(name.endswith(".svg") for name in files)
    records = sorted((tmp_path / "results/local/runs").rglob("seed-*.json"))
    assert len(records) == 6
    before = {path: path.stat().st_mtime_ns for path in records}

    assert benchmark(table, *asked) == 0
    again = capsys.readouterr()
    assert "6 of 6 cells were finished before" in again.err and again.out == first.out
    assert {path: path.stat().st_mtime_ns for path in records} == before, "a finished cell is not trained twice"

    assert cli.main(["score"]) == 0
    assert "6 runs recomputed" in capsys.readouterr().out
    assert cli.main(["board", "--dataset", "clicks"]) == 0
    assert capsys.readouterr().out == first.out
    shutil.copytree("results/local/runs", "elsewhere/runs")
    there = ("board", "--results", "elsewhere")
    assert "name its YAML file with --dataset FILE.yaml" in refused(capsys, *there)
    assert cli.main([*there, "--dataset", str(table)]) == 0, "rows that were not copied along are made again from the data set"
    assert drawn("elsewhere") == drawn("results/local"), "records, scores and the data set make the same board anywhere"
    capsys.readouterr()
    shutil.rmtree(tmp_path / "results/local/rows")
    events = table.with_suffix(".csv")
    events.write_text("\n".join(events.read_text().splitlines()[:-50]))
    assert "gives other test rows than those that the runs in results/local scored" in refused(
        capsys, "score", "--dataset", str(table)
    )
    assert "it holds clicks@global-time" in refused(capsys, "board", "--dataset", "ml-100k")


@pytest.mark.long
def test_settings_of_file_flags_and_assignments_end_in_the_record(table: Path, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(
        yaml.safe_dump({"data": {"time": "none", "split": "leave-one-out"}, "dnn": {"dropout": 0.3}})
    )
    assert read_settings(tmp_path / "my.yaml", tuple(MODELS)).data["split"] == "leave-one-out"
    more = ("--config", "my.yaml", "--split", "per-user-time", "--set", "dnn.dropout=0.4", "--results", "other")
    assert benchmark(table, "--models", "dnn", "--seeds", "1", *more) == 0
    (path,) = (tmp_path / "other/runs/clicks@per-user-time/dnn").rglob("seed-0.json")
    config = json.loads(path.read_text())["config"]
    assert config["data"]["time"] == "none" and config["data"]["split"] == "per-user-time"
    assert config["params"]["dropout"] == 0.4 and config["train"]["epochs"] == 2
    assert not (tmp_path / "results").exists()


def test_a_failed_run_is_a_record_and_exit_code_1(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--models", "popularity,dnn", "--seeds", "1", "--set", "dnn.train.lr=1e30", "--set", "dnn.train.clip_norm=0")
    assert benchmark(table, *asked, "--quiet") == 1
    shown = capsys.readouterr()
    assert [line.split(":")[:2] for line in shown.err.splitlines()] == [["failed", " dnn seed 0"]]
    assert "popularity" in shown.out, "the others still make a board"
    assert benchmark(table, *asked[2:], "--models", "dnn", "--results", "other", "--quiet") == 1
    assert "no run succeeded" in capsys.readouterr().out


def test_a_data_set_is_fetched_and_described(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "get", str(table)]) == 0
    got = capsys.readouterr().out
    assert "1,500 events of 30 users and 20 items" in got and "clicks.csv, sha256" in got
    folder = Path(got.splitlines()[-1].removeprefix("converted event log: "))
    assert folder.is_dir()
    assert cli.main(["data", "describe", str(table)]) == 0
    described = capsys.readouterr().out
    declared = {name for name in SPLITS if f"split {name}" in described}
    assert declared == SPLITS.keys() - {"declared"}, "the table declares no test"
    assert "licence: " in described
    assert described.splitlines()[-1] == f"converted event log: {folder}"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "run_all", interrupted)
    assert cli.main(["run"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_kernels_are_listed_with_what_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls", "kernels", "--device", "cpu"]) == 0
    rows = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["operation", "implementation", "device", "cpu", "state"]
    for operation in ("hstu_attention", "bias_mixing"):
        states = {row[1]: row[3] for row in rows if row[0] == operation}
        assert states.keys() >= {"cpu", "torch", "reference"} and list(states.values()).count("chosen") == 1


@pytest.mark.long
def test_without_a_compiler_torch_runs_and_that_is_said(table: Path, tmp_path: Path) -> None:
    listed = shell("ls", "kernels", "--device", "cpu", CXX="false").stdout.splitlines()
    by_name = {tuple(line.split()[:2]): line for line in listed[1:]}
    refused = by_name["hstu_attention", "cpu"]
    assert "-       the C++ compiler false does not work: --version ends with 1" in refused
    assert {line.split()[1] for line in listed[1:] if line.split()[3] == "chosen"} == {"torch"}
    doctor = shell("doctor", CXX="false")
    assert doctor.returncode == 0
    assert "hstu_attention torch, bias_mixing torch" in doctor.stdout
    assert "hstu_attention=cpu, bias_mixing=cpu" in doctor.stdout
    assert "the C++ compiler false does not work" in doctor.stdout
    run = ("run", "--dataset", str(table), "--models", "hstu", "--device", "cpu", "--seeds", "1", "--set", "train.epochs=1")
    wrong = shell(*run, "--kernel", "hstu_attention=cpu", CXX="false")
    reason = "the C++ compiler false does not work: --version ends with 1"
    assert wrong.returncode == 2
    assert wrong.stderr == f"rankbench: error: --kernel hstu_attention=cpu is not available: {reason}\n"
    assert not (tmp_path / "results").exists(), "refused before anything ran"
    assert shell(*run, CXX="false").returncode == 0
    (record,) = (tmp_path / "results/local/runs").rglob("seed-*.json")
    assert json.loads(record.read_text())["kernels"] == {
        operation: "torch"
        for operation in ("lookup", "linear", "dropout", "silu_split", "gated_norm", "hstu_attention", "hstu_layer")
    }


@pytest.mark.long
def test_a_forced_kernel_reaches_the_workers(table: Path, tmp_path: Path) -> None:
    """Two processes, two seeds; and it is no part of what makes a cell the same cell."""
    run = ["run", "--dataset", str(table), "--models", "fuxi", "--device", "cpu", "--jobs", "2", "--seeds", "2", "--quiet"]
    assert cli.main([*run, "--set", "train.epochs=1", "--kernel", "hstu_attention=torch", "--kernel", "bias_mixing=torch"]) == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/local/runs").rglob("seed-*.json")]
    assert len(records) == 2
    for record in records:
        assert record["kernels"].items() >= {"hstu_attention": "torch", "bias_mixing": "torch"}.items()
    assert "kernel" not in json.dumps(records[0]["config"])


def test_a_reader_that_leaves_early_causes_no_traceback() -> None:
    process = subprocess.Popen([sys.executable, "-m", "rankbench", "ls"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_doctor_says_what_is_here(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "data" / "ml-100k").mkdir(parents=True)
    assert cli.main(["doctor", "--data-root", "data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line[5:].split("  ")[0].strip(): line for line in lines[:-1]}
    assert {
        "python",
        "torch",
        "cpu",
        "cuda",
        "npu",
        "CANN",
        "threads",
        "packages",
        "compiler",
        "energy",
        "memory",
        "open files",
        "cache",
        "results",
    } <= found.keys()
    assert found["data root"].endswith("data with ml-100k")
    assert "deepctr-torch" in found["packages"]
    assert lines[-1] == "ready; results will be written to results/local"


def test_doctor_fails_where_results_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["doctor", "--results", "file/results"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "please mend: results"


@pytest.fixture
def broken_backend(tmp_path: Path) -> str:
    """A folder in which torch_npu is installed as far as torch can see, on a machine without CANN."""
    folder = tmp_path / "site"
    (folder / "torch_npu-0.0.0.dist-info").mkdir(parents=True)
    (folder / "torch_npu-0.0.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch-npu\nVersion: 0.0.0\n")
    (folder / "torch_npu-0.0.0.dist-info" / "entry_points.txt").write_text("[torch.backends]\ntorch_npu = torch_npu:_autoload\n")
    (folder / "torch_npu.py").write_text("raise ImportError('libhccl.so: cannot open shared object file')\n")
    return str(folder)


@pytest.mark.long
def test_a_backend_that_breaks_torch_is_explained(broken_backend: str) -> None:
    doctor = shell("doctor", PYTHONPATH=broken_backend)
    assert doctor.returncode == 1 and doctor.stderr == ""
    (line,) = [line for line in doctor.stdout.splitlines() if line.startswith("FAIL")]
    run = shell("run", PYTHONPATH=broken_backend)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1
    for shown in (line, run.stderr):
        assert "TORCH_DEVICE_BACKEND_AUTOLOAD=0" in shown and "CANN" in shown


@pytest.mark.long
def test_npu_without_cann_is_explained(broken_backend: str) -> None:
    run = shell("run", "--device", "npu", PYTHONPATH=broken_backend, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert run.returncode == 2
    assert "device npu is not available" in run.stderr and "libhccl.so" in run.stderr and "set_env.sh" in run.stderr


def test_without_a_home_folder_the_place_to_set_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("RANKBENCH_CACHE")
    monkeypatch.setattr(Path, "expanduser", nobody)
    line = refused(capsys, "data", "get", "ml-100k")
    assert line.endswith("~/.cache/rankbench cannot be found, this user has no home folder; set RANKBENCH_CACHE to a whole path")
    with pytest.raises(native.BuildError, match="no home folder; set RANKBENCH_CACHE"):
        native._cache()
