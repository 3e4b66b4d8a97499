"""Losses are their equations, in value and slope, whatever requests a batch has, and stay exact where logits are large."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig, TrainingLoss
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.evaluation.metrics import auc_by_group, grouped_auc
from rankbench.bench.training import losses
from rankbench.bench.training.losses import Lists, lists_of, main_loss
from support.logs import make_data, with_config

LOSSES: tuple[TrainingLoss, ...] = ("bce", "pairwise", "listwise", "joint", "jrc")
WEIGHT = 0.7


def softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def literal(loss: TrainingLoss, score: list[float], label: list[int], request: list[int]) -> float:
    """The equations of losses.py, request by request, pair by pair."""
    n, total = len(score), 0.0
    if loss in ("bce", "joint", "jrc"):
        total += sum(softplus(s) - y * s for s, y in zip(score, label, strict=True))
    for one in set(request):
        rows = [at for at in range(n) if request[at] == one]
        positive, negative = [at for at in rows if label[at]], [at for at in rows if not label[at]]
        if loss == "pairwise" and positive and negative:
            pairs = [softplus(score[j] - score[i]) for i in positive for j in negative]
            total += len(rows) * sum(pairs) / len(pairs)
        if loss in ("listwise", "joint"):
            log = [score[at] if loss == "listwise" else -softplus(-score[at]) for at in range(n)]
            high = max(log[at] for at in rows)
            every = high + math.log(sum(math.exp(log[at] - high) for at in rows))
            total += (WEIGHT if loss == "joint" else 1) * sum(every - log[at] for at in positive)
        if loss == "jrc":  # each row among its request, by the half logit of what happened to it
            for at in rows:
                half = [(0.5 if label[at] else -0.5) * score[other] for other in rows]
                own = (0.5 if label[at] else -0.5) * score[at]
                total += WEIGHT * (max(half) + math.log(sum(math.exp(one - max(half)) for one in half)) - own)
    return total / n


def slopes(loss: TrainingLoss, score: list[float], label: list[int], request: list[int]) -> list[float]:
    """Of the literal loss, by central differences of two widths, extrapolated."""

    def by(at: int, step: float) -> float:
        up, down = ([s + sign * step * (k == at) for k, s in enumerate(score)] for sign in (1, -1))
        return (literal(loss, up, label, request) - literal(loss, down, label, request)) / (2 * step)

    return [(4 * by(at, 5e-4) - by(at, 1e-3)) / 3 for at in range(len(score))]


def found(
    loss: TrainingLoss, score: list[float], label: list[int], request: list[int], kind: torch.dtype
) -> tuple[float, Tensor]:
    logit = torch.tensor(score, dtype=kind, requires_grad=True)
    place = torch.from_numpy(np.unique(request, return_inverse=True)[1])
    config = TrainConfig(loss=loss, loss_weight=WEIGHT)
    value = main_loss(config, logit, torch.tensor(label, dtype=kind), Lists(place, len(set(request))))
    (slope,) = torch.autograd.grad(value, logit)
    return value.item(), slope


Row = tuple[float, int, int]
ROWS = st.lists(
    st.tuples(st.sampled_from([-3.0, -0.5, 0.0, 0.5, 2.0]) | st.floats(-6, 6), st.integers(0, 1), st.integers(0, 4)),
    min_size=1,
    max_size=14,
)
"""Logit, label, request: with ties, requests of one row and of one label, in any order."""


@pytest.mark.parametrize("loss", LOSSES)
@settings(max_examples=40)
@given(rows=ROWS, chunk=st.sampled_from([1, 2, 3, 1 << 20]))
def test_values_and_slopes_are_those_of_literal_loops(loss: TrainingLoss, rows: list[Row], chunk: int) -> None:
    score, label, request = (list(part) for part in zip(*rows, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "PAIRS", chunk)
        value, slope = found(loss, score, label, request, torch.float64)
    assert value == pytest.approx(literal(loss, score, label, request), rel=1e-12, abs=1e-13)
    assert slope.tolist() == pytest.approx(slopes(loss, score, label, request), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
@settings(max_examples=40)
@given(rows=ROWS, scale=st.sampled_from([1.0, 30.0, 3e3]), level=st.sampled_from([0.0, 200.0, -1e4]))
def test_large_logits_are_exact_in_single_precision(loss: TrainingLoss, rows: list[Row], scale: float, level: float) -> None:
    score, label, request = (list(part) for part in zip(*rows, strict=True))
    score = torch.tensor([scale * s + level for s in score]).tolist()  # as single precision has them
    value, slope = found(loss, score, label, request, torch.float32)
    assert value == pytest.approx(literal(loss, score, label, request), rel=1e-5, abs=1e-6)
    assert torch.isfinite(slope).all() and slope.abs().sum() <= (2 + 2 * WEIGHT) * (1 + 1e-4)


@given(rows=ROWS)
def test_pairs_bound_what_request_gauc_leaves(rows: list[Row]) -> None:
    """Each request with both labels counts by its rows, as there; the others count nothing."""
    score, label, request = (np.array(part) for part in zip(*rows, strict=True))
    judged = grouped_auc(label, score, request)
    value, _ = found("pairwise", score.tolist(), label.tolist(), request.tolist(), torch.float64)
    if not judged.rows:
        assert value == 0
    else:
        assert value / math.log(2) >= judged.rows / len(rows) * (1 - judged.value) - 1e-12
        _, by_request, count = auc_by_group(label, np.zeros(len(rows)), request)
        level, _ = found("pairwise", [1.0] * len(rows), label.tolist(), request.tolist(), torch.float64)
        assert level == pytest.approx(math.log(2) * count[~np.isnan(by_request)].sum() / len(rows))


@pytest.mark.parametrize("loss", ["pairwise", "listwise"])
@given(rows=ROWS, levels=st.lists(st.floats(-9, 9), min_size=5, max_size=5))
def test_the_level_of_a_request_is_nothing_to_a_ranking_loss(loss: TrainingLoss, rows: list[Row], levels: list[float]) -> None:
    score, label, request = (list(part) for part in zip(*rows, strict=True))
    moved = [s + levels[r] for s, r in zip(score, request, strict=True)]
    one, other = (found(loss, scores, label, request, torch.float64)[0] for scores in (score, moved))
    assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


@settings(max_examples=20)
@given(probability=st.lists(st.floats(0.05, 0.95), min_size=2, max_size=5))
def test_the_parts_of_the_joint_loss_agree_where_scores_are_the_probabilities(probability: list[float]) -> None:
    """The expected loss over all labellings of a request has no slope there; with a softmax instead it would have."""
    logit = torch.tensor(probability, dtype=torch.float64).logit().requires_grad_()
    n, joint, softmax = len(probability), torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    lists = Lists(torch.zeros(n, dtype=torch.long), 1)
    for code in range(2**n):
        label = torch.tensor([float(code >> at & 1) for at in range(n)], dtype=torch.float64)
        odds = math.prod(p if y else 1 - p for p, y in zip(probability, label.tolist(), strict=True))
        joint = joint + odds * main_loss(TrainConfig(loss="joint"), logit, label, lists)
        softmax = softmax + odds * losses.listwise(logit, label, lists)
    (slope,) = torch.autograd.grad(joint, logit)
    assert slope.abs().max() < 1e-12
    if max(probability) - min(probability) > 0.2:
        (other,) = torch.autograd.grad(softmax, logit)
        assert other.abs().max() > 1e-4


@pytest.mark.parametrize("loss", LOSSES)
def test_batches_of_two_processes_add_up_to_the_loss_of_their_union(loss: TrainingLoss) -> None:
    """Weighted by their rows, as a team does it; also where one of them has nothing to compare."""
    rng = np.random.default_rng(0)
    score, label, request = rng.normal(size=12).tolist(), [0, 1] * 4 + [1, 1, 0, 0], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6]
    whole, _ = found(loss, score, label, request, torch.float64)
    parts = [found(loss, score[part], label[part], request[part], torch.float64)[0] for part in (slice(0, 8), slice(8, 12))]
    assert (8 * parts[0] + 4 * parts[1]) / 12 == pytest.approx(whole, rel=1e-12)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=5, request_window=600, unknown_rate=0.0)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=30, longest=120)


@pytest.mark.parametrize("view", ["pointwise", "sequence"])
@pytest.mark.parametrize("negatives", ["exposed", "in-batch"])
def test_rows_of_one_request_are_those_that_ranking_is_judged_by(view: str, negatives: str, data: RankingData) -> None:
    """Sampled items stand in the request of their positive."""
    data = with_config(data, negatives=negatives, test_negatives="uniform")
    batches = make_batches(data, view, "train", 40, 200, 0, True)
    for plan in batches.plans(1)[:4]:
        batch = batches.assemble(plan, None)
        lists, event = lists_of(batch.example.numpy(), data), batch.example.numpy() % data.log.meta.events
        same = lists.request[:, None] == lists.request[None]
        assert np.array_equal(same.numpy(), data.request[event][:, None] == data.request[event][None])
        assert lists.count == len(set(lists.request.tolist())) == int(lists.request.max()) + 1


@pytest.mark.long
@pytest.mark.parametrize("name", ["din", "hstu"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_model_of_each_family_learns_few_rows_by_heart(name: str, loss: TrainingLoss, data: RankingData) -> None:
    """Requests with both labels end in their right order, and where the loss asks for probabilities, these are right too."""
    info = registry.info(name)
    torch.manual_seed(0)
    model = info.build(info.config(dropout=0.0, user_id="embedding"), data.spec).train()
    batches = make_batches(data, info.view, "train", 64, 64, 0, True)
    batch = max((batches.assemble(plan, None) for plan in batches.plans(0)), key=len)
    lists, config = lists_of(batch.example.numpy(), data), TrainConfig(loss=loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        main_loss(config, model(batch), batch.label, lists).backward()
        optimizer.step()
    logit = model(batch).detach()
    right = grouped_auc(batch.label.numpy(), logit.numpy(), lists.request.numpy())
    assert right.rows >= 10 and right.value > 0.97
    if loss in ("bce", "joint", "jrc"):
        assert ((logit > 0) == (batch.label > 0.5)).float().mean() > 0.95


def test_further_labels_keep_their_cross_entropy(data: RankingData, tmp_path: Path) -> None:
    """Whatever the loss of the main label: with the same weights the slopes of the further outputs are the same."""
    from rankbench.bench.training.checkpoint import Checkpoint
    from rankbench.bench.training.course import course_of
    from rankbench.bench.training.team import ALONE
    from rankbench.bench.training.trainer import _Loop

    torch.manual_seed(0)
    info = registry.info("mmoe")
    spec = dataclasses.replace(data.spec, further_rates=(0.3,))
    model = info.build(info.config(dropout=0.0), spec)
    batches = make_batches(data, "pointwise", "train", 64, 0, 0, True)
    batch = batches.assemble(batches.plans(0)[0], None)
    batch = dataclasses.replace(batch, further=1 - batch.label[:, None])
    lists, gradients = lists_of(batch.example.numpy(), data), {}
    for loss in LOSSES:
        course = course_of(data, info, TrainConfig(loss=loss), 0)
        loop = _Loop(model, TrainConfig(loss=loss), "auc", 0, torch.device("cpu"), Checkpoint(tmp_path / "x", "x"), ALONE, course)
        reported, _ = loop._gradients(iter([(batch, lists)]))
        tower = model.get_submodule("mixture.towers.1.2")
        gradients[loss] = tower.bias.grad.clone()
        assert reported.item() == pytest.approx(
            main_loss(TrainConfig(loss=loss), model(batch).detach()[:, 0], batch.label, lists).item(), rel=1e-4
        )
    assert all(torch.allclose(gradient, gradients["bce"]) for gradient in gradients.values())
    assert gradients["bce"].abs() > 1e-4
