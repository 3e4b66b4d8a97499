"""Figures of sweeps: every setting and model is named inside the picture, and the same trials give the same bytes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from rankbench.bench import registry
from rankbench.bench.errors import UserError
from rankbench.bench.records import sweeps
from rankbench.bench.records.sweeps import SweepRecord, Trial
from rankbench.bench.reporting.figures import search as figures
from support.sweeps import record

pytestmark = pytest.mark.long


def drawn(figure: Figure) -> list[Text]:
    """Texts that are seen; all lie inside the picture."""
    figure.canvas.draw()
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer = figure.canvas.get_renderer()
    # Matplotlib keeps tick labels beyond the ends of an axis without drawing them.
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    ticks = [(axis, tick) for axis in axes for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())]
    ends = {axis: sorted(axis.get_view_interval()) for axis in axes}
    beyond = [tick for axis, tick in ticks if not ends[axis][0] <= tick.get_loc() <= ends[axis][1]]
    unseen = {text for tick in beyond for text in (tick.label1, tick.label2)}
    found = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in unseen]
    texts = [text for text in found if text.get_visible() and text.get_text()]
    for text in texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1 and box.x1 <= figure.bbox.width + 1 and box.y0 >= -1 and box.y1 <= figure.bbox.height + 1, text
    return texts


@pytest.mark.parametrize("model", ["din", "hstu", "gbdt"])
def test_settings_are_named_and_their_values_hide_no_other(model: str) -> None:
    made = record(model, 20)
    figure = figures.parallel(made)
    texts = drawn(figure)
    assert {text.get_text() for text in texts} >= set(made.space)
    axes = figure.axes[0]
    values = [text.get_window_extent() for text in axes.texts]
    assert len(values) >= 2 * len(made.space)
    for one, other in combinations(values, 2):
        assert not (one.shrunk(0.98, 0.8).overlaps(other.shrunk(0.98, 0.8))), "two values on one spot"


def test_the_best_so_far_never_gets_worse() -> None:
    names = [name for name in registry.MODELS if registry.info(name).space][:12]
    figure = figures.best_so_far([record(name, 12, seed) for seed, name in enumerate(names)])
    shown = " ".join(text.get_text() for text in drawn(figure))
    assert all(name in shown for name in names)
    for line in figure.axes[0].lines:
        values = np.asarray(line.get_ydata(), dtype=float)
        assert (np.diff(values[~np.isnan(values)]) >= 0).all()


def test_importance_finds_what_matters() -> None:
    made = record("din", 40)
    names, found = figures.importances(made)
    assert found.sum(1) == pytest.approx(np.ones(figures.FORESTS))
    assert names[int(found.mean(0).argmax())] == "train.lr", "the made-up values depend on it"
    assert "train.lr" in {text.get_text() for text in drawn(figures.importance(made))}


def test_the_same_trials_give_the_same_bytes(tmp_path: Path) -> None:
    made = record("hstu", 12)
    sweeps.write(made, tmp_path / "hstu.json")
    assert sweeps.load(tmp_path / "hstu.json") == made
    paths = figures.draw(tmp_path)
    assert {path.stem for path in paths} == {"best-so-far", "hstu-trials", "hstu-importance"}
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in figures.draw(tmp_path)] == before


def test_a_file_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "din.json"
    for content, message in (
        ("{", "is not JSON"),
        ('{"version": 99}', "version 99"),
        ('{"version": 3}', "it lacks study"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=message):
            sweeps.load(path)


def test_equal_values_are_won_by_the_first_and_others_do_not_count() -> None:
    made = record("din", 3)
    trials = tuple(
        Trial(number, state, value, 2.0, 1, 1, None, None, made.defaults, (), False)  # type: ignore[arg-type]
        for number, (state, value) in enumerate(
            [("handed on", None), ("complete", 0.7), ("complete", 0.8), ("complete", 0.8), ("pruned", None), ("surplus", None)]
        )
    )
    made = SweepRecord(**{**made.__dict__, "trials": trials})
    assert made.best is not None and made.best.number == 2 and len(made.counted) == 4 and made.seconds == 8.0
    took = sweeps.effort(made)
    assert (took.trials, took.pruned, took.failed, took.best_at, took.best_cut) == (4, 0.25, 0.0, 2, False)
    lowest = SweepRecord(**{**made.__dict__, "metric": "logloss"})
    assert lowest.best is not None and lowest.best.number == 1


def test_effort_is_said_in_numbers_that_compare_unequal_spaces() -> None:
    made = record("hstu", 15)
    took = sweeps.effort(made)
    assert (took.trials, took.dimensions) == (15, len(made.space))
    assert (took.cut, took.pruned) == (3 / 15, 2 / 15)
    choices = {name: axis.values for name, axis in made.space.items() if axis.kind == "choice"}
    assert all(axis.kind in ("choice", "real", "log") for axis in made.space.values())
    tried = {(name, str(trial.params[name])) for trial in made.trials for name in choices}
    assert took.values_seen == len(tried) / sum(map(len, choices.values())) < 1
    assert took.best_at is not None and made.counted[took.best_at - 1] == made.best
