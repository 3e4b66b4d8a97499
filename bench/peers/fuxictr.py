"""FuxiCTR's models under FuxiCTR's own trainer, on our rows: found, run in their own Python, kept like our runs.

The settings are those of FuxiCTR's model zoo, with the widths that our models have by default.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..data.dataset import RankingData
from ..data.sources.files import readable
from ..errors import UserError, unknown_name
from ..typed import read, text_of
from . import fuxictr_runner
from .fuxictr_rows import PeerRows, peer_rows

MODELS = {"din": "DIN", "dien": "DIEN", "bst": "BST"}
"""Our name -> class, and folder, in FuxiCTR's model zoo."""

COMMON: dict[str, Any] = {
    "task": "binary_classification",
    "loss": "binary_crossentropy",
    "metrics": ["AUC", "logloss"],
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "batch_size": 1024,
    "embedding_dim": 16,
    "dnn_hidden_units": [200, 80],
    "embedding_regularizer": 0,
    "net_regularizer": 0,
    "monitor": "AUC",
    "monitor_mode": "max",
    "early_stop_patience": 2,
    "epochs": 20,
    "shuffle": True,
    "num_workers": 0,
    "verbose": 0,
}
"""Embedding, widths, optimiser, batch and patience are those of our models; the rest is the model zoo's."""

OWN: dict[str, dict[str, Any]] = {
    "din": {
        "dnn_activations": "relu",
        "attention_hidden_units": [80, 40],
        "attention_hidden_activations": "Dice",
        "din_use_softmax": False,
        "batch_norm": False,
    },
    "dien": {
        "dnn_activations": "Dice",
        "gru_type": "AUGRU",
        "attention_type": "bilinear_attention",
        "use_attention_softmax": True,
        "enable_sum_pooling": False,
        "batch_norm": True,
        "aux_loss_alpha": 0,
        "dien_neg_seq_field": [],
    },
    "bst": {
        "dnn_activations": "relu",
        "num_heads": 4,
        "stacked_transformer_layers": 1,
        "seq_pooling_type": "mean",
        "use_position_emb": True,
        "batch_norm": False,
    },
}
"""As in the templates of each model's folder."""


class PeerFailed(Exception):
    """A run of FuxiCTR failed; one line with its last words."""


@dataclass(frozen=True)
class Arm:
    """One way of running FuxiCTR."""

    variant: str
    """What its models see of the past, see fuxictr_rows.py."""
    dropout: float
    """Of its MLP, and of its BST's blocks: 0 as shipped."""

    @property
    def name(self) -> str:
        return f"{self.variant}, dropout {self.dropout:g}" if self.dropout else self.variant


@dataclass(frozen=True)
class Peer:
    """A FuxiCTR that was found to work."""

    python: str
    models: Path
    versions: dict[str, str]
    files: dict[str, str]
    """Our model name -> sha256 of FuxiCTR's file."""


@dataclass(frozen=True)
class _Facts:
    """What the runner says of a cell that it has trained."""

    valid_auc: float
    epochs: int
    seconds: float
    parameters: int
    versions: dict[str, str]


class _Cell(NamedTuple):
    """One run of FuxiCTR."""

    model: str
    arm: Arm
    params: dict[str, Any]
    seed: int
    place: Path
    """Of what it leaves behind, without suffix."""


@dataclass(frozen=True)
class Trained:
    """What one run of FuxiCTR left behind."""

    score: np.ndarray
    """float64 [test examples], in our order."""
    epochs: int
    valid_auc: float
    """By FuxiCTR's own metric: that of its best weights."""


def model_file(models: Path, model: str) -> Path:
    """Where a checkout of FuxiCTR keeps a model; `models` is its folder model_zoo."""
    return models / MODELS[model] / "src" / f"{MODELS[model]}.py"


