"""What a user wants to be searched beside a model's own space: read, refused, searched, and kept with the tuned settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.config import Settings, read_settings, resolve
from rankbench.bench.contract import Choice, Real, Whole
from rankbench.bench.errors import UserError
from rankbench.bench.records import sweeps
from rankbench.bench.registry import MODELS, info
from rankbench.bench.search.extra_space import further_spaces, outside, shown_range
from support.cache import own_cache
from support.tables import click_table

TEXTS = {
    "hstu.head=mlp,dot": Choice(("mlp", "dot")),
    "hstu.layers=1..3": Whole(1, 3),
    "data.negative_rate=0.1..1.0:log": Real(0.1, 1.0, log=True),
    "train.clip_norm=0.5..5.0": Real(0.5, 5.0),
    "hstu.gate=true,false": Choice((True, False)),
}


@pytest.mark.parametrize("text", TEXTS)
def test_ranges_are_read_and_shown_again(text: str) -> None:
    spaces = further_spaces([text], ("din", "hstu"))
    path = text.partition("=")[0]
    name = path.removeprefix("hstu.")
    assert spaces["hstu"] == {name: TEXTS[text]}
    assert spaces["din"] == ({} if path.startswith("hstu.") else {name: TEXTS[text]})
    assert shown_range("hstu", name, TEXTS[text]) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head", "write SECTION.KEY=RANGE"),
        ("hsut.head=mlp,dot", "did you mean 'hstu'"),
        ("hstu.haed=mlp,dot", "did you mean 'head'"),
        ("data.history_length=5..50", "key of data"),
        ("hstu.layers=3..1", "from a smaller to a larger"),
        ("train.lr=0..1:log", "above 0 for log"),
        ("train.lr=0.1..1:ln", "stands log, not ln"),
        ("train.lr=0.1..one", "is not a number"),
    ],
)
def test_what_is_no_range_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        further_spaces([text], ("din", "hstu"))


def test_a_default_lies_inside() -> None:
    assert outside({"head": Choice(("mlp",)), "layers": Whole(1, 3)}, {"head": "mlp", "layers": 2}) is None
    assert outside({"layers": Whole(3, 4)}, {"layers": 2}) == "layers"


def test_a_model_may_have_negatives_of_its_own_and_no_other_data() -> None:
    card = info("din")
    own = resolve(card, Settings(models={"din": {"data.negative_rate": 0.5}}))
    assert own.data.negative_rate == 0.5
    with pytest.raises(UserError, match=r"din\.data\.history_length cannot be one model's own"):
        resolve(card, Settings(models={"din": {"data.history_length": 5}}))


@pytest.mark.long
def test_rates_of_negatives_are_searched_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    click_table(tmp_path)
    history = ("--set", "data.history_length=50")
    common = ("--dataset", "clicks.yaml", "--models", "dnn", "--device", "cpu", "--quiet")
    search = ("--search", "data.negative_rate=0.2..1.0:log", "--search", "dnn.activation=relu,prelu", "--set", "train.epochs=1")
    assert cli.main(("sweep", *common, *search, "--trials", "4", "--results", "out")) == 0
    record = sweeps.load(next(Path("out/sweeps").glob("clicks@global-time*/dnn.json")))
    rates = [trial.params["data.negative_rate"] for trial in record.trials]
    assert rates[0] == 1.0 and len(set(rates)) == 4 and all(0.2 <= rate <= 1 for rate in rates)
    assert all(trial.state in ("complete", "pruned") for trial in record.trials)
    best = record.best
    assert best is not None
    tuned = read_settings(next(Path("out/tuned").glob("clicks@global-time*/dnn.yaml")), tuple(MODELS))
    assert tuned.models["dnn"].get("data.negative_rate", 1.0) == best.params["data.negative_rate"]
    assert cli.main(("run", *common, "--results", "out", "--config", "tuned", "--seeds", "1", *history)) == 0
    (run,) = Path("out/runs").rglob("seed-0.json")
    assert json.loads(run.read_text())["config"]["data"].get("negative_rate", 1.0) == best.params["data.negative_rate"]
    assert cli.main(("sweep", *common, "--search", "data.negative_rate=0.2..0.5", "--trials", "1", "--results", "other")) == 2
