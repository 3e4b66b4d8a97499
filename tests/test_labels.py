"""Several labels: what the log keeps, what models of both families predict, how each label is judged."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Experiment, LogDefaults, TrainConfig
from rankbench.bench.contract import to_device
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.schema import Label
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator, metrics
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train
from support.converted import converted
from support.logs import raw_log

CPU = torch.device("cpu")
LABELS = ("love", "hate")


def several_labels(folder: Path, labels: tuple[str, ...] = LABELS) -> RankingData:
    raw = raw_log(seed=5, users=40, longest=50)
    schema = dataclasses.replace(raw.schema, labels=(Label("love", "rating >= 5"), Label("hate", "rating <= 1")))
    log = write_log(dataclasses.replace(raw, schema=schema), folder)
    return prepare_log(log, DataConfig("tiny", history_length=6, labels=labels))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return several_labels(tmp_path_factory.mktemp("log") / "labels")


def test_the_log_keeps_further_labels(data: RankingData) -> None:
    rating = data.log.dictionary("action")[data.log.action].astype(float)
    np.testing.assert_array_equal(data.log.further_label("love"), rating == 5)
    np.testing.assert_array_equal(data.log.further_label("hate"), rating == 1)
    train_events = data.split.examples("train")
    assert data.spec.rates[1:] == pytest.approx([(rating[train_events] == 5).mean(), (rating[train_events] == 1).mean()])


@pytest.mark.parametrize("view", ["pointwise", "sequence"])
def test_batches_bring_the_further_labels_of_their_examples(data: RankingData, view: str) -> None:
    batches = make_batches(data, view, "train", 32, 200)
    for plan in batches.plans(0):
        batch = batches.assemble(plan, None)
        event = batch.example.numpy()
        assert batch.further is not None and batch.further.shape == (len(batch), 2)
        for at, name in enumerate(LABELS):
            np.testing.assert_array_equal(batch.further[:, at].numpy(), data.log.further_label(name)[event])


SEVERAL = {
    "dnn": {}, "din": {}, "dien": {}, "bst": {}, "sim": {}, "mmoe": {}, "star": {}, "pepnet": {}, "ple": {"tasks": "labels"},
    "hstu": {"head": "mmoe"}, "llama": {"head": "mlp"}, "sasrec": {"head": "ffn"}, "gpt": {"head": "target-attention"},
}  # fmt: skip
"""Models that predict all labels, with settings."""


@pytest.mark.long
@pytest.mark.parametrize("name", SEVERAL)
def test_models_of_both_families_learn_every_label(name: str, data: RankingData, tmp_path: Path) -> None:
    info = registry.info(name)
    torch.manual_seed(0)
    model = info.build(info.config(**SEVERAL[name]), data.spec)
    batches = make_batches(data, info.view, "train", 256, 1024)

    def losses() -> np.ndarray:
        model.eval()
        values = []
        for plan in batches.plans(0)[:1]:
            batch = to_device(batches.assemble(plan, None), CPU)
            labels = torch.cat([batch.label[:, None], batch.further], dim=1)
            values.append(F.binary_cross_entropy_with_logits(model(batch), labels, reduction="none").mean(0).tolist())
        return np.mean(values, axis=0)

    before = losses()

    config = TrainConfig(lr=5e-3, epochs=6, patience=6, monitor="logloss", batch_size=64, batch_events=256)
    train(model, info, data, config, 0, CPU, Checkpoint(tmp_path / "resume.pt", "test"), Quiet())
    assert (losses() < before).all(), "the loss of every label falls"
    table = evaluator.predictions(evaluator.Forward(model, CPU, "fp32"), info, data, "test")
    assert {"label.love", "score.love", "label.hate", "score.hate"} <= set(table)
    found = metrics.evaluate_labels(table)
    assert set(found) == set(LABELS)
    assert found["love"]["all"]["positives"] == int(table["label.love"].sum()) != metrics.evaluate(table)["all"]["positives"]
    label, score = (table[f"{column}.love"].to_numpy() for column in ("label", "score"))
    assert found["love"]["all"]["auc"] == pytest.approx(metrics.auc(label, score))


@pytest.mark.parametrize("name", ["lr", "deepfm", "ctr"])
def test_other_models_predict_the_main_label_alone(name: str, data: RankingData) -> None:
    info = registry.info(name)
    model = info.build(info.config(), data.spec)
    if info.fit == "counts":
        batches = make_batches(data, info.view, "train", 256, 1024)
        for plan in batches.plans(None):
            model.observe(batches.assemble(plan, None))
        model.finish()
    assert not metrics.evaluate_labels(evaluator.predictions(evaluator.Forward(model, CPU, "fp32"), info, data, "test"))


def test_labels_that_are_asked_for_make_another_experiment() -> None:
    assert Experiment("din", DataConfig()).hash != Experiment("din", DataConfig(labels=("love",))).hash


def test_wrong_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"further label of tiny in data.labels 'lov'; did you mean 'love'"):
        several_labels(tmp_path / "a", ("lov",))
    with pytest.raises(UserError, match="labels need all exposed negatives"):
        DataConfig(labels=("love",), negatives="uniform").resolved(LogDefaults("global-time", 0, positive_only=False))
    raw = raw_log()
    for labels, message in (
        ((Label("a", "rating >= 5"), Label("a", "rating <= 1")), "'a' is reserved, used twice"),
        ((Label("a b", "rating >= 5"),), "'a b' is reserved"),
        ((Label("a", "stars >= 5"),), "no column 'stars'"),
        ((Label("a", "page"),), "page"),
    ):
        with pytest.raises(UserError, match=message):
            converted(dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, labels=labels)))
