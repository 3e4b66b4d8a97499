"""The grid is what it says, a trend that is in the scores is found, and none is claimed where none is."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from rankbench.bench.analysis.statements import Statement, of_kind
from rankbench.bench.analysis.study_statements import AtEqualFlops, Differences, FewUsers, NoMatch, Otherwise, Remark, Trend
from rankbench.bench.config import Settings, TrainConfig
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation.scaling import Means, study
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.registry import MODELS
from rankbench.bench.reporting.figures import save
from rankbench.bench.runs.cell import plan
from rankbench.bench.studies import grid
from rankbench.bench.studies.grid import StudyResult
from rankbench.bench.studies.points import Point, Scope, Size
from rankbench.bench.studies.questions.scaling import STUDY, training_examples, training_flops, trend
from support.records import predictions, record

SIZES = (1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000)


def finding(folder: Path, models: dict[str, tuple[list[float], float]], grows: str = "width", users: int = 80) -> StudyResult:
    """Made-up runs, two seeds a size: model -> skill by size, FLOPs of an example of the smallest size."""
    store, groups, points = Store(folder), {}, []
    for model, (skills, flops) in models.items():
        family = "generative" if model == "hstu" else "classical"
        for at, (size, skill) in enumerate(zip(SIZES, skills, strict=False)):
            point = Point(f"{model} {grows}", size, model, factor=grows)
            points.append(point)
            for seed in range(2):
                frame = predictions(skill, seed, users=users)
                made = record(model, frame, seed, family)
                assert made.cost is not None
                cost = dataclasses.replace(made.cost, parameters_dense=size, flops_per_example=flops * 4**at)
                examples = {**made.data.examples, "train": size}
                made = dataclasses.replace(
                    made,
                    identity=dataclasses.replace(made.identity, config_hash=f"{at:012d}"),
                    cost=cost,
                    data=dataclasses.replace(made.data, examples=examples),
                )
                store.write(made, frame)
                groups.setdefault(point.label, []).append(made)
    return grid.read(
        STUDY,
        points,
        {point.label: () for point in points},
        groups,
        View(store, tuple(record for group in groups.values() for record in group)),
    )


GROWING = [0.4, 0.7, 1.0, 1.3, 1.6, 1.9]


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    folder = tmp_path_factory.mktemp("growing")
    return finding(folder, {"hstu": (GROWING, 1e4), "din": ([1.0, 1.001, 0.999, 1.0, 1.001, 0.999], 1.1e4)})


@pytest.mark.parametrize("size", ["small", "full"])
def test_every_point_can_be_run_and_chooses_among_as_many_learning_rates(size: Size) -> None:
    points = STUDY.grid(Scope(STUDY.models[size], size))
    assert {len(point.candidates) for point in points} == {3}
    for point in points:
        rates = set()
        for candidate in point.candidates:
            (cell,) = plan((point.model,), Settings().changed([*point.settings, *candidate], tuple(MODELS)), 1)
            rates.add(cell.experiment.train.lr)
        assert max(rates) / min(rates) == pytest.approx(9, rel=0.01)


def test_what_grows_shares_the_default_and_full_spans_two_decades_of_data() -> None:
    points = STUDY.grid(Scope(("hstu", "din"), "full"))
    lines = {series: [point for point in points if point.series == series] for series in {p.series for p in points}}
    assert len(lines) == 8 and all(len(line) >= 6 for line in lines.values())
    for model in ("hstu", "din"):
        hashes = []
        for grows in ("depth", "width", "embedding", "data"):
            cells = [
                plan((model,), Settings().changed([*point.settings], tuple(MODELS)), 1)[0] for point in lines[f"{model} {grows}"]
            ]
            hashes.append({cell.experiment.hash for cell in cells})
            assert len(hashes[-1]) == len(cells)
        assert len(set.intersection(*hashes)) == 1, "the default is a point of each"
        shares = [float(point.at) for point in lines[f"{model} data"]]
        assert max(shares) / min(shares) >= 100


def test_a_share_of_the_data_may_take_as_many_steps_as_all_of_it() -> None:
    points = {point.at: point for point in STUDY.grid(Scope(("hstu",), "full")) if point.series == "hstu data"}
    usual = TrainConfig()
    for share, times in ((0.01, 10), (0.2, 5), (0.5, 2), (1.0, 1)):
        train = plan(("hstu",), Settings().changed([*points[share].settings], tuple(MODELS)), 1)[0].experiment.train
        assert (train.epochs, train.patience) == (times * usual.epochs, times * usual.patience)


def test_a_model_with_nothing_to_grow_is_refused() -> None:
    with pytest.raises(UserError, match="lr has neither layers of a width nor an MLP to grow"):
        STUDY.grid(Scope(("lr",)))


def said(finding: StudyResult) -> tuple[Statement, ...]:
    return tuple(STUDY.statements(finding))


@pytest.mark.long
def test_a_trend_in_the_scores_is_said_and_none_where_there_is_none(growing: StudyResult) -> None:
    hstu, din = of_kind(said(growing), Trend)
    assert (hstu.series, hstu.axis, hstu.first, hstu.last) == ("hstu width", "parameters without embeddings", 1000, 1_024_000)
    assert hstu.outcome != "no scaling shown" and hstu.slope is not None and hstu.slope.high < 0 and hstu.held_out is not None
    assert (din.series, din.outcome) == ("din width", "no scaling shown")
    other = next(one for one in of_kind(said(growing), Otherwise) if one.series == "hstu width")
    still = {(one.loss, one.axis) for one in other.trends if one.outcome == "still"}
    assert still == {("logloss", "seconds of training"), ("1 - request_gauc", "seconds of training")}, "every run took as long"
    assert said(growing)[-1] == Remark("training flops")


def test_at_equal_flops_the_dearest_pair_is_compared(growing: StudyResult) -> None:
    found = of_kind(said(growing), AtEqualFlops)
    assert [one.metric for one in found] == ["request_gauc", "auc"]
    for one in found:
        assert (one.one, one.other, one.verdict) == ("hstu width @ 1024000", "din width @ 1024000", "better")
        assert one.flops[0] == pytest.approx(one.flops[1], rel=0.11)


@pytest.mark.parametrize(("flops", "claimed"), [(2e4, [NoMatch("hstu", "din")]), (1e12, [])])
def test_what_does_not_match_is_not_compared(tmp_path: Path, flops: float, claimed: list[NoMatch]) -> None:
    found = said(finding(tmp_path, {"hstu": (GROWING[:3], 1e4), "din": (GROWING[:3], flops)}))
    assert of_kind(found, NoMatch) == claimed and not of_kind(found, AtEqualFlops)


def test_points_on_less_data_take_no_part_in_the_comparison(tmp_path: Path) -> None:
    found = said(finding(tmp_path, {"hstu": (GROWING[:3], 1e4), "din": (GROWING[:3], 1e4)}, grows="data"))
    assert not of_kind(found, AtEqualFlops)
    first = of_kind(found, Trend)[0]
    assert (first.series, first.axis) == ("hstu data", "training examples")


def test_generative_rankers_are_compared_with_the_classical_one_at_equal_data(tmp_path: Path) -> None:
    """Better than it on little data, worse on much: every share has its own difference."""
    rising, flat = [0.4, 0.8, 1.2], [1.0, 0.8, 0.6]
    found = said(finding(tmp_path, {"hstu": (flat, 1e4), "din": (rising, 1e4)}, grows="data"))
    own = [one for one in of_kind(found, Differences) if one.series == "hstu"]
    assert [one.metric for one in own] == ["request_gauc", "auc"]
    for one in own:
        assert one.reference == "din with the same share of the training examples" and one.at_once == 3
        assert [item.verdict for item in one.differences] == ["better", "not settled", "worse"]
    lone = said(finding(tmp_path / "lone", {"hstu": (rising, 1e4)}, grows="data"))
    assert not [one for one in of_kind(lone, Differences) if one.series == "hstu"]


def test_few_users_allow_no_word(tmp_path: Path) -> None:
    assert said(finding(tmp_path, {"hstu": (GROWING, 1e4)}, users=8)) == (FewUsers(10),)


def test_costs_of_training(growing: StudyResult) -> None:
    one = growing.measurements[0]
    assert training_examples(one) == pytest.approx(20_000 * (3.5 + len("hstu")))
    assert training_flops(one) == pytest.approx(3 * 1e4 * training_examples(one))


@pytest.mark.long
def test_figures_show_every_series_and_come_out_the_same(growing: StudyResult, tmp_path: Path) -> None:
    figures = STUDY.figures(growing)
    assert [*figures] == [f"{loss}-by-{axis}" for loss in ("logloss", "request_gauc") for axis in ("size", "flops", "seconds")]
    for name, figure in figures.items():
        assert isinstance(figure, Figure)
        (axes,) = (axes for axes in figure.axes if axes.get_visible())
        legend = axes.get_legend()
        assert legend is not None
        texts = [text.get_text() for text in legend.get_texts()]
        assert texts[0].startswith("hstu: ") and texts[1] == (
            "din: hardly moves" if "seconds" in name else "din: no scaling shown"
        )
    again = STUDY.figures(growing)
    for folder, drawn in (("one", figures), ("two", again)):
        save(drawn["logloss-by-size"], tmp_path / folder / "figure")
    for suffix in ("svg", "png"):
        assert (tmp_path / "one" / f"figure.{suffix}").read_bytes() == (tmp_path / "two" / f"figure.{suffix}").read_bytes()


def noisy(law: str, sizes: int = 6) -> Means:
    """Three seeds per size, whose users move all sizes together."""
    rng = np.random.default_rng(0)
    shapes = {
        "power law": lambda x: 0.5 + 6 * x**-0.5,
        "log-linear": lambda x: 0.6 - 0.01 * math.log10(x),
        "rising": lambda x: 0.5 + 0.01 * math.log10(x),
        "parabola": lambda x: 0.6 + 0.003 * math.log(x / 3e5) ** 2,
        "constant": lambda x: 0.6,
    }
    truth = np.array([shapes[law](x) for x in np.geomspace(1e4, 1e6, sizes)])
    error = 2e-4 / math.sqrt(3)
    y = truth + error * rng.normal(size=sizes)
    user = 0.02 * rng.normal(size=(200, 1))
    drawn = y + user + error * rng.normal(size=(200, sizes))
    influence = np.repeat(0.02 * rng.normal(size=(100, 1)) * 10, sizes, axis=1)
    influence -= influence.mean(axis=0)
    names = tuple(map(str, range(sizes)))
    return Means(names, y, drawn, influence, np.full(sizes, error**2), np.full(sizes, 3))


@pytest.mark.parametrize(
    ("law", "outcome", "shape"),
    [
        ("power law", "law", "power law"),
        ("log-linear", "law", "log-linear"),
        ("rising", "law", "log-linear"),
        ("parabola", "law", "parabola"),
        ("constant", "no scaling shown", "constant"),
    ],
)
def test_an_outcome_as_a_statement(law: str, outcome: str, shape: str) -> None:
    found = trend("hstu width", "logloss", "parameters", study(np.geomspace(1e4, 1e6, 6), noisy(law)))
    assert (found.outcome, found.first, found.last) == (outcome, pytest.approx(1e4), pytest.approx(1e6))
    assert found.slope is not None and found.held_out is not None
    if outcome == "law":
        assert found.shape == shape and found.shape not in found.rivals and len(found.parameters) in (2, 3)
    assert (found.slope.low > 0) == (law in ("rising", "parabola")) or law == "parabola"
    assert (found.exponent is not None) == (law == "power law")
    if law == "parabola":
        assert found.turn is not None and found.turn.lowest and found.turn.inside
        assert found.turn.at.low < 3e5 < found.turn.at.high or found.turn.at.value == pytest.approx(3e5, rel=0.1)
    else:
        assert found.turn is None


def test_too_few_sizes_as_a_statement() -> None:
    three = trend("a", "logloss", "x", study(np.geomspace(1e4, 1e6, 3), noisy("log-linear", 3)))
    assert (three.outcome, three.reason, three.parameters) == ("not identified", "3 sizes, and a law needs 6", ())
    assert three.slope is not None and three.slope.high < 0
    two = trend("a", "logloss", "x", study([1e4, 1e6], noisy("log-linear", 2)))
    assert (two.outcome, two.slope, two.reason) == ("not identified", None, "2 different sizes, and a trend needs 3, a law 6")
    assert trend("a", "logloss", "seconds", None).outcome == "still"
