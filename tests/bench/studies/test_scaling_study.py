"""The grid is what it says, a trend that is in the scores is found, and none is claimed where none is."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from rankbench.bench.config import Settings
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation.scaling import study
from rankbench.bench.experiment import plan
from rankbench.bench.records.store import Store
from rankbench.bench.registry import MODELS
from rankbench.bench.reporting.plots import save
from rankbench.bench.studies import grid
from rankbench.bench.studies.grid import Finding, Point, Scope, Size
from rankbench.bench.studies.scaling import STUDY, training_examples, training_flops
from rankbench.bench.studies.scaling_words import brief, sentence
from support.records import predictions, record

SIZES = (1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000)


def finding(folder: Path, models: dict[str, tuple[list[float], float]], grows: str = "width", users: int = 80) -> Finding:
    """Made-up runs, two seeds a size: model -> skill by size, FLOPs of an example of the smallest size."""
    store, groups, points = Store(folder), {}, []
    for model, (skills, flops) in models.items():
        family = "generative" if model == "hstu" else "classical"
        for at, (size, skill) in enumerate(zip(SIZES, skills, strict=False)):
            point = Point(f"{model} {grows}", size, model)
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
    return grid.read(STUDY, points, {point.label: () for point in points}, groups, store, 200)


GROWING = [0.4, 0.7, 1.0, 1.3, 1.6, 1.9]


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Finding:
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


def test_a_model_with_nothing_to_grow_is_refused() -> None:
    with pytest.raises(UserError, match="lr has neither layers of a width nor an MLP to grow"):
        STUDY.grid(Scope(("lr",)))


def test_a_trend_in_the_scores_is_said_and_none_where_there_is_none(growing: Finding) -> None:
    lines = list(STUDY.statements(growing))
    hstu = next(line for line in lines if line.startswith("hstu width, 1k to 1.02M parameters without embeddings:"))
    din = next(line for line in lines if line.startswith("din width, 1k"))
    assert "no scaling shown" not in hstu and "Slope -" in hstu and "predicts" in hstu
    assert "no scaling shown" in din
    other = next(line for line in lines if line.startswith("hstu width, otherwise: "))
    assert "hardly moves (logloss over seconds of training, 1 - GAUC over seconds of training)" in other, (
        "every made-up run took as long"
    )
    assert "three times those of a forward pass" in lines[-1]


def test_at_equal_flops_the_dearest_pair_is_compared(growing: Finding) -> None:
    (line,) = (line for line in STUDY.statements(growing) if "equal FLOPs" in line)
    assert "GAUC of hstu width @ 1024000 minus din width @ 1024000: +0." in line and line.endswith("hstu is ahead.")


@pytest.mark.parametrize(("flops", "said"), [(2e4, "nothing is claimed"), (1e12, None)])
def test_what_does_not_match_is_not_compared(tmp_path: Path, flops: float, said: str | None) -> None:
    found = finding(tmp_path, {"hstu": (GROWING[:3], 1e4), "din": (GROWING[:3], flops)})
    lines = [line for line in STUDY.statements(found) if "hstu and din" in line or "equal FLOPs" in line]
    assert (said is None and not lines) or (said is not None and said in lines[0])


def test_points_on_less_data_take_no_part_in_the_comparison(tmp_path: Path) -> None:
    found = finding(tmp_path, {"hstu": (GROWING[:3], 1e4), "din": (GROWING[:3], 1e4)}, grows="data")
    lines = list(STUDY.statements(found))
    assert not any("equal FLOPs" in line for line in lines)
    assert any(line.startswith("hstu data, 1k to 16k training examples") for line in lines)


def test_generative_rankers_are_compared_with_the_classical_one_at_equal_data(tmp_path: Path) -> None:
    """Better than it on little data, worse on much: every share has its own difference."""
    rising, flat = [0.4, 0.8, 1.2], [1.0, 0.8, 0.6]
    found = finding(tmp_path, {"hstu": (flat, 1e4), "din": (rising, 1e4)}, grows="data")
    start = "hstu: GAUC against din with the same share of the training examples: "
    (line,) = (line for line in STUDY.statements(found) if line.startswith(start))
    first, second, third = line.removeprefix(start).split("; ")
    assert first.startswith(f"{found.series['din data'][0].point.at:g} +0.") and first.endswith(", above")
    assert "above" not in second and "below" not in second
    assert ", below. 2 of 3 shown. These intervals hold for all of this line at once." in third
    lone = finding(tmp_path / "lone", {"hstu": (rising, 1e4)}, grows="data")
    assert not any("same share" in line for line in STUDY.statements(lone))


def test_few_users_allow_no_word(tmp_path: Path) -> None:
    found = finding(tmp_path, {"hstu": (GROWING, 1e4)}, users=8)
    assert list(STUDY.statements(found)) == [
        "Fewer than 10 test users: no interval can be trusted, and nothing is said of scaling."
    ]


def test_costs_of_training(growing: Finding) -> None:
    one = growing.measurements[0]
    assert training_examples(one) == pytest.approx(20_000 * (3.5 + len("hstu")))
    assert training_flops(one) == pytest.approx(3 * 1e4 * training_examples(one))


def test_figures_show_every_series_and_come_out_the_same(growing: Finding, tmp_path: Path) -> None:
    figures = STUDY.figures(growing)
    assert [*figures] == [f"{loss}-by-{axis}" for loss in ("logloss", "gauc") for axis in ("size", "flops", "seconds")]
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


def noisy(law: str, sizes: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "power law": lambda x: 0.5 + 6 * x**-0.5,
        "log-linear": lambda x: 0.6 - 0.01 * math.log10(x),
        "rising": lambda x: 0.5 + 0.01 * math.log10(x),
        "parabola": lambda x: 0.6 + 0.003 * math.log(x / 3e5) ** 2,
        "constant": lambda x: 0.6,
    }
    user = rng.normal(0, 0.02, 101)
    return [shapes[law](x) + user[:, None] + rng.normal(0, 2e-4, 3) for x in np.geomspace(1e4, 1e6, sizes)]


@pytest.mark.parametrize(
    ("law", "said"),
    [
        ("power law", r"logloss = E \+ A x\^-a with E 0\.50\d\d \[0\.\d{4}, 0\.\d{4}\], A .*, a 0\.\d\d \[.*\], profile \["),
        ("log-linear", r"logloss = a \+ b ln x, which falls"),
        ("rising", r"which rises: larger is worse"),
        ("parabola", r"logloss is a parabola in ln x, lowest at \d+k \[\d+k, \d+k\]"),
        ("constant", r"no scaling shown, the interval of the slope holds zero"),
    ],
)
def test_an_outcome_in_words(law: str, said: str) -> None:
    found = study(np.geomspace(1e4, 1e6, 6), noisy(law))
    text = sentence("hstu width", "logloss", "parameters", found)
    assert text.startswith("hstu width, 10k to 1M parameters: ")
    assert re.search(said, text), text
    assert "Slope " in text and "predicts" in text
    assert brief(found) == "no scaling shown" if law == "constant" else brief(found).endswith(f"for tenfold, {found.shape}")


def test_too_few_sizes_in_words() -> None:
    three = study(np.geomspace(1e4, 1e6, 3), noisy("log-linear", 3))
    assert "falls, by a law that is not identified: 3 sizes, and a law needs 6." in sentence("a", "logloss", "x", three)
    assert brief(three).endswith("for tenfold, law not identified")
    two = study([1e4, 1e6], noisy("log-linear", 2))
    assert "not identified: 2 different sizes, and a trend needs 3, a law 6." in sentence("a", "logloss", "x", two)
    assert brief(two) == "too few sizes"
    assert sentence("a", "logloss", "seconds", None) == "a: seconds hardly change, so that nothing is fitted."
    assert brief(None) == "hardly moves"