def find_peer(python: str, models_from: Path, models: Iterable[str]) -> Peer:
    """FuxiCTR in another Python, and the files of its models.

    Raises:
        UserError: a model has no counterpart, a file is missing, the Python cannot be run or cannot import FuxiCTR.
    """
    files = {}
    for model in models:
        if model not in MODELS:
            raise unknown_name("model beside FuxiCTR's", model, MODELS)
        path = model_file(models_from, model)
        if not path.is_file():
            raise UserError(
                f"--models-from {models_from} has no {path.relative_to(models_from)}; name FuxiCTR's folder model_zoo"
            )
        files[model] = hashlib.sha256(path.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = _call(python, {"do": "check"}, Path(folder) / "check.json")
        except OSError as error:
            raise UserError(f"--python {python} cannot be run ({error.strerror or error}); name a Python with FuxiCTR") from None
    if done.returncode:
        raise UserError(f"--python {python} cannot use FuxiCTR ({_last_words(done)}); docs/results/peers.md says what to install")
    return Peer(python, models_from, json.loads(done.stdout.splitlines()[-1]), files)


def parameters(model: str, arm: Arm, rows: PeerRows) -> dict[str, Any]:
    """FuxiCTR's parameters of a cell, without folders and seed."""
    target, past = (list(names) if names[1:] else names[0] for names in (rows.target, rows.past))
    columns = {f"{model}_target_field": target, f"{model}_sequence_field": past}
    return {**COMMON, **OWN[model], **columns, "net_dropout": arm.dropout}


def run_cells(
    peer: Peer,
    data: RankingData,
    arms: Sequence[Arm],
    seeds: int,
    kept: Path,
    jobs: int,
    threads: int,
    say: Callable[[str], None],
) -> dict[tuple[str, Arm], list[Trained]]:
    """Every model of the peer in every arm with every seed; what was finished before is read from the folder `kept`.

    Raises:
        PeerFailed: one of them failed.
    """
    found: dict[tuple[str, Arm], list[Trained]] = {}
    for variant in dict.fromkeys(arm.variant for arm in arms):
        rows = peer_rows(data, variant)
        digest = rows.digest
        cells: list[_Cell] = []
        for arm in (arm for arm in arms if arm.variant == variant):
            for model in peer.files:
                params = parameters(model, arm, rows)
                folder = kept / _key(peer, model, params, digest)
                cells += [_Cell(model, arm, params, seed, folder / f"seed-{seed}") for seed in range(seeds)]
        missing = [cell for cell in cells if not _is_kept(cell.place)]
        if missing:
            say(f"FuxiCTR, {variant}: its own processor reads our rows, then {len(missing)} of {len(cells)} runs are to do")
            with tempfile.TemporaryDirectory() as work:
                prepare(peer, rows, Path(work))
                with ThreadPoolExecutor(jobs) as pool:
                    waiting = [pool.submit(_train, peer, cell, threads, Path(work)) for cell in missing]
                    for one in as_completed(waiting):
                        say(one.result())
        for cell in cells:
            found.setdefault((cell.model, cell.arm), []).append(_kept(cell.place, data))
    return found


def _key(peer: Peer, model: str, params: dict[str, Any], digest: str) -> str:
    """Folder of a cell: another file, version, setting or row is another folder."""
    identity = json.dumps([model, peer.files[model], peer.versions, params, digest], sort_keys=True)
    return f"{model}/{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def _facts(place: Path) -> Path:
    return place.with_name(f"{place.name}.facts.json")


def _said(place: Path) -> _Facts:
    path = _facts(place)

    def broken(what: str) -> UserError:
        return UserError(f"{path} {what}; delete it and run again")

    return read(_Facts, text_of(path, broken), broken)


def _scores(place: Path) -> Path:
    return place.with_name(f"{place.name}.predictions.parquet")


def _is_kept(place: Path) -> bool:
    return _facts(place).is_file() and _scores(place).is_file()


def _kept(place: Path, data: RankingData) -> Trained:
    facts = _said(place)
    with readable(_scores(place)):
        table = pd.read_parquet(_scores(place))
    if not np.array_equal(table["label"], data.log.label[data.split.examples("test")]):
        raise PeerFailed(f"{_scores(place)} is not about our test rows; delete it and run again")
    return Trained(table["score"].to_numpy(np.float64), facts.epochs, facts.valid_auc)


def prepare(peer: Peer, rows: PeerRows, work: Path) -> None:
    """Let FuxiCTR's own processor read our rows into the folder `work`.

    Raises:
        PeerFailed: it failed.
    """
    for role, table in rows.tables.items():
        table.to_parquet(work / f"{role}.parquet", index=False)
    job = {"do": "prepare", "columns": rows.columns, "rows": str(work), "data_root": str(work), "dataset_id": "data"}
    _checked(_call(peer.python, job, work / "prepare.json"), "its processor")


def time_epoch(peer: Peer, model: str, params: dict[str, Any], threads: int, work: Path) -> dict[str, Any]:
    """One epoch of FuxiCTR's trainer in a process of its own, over the training rows that `prepare` left in `work`.

    Its loader is measured, its evaluation is not; an epoch over the validation rows warms up.

    Returns:
        `examples`, `wall_seconds` and `cpu_seconds`, the latter of all threads and of the loader's workers.

    Raises:
        PeerFailed: it failed.
    """
    job = {"do": "time", **_job(peer, model, f"{model}-timed", params, 0, threads, work)}
    done = _call(peer.python, job, work / "time.json")
    _checked(done, f"an epoch of {model}")
    return json.loads(done.stdout.splitlines()[-1])


def _train(peer: Peer, cell: _Cell, threads: int, work: Path) -> str:
    cell.place.parent.mkdir(parents=True, exist_ok=True)
    name = f"{cell.model}-{cell.place.parent.name}-{cell.seed}"
    job = {
        "do": "train",
        **_job(peer, cell.model, name, cell.params, cell.seed, threads, work),
        "predictions": str(_scores(cell.place).absolute()),
        "facts": str(_facts(cell.place).absolute()),
    }
    what = f"{cell.model} seed {cell.seed} ({cell.arm.name})"
    _checked(_call(peer.python, job, work / f"{name}.json"), what)
    facts = _said(cell.place)
    return f"FuxiCTR {what}: valid auc {facts.valid_auc:.4f}  {facts.epochs} epochs in {facts.seconds:.1f} s"


def _job(peer: Peer, model: str, name: str, params: dict[str, Any], seed: int, threads: int, work: Path) -> dict[str, Any]:
    """What training needs, in the runner's words."""
    return {
        "model": MODELS[model],
        "model_file": str(model_file(peer.models, model)),
        "model_id": name,
        "params": params,
        "seed": seed,
        "threads": threads,
        "dataset_id": "data",
        "data_root": str(work),
        "model_root": str(work / "weights"),
    }


def _call(python: str, job: dict[str, Any], file: Path) -> subprocess.CompletedProcess[str]:
    file.write_text(json.dumps(job))
    return subprocess.run([python, fuxictr_runner.__file__, str(file)], capture_output=True, text=True)


def _checked(done: subprocess.CompletedProcess[str], what: str) -> None:
    if done.returncode:
        raise PeerFailed(f"FuxiCTR failed at {what}: {_last_words(done)}")


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
    return lines[-1]
