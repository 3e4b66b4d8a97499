"""What is fuzzed: a file or a setting that comes from outside, a good one of it, and what reads it."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
import pandas as pd
from safetensors.torch import save
from torch import zeros

from rankbench.bench import cli
from rankbench.bench.analysis import declared
from rankbench.bench.config import Settings, read_settings
from rankbench.bench.public import board as public_board
from rankbench.bench.records import sweeps, weights
from rankbench.bench.records.store import Store
from rankbench.bench.registry import MODELS
from rankbench.bench.runs.cell import plan
from rankbench.bench.search.extra_space import further_spaces
from rankbench.bench.search.storage import open_storage
from rankbench.bench.training.checkpoint import Checkpoint
from support import records
from support.sweeps import record as sweep_record

from .mutations import Mutate, of_bytes, of_json, of_words, of_yaml

ROOT = Path(__file__).resolve().parents[3]
TRAINED = ("din", "hstu")


@dataclass(frozen=True)
class Target:
    """One kind of input."""

    name: str
    make: Callable[[Path], Path]
    """Fills an empty folder with good files; returns the one that is mutated."""
    mutate: Mutate
    read: Callable[[Path], object]
    """Given that file. An exit code, if it is a command; any other reader raises a UserError for what it refuses."""


def command(*words: str) -> int:
    return cli.main(list(words))


# Tables

TABLES = ("a.csv", "a.csv.gz", "a.jsonl", "a.parquet", "a.feather")
TABLE = "events: FILE\nlabel: rating >= 4\ncolumns: {user: who, item: what, time: at}\n"


def _table(name: str, folder: Path) -> Path:
    rng = random.Random(0)
    rows = [(f"u{rng.randrange(6)}", f"i{rng.randrange(9)}", 1_600_000_000 + 3_600 * n, rng.randrange(1, 6)) for n in range(60)]
    frame, path = pd.DataFrame(rows, columns=["who", "what", "at", "rating"]), folder / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif name.endswith(".feather"):
        frame.to_feather(path)
    elif name.endswith(".jsonl"):
        frame.to_json(path, orient="records", lines=True)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode(), mtime=0))
    else:
        frame.to_csv(path, index=False)
    (folder / "table.yaml").write_text(TABLE.replace("FILE", name))
    return path


def _described(path: Path) -> int:
    return command("data", "describe", str(path.with_name("table.yaml")))


def _description(folder: Path) -> Path:
    for name in ("clicks.csv", "items.csv"):
        shutil.copy(ROOT / "examples" / "own_table" / name, folder / name)
    return Path(shutil.copy(ROOT / "examples" / "own_table" / "clicks.yaml", folder / "table.yaml"))


# Settings


def _text(text: str, folder: Path) -> Path:
    path = folder / "text"
    path.write_text(text)
    return path


def _planned(path: Path) -> None:
    plan(TRAINED, Settings().changed([path.read_bytes().decode("utf-8", "replace")], tuple(MODELS)), 1)


def _searched(path: Path) -> None:
    further_spaces([path.read_bytes().decode("utf-8", "replace")], TRAINED)


def _configured(path: Path) -> None:
    plan(TRAINED, read_settings(path, tuple(MODELS)), 1)


CONFIG = """\
data: {history_length: 20, time: none, labels: [like, click]}
train: {lr: 0.001, epochs: 3, monitor: auc}
din: {dropout: 0.1}
hstu: {layers: 2, heads: 2}
"""

# Results


def _run(pattern: str, folder: Path) -> Path:
    """A folder of two runs; the first file that the pattern names."""
    store = Store(folder / "results")
    for model, skill in (("din", 1.0), ("lr", 0.5)):
        frame = records.predictions(skill, users=20, rows=10)
        store.write(records.record(model, frame), frame)
    if pattern.endswith(".zip"):
        records.pack(store)
    return sorted(folder.rglob(pattern))[0]


def _sweep(folder: Path) -> Path:
    path = folder / "results" / "sweeps" / "toy@global-time" / "din.json"
    sweeps.write(sweep_record("din", 4), path)
    return path


def _committed(pattern: str, folder: Path) -> Path:
    """The first committed result that the pattern names, in its place below another folder."""
    found = sorted((ROOT / "results").glob(pattern))[0]
    target = folder / found.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(found, target))


def _versions(folder: Path) -> Path:
    return _committed("public/versions.yaml", folder)


def _row(folder: Path) -> Path:
    _versions(folder)
    return _committed("public/closed/ml-100k@global-time/*.json", folder)


def _checkpoint(folder: Path) -> Path:
    made = Checkpoint(folder / "seed-0.pt", "a cell")
    made.save({"epoch": 3, "curve": [0.5, 0.6], "weights": {"a": zeros(3)}})
    return made.path


def _journal(folder: Path) -> Path:
    path = folder / "journal.log"
    study = optuna.create_study(storage=open_storage(str(path)), study_name="toy", direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    return path


def _studied(path: Path) -> None:
    """All that a sweep asks of a journal at its start."""
    for name in optuna.get_all_study_names(storage := open_storage(str(path))):
        _ = optuna.load_study(study_name=name, storage=storage).trials


def _results(path: Path) -> str:
    return str(next(parent for parent in path.parents if parent.name == "results"))


def _checked(path: Path) -> int:
    return command("check", _results(path))


def _reported(path: Path) -> int:
    return command("report", "--results", _results(path), "--markdown", "--out", str(Path(_results(path)).with_name("page.md")))


def _redrawn(path: Path) -> int:
    return command("redraw", "--results", _results(path))


def _audited(path: Path) -> int:
    return command("audit", "statistics", "--tests", "0", "--results", _results(path))


def _weights(folder: Path) -> Path:
    path = folder / "seed-0.safetensors"
    path.write_bytes(save({"a": zeros(3)}, {weights._KEY: json.dumps({"version": weights.SCHEMA_VERSION})}))
    return path


TARGETS: tuple[Target, ...] = (
    Target("yaml", _description, of_yaml, _described),
    *(Target(name, partial(_table, name), of_bytes, _described) for name in TABLES),
    Target("init", partial(_table, "a.csv"), of_bytes, lambda path: command("data", "init", str(path))),
    *(
        Target(f"set {text.partition('=')[0]}", partial(_text, text), of_words, _planned)
        for text in (
            "train.lr=1e-3", "train.batch_size=512", "data.labels=[like,click]", "data.history_length=50", "data.time=none",
            "hstu.layers=2", "hstu.heads=4", "din.attention=[80,40]", "train.monitor=auc", "data.request_window=600",
        )
    ),
    Target("search", partial(_text, "din.dropout=0..0.5"), of_words, _searched),
    Target("search log", partial(_text, "train.lr=1e-4..1e-2:log"), of_words, _searched),
    Target("config", partial(_text, CONFIG), of_yaml, _configured),
    Target("record", partial(_run, "seed-0.json"), of_json, _checked),
    Target("scores", partial(_run, "seed-0.scores.npz"), of_bytes, _checked),
    Target("packed", partial(_run, "*.zip"), of_bytes, _checked),
    Target("weights", _weights, of_bytes, weights.read),
    Target("checkpoint", _checkpoint, of_bytes, lambda path: Checkpoint(path, "a cell").load()),
    Target("journal", _journal, of_bytes, _studied),
    Target("sweep", _sweep, of_json, sweeps.load),
    Target("declared", partial(_committed, "declared.yaml"), of_yaml, lambda path: declared.read(path.parent)),
    Target("versions", _versions, of_yaml, lambda path: public_board.read(path.parent)),
    Target("public row", _row, of_json, lambda path: public_board.read(Path(_results(path)) / "public")),
    Target("board", partial(_committed, "boards/ml-100k@global-time/board.json"), of_json, _reported),
    Target("study", partial(_committed, "studies/identity/kuairand-pure@global-time/study.json"), of_json, _reported),
    Target("measurement", partial(_committed, "speed/layers-cpu-1.json"), of_json, _redrawn),
    Target("audit", partial(_committed, "audit/statistics.json"), of_json, _audited),
)  # fmt: skip
