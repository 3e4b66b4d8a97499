"""Laws that are there are found, those that are not are not, and the intervals hold what they promise."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from rankbench.bench.evaluation.scaling import Means, Scaling, means, study
from rankbench.bench.evaluation.stats import assemble

Law = Callable[[float], float]
SIZES = np.geomspace(1e4, 1e6, 6)


def constant(_: float) -> float:
    return 0.6


def line(x: float) -> float:
    return 0.6 - 0.01 * math.log10(x / 1e4)


def power(x: float) -> float:
    return 0.5 + 6 * x**-0.5


def valley(x: float) -> float:
    return 0.6 + 0.003 * math.log(x / 3e5) ** 2


def step(x: float) -> float:
    """Like no shape that is tried."""
    return 0.6 - 0.05 * (x > 1e5) + 0.02 * (x > 5e5)


def losses(
    law: Law,
    sizes: Sequence[float],
    seed: int,
    noise: float = 0.002,
    seeds: int = 3,
    users: int = 150,
    common: float = 0.3,
    draws: int = 300,
) -> Means:
    """Every user has a difficulty of its own, for all sizes (large) and for one (small); every run a bit of luck."""
    rng = np.random.default_rng(seed)
    hard, own = common * rng.normal(0, 1, users), rng.normal(0, 12 * noise, (users, len(sizes)))
    measured = {}
    for at, size in enumerate(sizes):
        by_user = hard + own[:, at]
        values = law(size) + by_user.mean() + rng.normal(0, noise, seeds)
        measured[f"{at}"] = [(float(value), by_user - by_user.mean()) for value in values]
    return means(assemble("logloss", measured, users), draws)


def many(law: Law, times: int, **options: float) -> list[Scaling]:
    return [study(SIZES, losses(law, SIZES, seed, **options)) for seed in range(times)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("law", "shape"), [(line, "log-linear"), (power, "power law"), (valley, "parabola")])
def test_a_law_that_stands_out_of_the_noise_is_named(law: Law, shape: str) -> None:
    found = Counter((one.outcome, one.shape) for one in many(law, 20, noise=2e-4))
    assert found.most_common(1)[0][0] == ("law", shape) and found["law", shape] > 10, found


@pytest.mark.long
def test_a_constant_is_seldom_called_a_law() -> None:
    found = many(constant, 200)
    claims = sum(one.outcome != "no scaling shown" for one in found)
    # 5% of slopes exclude zero, a little more of few seeds; AICc refuses some of these.
    assert claims / 200 <= 0.09
    holding = np.mean([one.slope is not None and one.slope.includes_zero for one in found])
    assert 0.88 <= holding <= 0.99


def test_what_no_shape_fits_is_not_identified() -> None:
    found = study(SIZES, losses(step, SIZES, 0, noise=2e-4))
    assert found.outcome == "not identified" and "no shape fits" in found.reason
    assert found.slope is not None and found.slope.high < 0, "that it falls is shown all the same"


def test_a_floor_or_an_exponent_on_its_bound_is_not_identified() -> None:
    without_floor = [study(SIZES, losses(lambda x: 30 * x**-0.4, SIZES, seed, noise=1e-4)) for seed in range(10)]
    bound = [one for one in without_floor if one.fits["power law"].parameters[0].value == 0]
    assert bound and all(one.shape == "power law" for one in without_floor)
    assert {one.outcome for one in bound} == {"not identified"} and "floor E" in bound[0].reason
    steep = [study(SIZES, losses(lambda x: 0.5 + 0.05 * (x / 1e4) ** -2.3, SIZES, seed, noise=5e-4)) for seed in range(5)]
    edge = [one for one in steep if one.shape == "power law" and one.fits["power law"].parameters[2].value == 2]
    assert {one.outcome for one in edge} == {"not identified"}
    assert "the exponent of the power law is at the edge of what was tried, 2" in {one.reason for one in edge}


def test_the_largest_size_is_predicted_from_the_others() -> None:
    found = study(SIZES, losses(power, SIZES, 0, noise=2e-4))
    assert found.held_out is not None and found.held_out.x == SIZES[-1]
    assert found.held_out.observed == found.y[-1] and found.held_out.predicted == pytest.approx(found.y[-1], abs=2e-3)
    assert found.held_out.error.value == pytest.approx(found.held_out.predicted - found.held_out.observed)
    assert found.held_out.error.low < found.held_out.error.value < found.held_out.error.high
    # Of eight sizes the two largest are held out: a spoilt seventh does not reach the prediction.
    eight = np.geomspace(1e4, 1e6, 8)
    values = losses(line, eight, 0, noise=2e-4)
    spoilt = 0.1 * (np.arange(8) == 6)
    before = study(eight, values)
    after = study(eight, dataclasses.replace(values, y=values.y + spoilt, drawn=values.drawn + spoilt))
    assert before.held_out and after.held_out
    assert after.fits["log-linear"].held_out_error > 5 * before.fits["log-linear"].held_out_error
    line_before, line_after = (one.fits["log-linear"] for one in (before, after))
    assert line_before.held_out_error < 0.01 < line_after.held_out_error


def test_the_slope_is_that_of_a_tenfold_size() -> None:
    found = study(SIZES, losses(line, SIZES, 0, noise=1e-5))
    assert found.slope is not None and found.slope.value == pytest.approx(-0.01, abs=1e-4)
    assert found.slope.low < found.slope.value < found.slope.high


def test_what_is_hard_for_all_sizes_alike_moves_no_slope() -> None:
    still, moved = (study(SIZES, losses(line, SIZES, 0, common=common)) for common in (0.3, 3.0))
    assert moved.slope and still.slope
    assert moved.slope.value == pytest.approx(still.slope.value, rel=1e-6)
    assert moved.slope.high - moved.slope.low == pytest.approx(still.slope.high - still.slope.low, rel=0.1)
    assert moved.fits["constant"].aicc == pytest.approx(still.fits["constant"].aicc, rel=1e-2)


@pytest.mark.parametrize(
    ("sizes", "seeds", "reason"),
    [
        ([1e4, 1e5], 3, "2 different sizes, and a trend needs 3, a law 6"),
        ([1e4], 3, "1 different sizes"),
        ([1e5] * 4, 3, "1 different sizes"),
        ([1e4, 1e5, 1e6], 3, "3 sizes, and a law needs 6"),
        (SIZES.tolist(), 1, "one seed a size"),
    ],
)
def test_too_little_to_tell_says_what_is_missing(sizes: list[float], seeds: int, reason: str) -> None:
    found = study(sizes, losses(line, sizes, 0, noise=1e-4, seeds=seeds))
    assert found.outcome == "not identified" and found.reason.startswith(reason)
    assert (found.slope is None) == (len(set(sizes)) < 3)


def test_runs_without_any_noise_are_no_trouble() -> None:
    exact = study(SIZES, losses(line, SIZES, 0, noise=0.0))
    assert exact.outcome == "law" and exact.shape == "log-linear"
    flat = study(SIZES, losses(lambda _: 0.5, SIZES, 0, noise=0.0, common=0.0))
    assert flat.outcome == "no scaling shown" and flat.shape == "constant"


def test_order_of_sizes_changes_nothing() -> None:
    values = losses(power, SIZES, 0)
    forth, back = study(SIZES, values), study(SIZES[::-1], values.part(values.names[::-1]))
    assert np.array_equal(forth.x, back.x) and np.array_equal(forth.drawn, back.drawn)
    assert (forth.shape, forth.slope, forth.exponent) == (back.shape, back.slope, back.exponent)


@pytest.mark.parametrize("sizes", [[], [0.0, 1.0], [1.0, math.nan], [-1.0]])
def test_a_size_must_be_a_positive_number(sizes: list[float]) -> None:
    with pytest.raises(ValueError, match="sizes must be positive numbers"):
        study(sizes, losses(constant, sizes or [1.0], 0))


def test_drawn_seeds_reach_as_far_as_new_ones_may() -> None:
    """Of three seeds and users that all say the same, 95% of the draws reach over the truth as often as they should."""
    rng, nobody = np.random.default_rng(0), np.zeros(50)
    held = 0
    for at in range(400):
        drawn = means(assemble("logloss", {"a": [(float(value), nobody) for value in rng.normal(0, 1, 3)]}, 50), seed=at).drawn
        low, high = np.quantile(drawn, [0.025, 0.975])
        held += low <= 0 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_a_band_narrows_when_what_all_points_share_is_taken_off() -> None:
    found = study(SIZES, losses(line, SIZES, 0))
    at, nothing = np.geomspace(1e4, 1e6, 9), np.zeros(len(found.drawn))
    middle, low, high = found.band("log-linear", at, nothing)
    paired = found.band("log-linear", at, (found.drawn - found.y).mean(axis=1))
    assert ((low < middle) & (middle < high)).all() and np.array_equal(paired[0], middle)
    assert (paired[2] - paired[1]).max() < 0.5 * (high - low).min()


@pytest.mark.slow
def test_intervals_cover_what_they_are_about() -> None:
    """95%, less a little because three seeds are few, and three standard errors of 250 repetitions."""
    slopes = [one.slope for one in many(line, 250) if one.slope is not None]
    laws = many(power, 250, noise=5e-4)
    exponents = [one.fits["power law"].parameters[2] for one in laws]
    covered = {
        "slope": np.mean([one.low <= -0.01 <= one.high for one in slopes]),
        "exponent": np.mean([one.low <= 0.5 <= one.high for one in exponents]),
        "profile": np.mean([one.exponent is not None and one.exponent[0] <= 0.5 <= one.exponent[1] for one in laws]),
    }
    assert len(slopes) == 250 and all(0.88 <= share <= 0.99 for share in covered.values()), covered
