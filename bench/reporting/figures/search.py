"""Figures of sweeps: records of trials in, Figure out. What they show is validation, by which the search chose."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...evaluation.cards import shown
from ...records import sweeps
from ...records.sweeps import Axis, SweepRecord, Trial
from .style import COLOURS, STYLE, headed, save

LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Of the models of one family, in turn."""
FORESTS = 5
"""Importances are means over so many random forests; bars show their range."""
LETTERS = 55
"""Of values that stand side by side on an axis; more of them stand above and below it in turn."""
FEWEST = 8
"""Complete trials below which importances say nothing."""


def draw(folder: Path) -> list[Path]:
    """All figures of the trials in a folder, beside them."""
    records = [sweeps.load(path) for path in sorted(folder.glob("*.json"))]
    paths = save(best_so_far(records), folder / "best-so-far")
    for record in records:
        if record.best is not None:
            paths += save(parallel(record), folder / f"{record.model}-trials")
        if sum(trial.state == "complete" for trial in record.trials) >= FEWEST:
            paths += save(importance(record), folder / f"{record.model}-importance")
    return paths


def _running_best(record: SweepRecord) -> list[float]:
    """Of the trials that count, in the order in which they began; NaN before the first complete one."""
    pick = np.fmin if record.lower_is_better else np.fmax
    values = [math.nan if trial.value is None else trial.value for trial in record.counted]
    return [float(value) for value in accumulate(values, pick)]


def best_so_far(records: Sequence[SweepRecord]) -> Figure:
    """The best validation metric against trials and against training time, a line a model."""
    with matplotlib.rc_context(STYLE):
        first = records[0]
        counts = {len(record.counted) for record in records}
        trials = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
        title = f"What {trials} trials a model find on validation; one seed a trial, so that no verdict follows"
        figure = headed(title, f"{first.study.rpartition('/')[0]}: the best validation {shown(first.metric)} so far", 3.6)
        left, right = figure.subplots(1, 2, sharey=True)
        seen: dict[str, int] = {}
        handles = []
        for record in records:
            line = LINES[seen.get(record.family, 0) % len(LINES)]
            seen[record.family] = seen.get(record.family, 0) + 1
            best = _running_best(record)
            seconds = list(accumulate(trial.seconds for trial in record.counted))
            style: Any = {"color": COLOURS[record.family], "linestyle": line, "linewidth": 1.5, "where": "post"}
            left.step(range(1, len(best) + 1), best, **style)
            right.step(seconds, best, **style)
            for axes, places in ((left, range(1, len(best) + 1)), (right, seconds)):
                axes.plot(list(places)[-1:], best[-1:], "o", color=COLOURS[record.family], markersize=4)
            last = "" if not best or math.isnan(best[-1]) else f" {best[-1]:.4f}"
            handles.append(
                Line2D([], [], color=COLOURS[record.family], linestyle=line, linewidth=1.5, label=f"{record.model}{last}")
            )
        better = "lower" if first.lower_is_better else "higher"
        left.set_ylabel(f"validation {shown(first.metric)} ({better} is better)")
        left.set_xlabel("trials, the first with the defaults")
        left.xaxis.get_major_locator().set_params(integer=True)
        right.set_xlabel("training seconds, summed over trials")
        right.set_xlim(left=0)
        figure.legend(handles=handles, loc="outside lower left", ncols=5, columnspacing=1.2)
        return figure


def _height(axis: Axis, value: Any) -> float:
    """Where a value stands on its axis, from 0 to 1."""
    if axis.kind == "choice":
        return (axis.values.index(value) + 0.5) / len(axis.values)
    low, high, at = (math.log(one) if axis.kind == "log" else float(one) for one in (*axis.values, value))
    return 0.5 if high == low else (at - low) / (high - low)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parallel(record: SweepRecord) -> Figure:
    """Every trial as a line through its settings; complete ones coloured by value, the best and the defaults marked."""
    with matplotlib.rc_context(STYLE):
        states = [trial.state for trial in record.counted]
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed") if state in states)
        about = f"{record.study}: trials and their validation {shown(record.metric)} ({counts}); one seed a trial"
        figure = headed(_against_defaults(record), about, 0.6 + 0.42 * (len(record.space) + 1))
        axes = figure.add_subplot()
        names = list(record.space)
        colours, norm = _colours(record)
        for trial in _by_merit(record):
            if trial.params:
                _line(axes, record, trial, names, colours, norm)
        for row, (_, axis) in enumerate(record.space.items()):
            places = axis.values if axis.kind == "choice" else _ticks(axis)
            crowded = sum(len(_shown(value)) + 2 for value in places) > LETTERS
            for at, value in enumerate(places):
                shift = -11 if crowded and at % 2 else 5
                text = axes.annotate(
                    _shown(value), (_height(axis, value), row), (0, shift), textcoords="offset points", ha="center", fontsize=7
                )
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8})
                axes.plot([_height(axis, value)], [row], "|", color="black", markersize=5)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.7)
        axes.set_xlim(-0.04, 1.04)
        axes.set_xticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.grid(axis="x", visible=False)
        bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, pad=0.01, aspect=30)
        bar.set_label(f"validation {shown(record.metric)} of complete trials")
        bar.outline.set_visible(False)  # type: ignore[operator]
        handles = [
            Line2D([], [], color=COLOURS[record.family], linewidth=2.4, label="best"),
            Line2D([], [], color="black", linestyle="--", linewidth=1.4, label="defaults"),
        ]
        if {"pruned", "failed"} & set(states):
            handles.append(Line2D([], [], color=UNFINISHED, linestyle=":", linewidth=0.9, label="pruned or failed"))
        figure.legend(handles=handles, loc="outside lower left", ncols=3)
        return figure


UNFINISHED = "#999999"


def _against_defaults(record: SweepRecord) -> str:
    """The best trial beside the one of the defaults, in numbers: with a seed each, nothing is shown."""
    best = record.best
    assert best is not None and best.value is not None, "drawn where there is a best trial"
    own = next((trial.value for trial in record.counted if trial.params == record.defaults and trial.value is not None), None)
    reached = f"The best trial of {record.model} reaches {best.value:.4f} on validation"
    return reached if own is None else f"{reached}, the defaults {own:.4f}"


def _colours(record: SweepRecord) -> tuple[Any, Normalize]:
    """A scale over the better half and a little below: a few failures of the search do not take all colours."""
    values = np.array([trial.value for trial in record.counted if trial.value is not None])
    ends = (values.min(), np.median(values) * 2 - values.min()) if record.lower_is_better else (
        max(values.min(), 2 * np.median(values) - values.max()), values.max()
    )  # fmt: skip
    low, high = sorted(map(float, ends))
    # Greys, light for bad: a colour would be a family's.
    shades = np.linspace(0.25, 0.85, 256)
    palette = ListedColormap(colormaps["Greys"](shades[::-1] if record.lower_is_better else shades))
    return palette, Normalize(low, high if high > low else low + 1e-6)


def _by_merit(record: SweepRecord) -> list[Trial]:
    """Worst first, so that better ones are drawn above."""
    sign = -1 if record.lower_is_better else 1
    return sorted(record.counted, key=lambda trial: -math.inf if trial.value is None else sign * trial.value)


def _line(axes: Axes, record: SweepRecord, trial: Trial, names: list[str], colours: Any, norm: Normalize) -> None:
    heights = [_height(record.space[name], trial.params[name]) for name in names]
    style: dict[str, Any] = {"color": UNFINISHED, "linewidth": 0.9, "linestyle": ":"}
    if trial.value is not None:
        style = {"color": colours(norm(trial.value)), "linewidth": 1.1, "alpha": 0.9}
    if trial.params == record.defaults:
        style = {"color": "black", "linewidth": 1.4, "linestyle": "--"}
    if trial == record.best:
        style |= {"color": COLOURS[record.family], "linewidth": 2.4, "alpha": 1.0}
    axes.plot(heights, range(len(names)), **style)


def _ticks(axis: Axis) -> list[float]:
    """A few round values of a range, its ends among them."""
    low, high = axis.values
    if axis.kind == "log":
        return [float(one) for one in np.geomspace(low, high, 3 if high / low > 10 else 2).round(12)]
    if axis.kind == "whole":
        return list(range(low, high + 1)) if high - low < 8 else [low, (low + high) // 2, high]
    return [float(one) for one in np.linspace(low, high, 3).round(12)]


def importance(record: SweepRecord) -> Figure:
    """How much of the complete trials' variance each setting explains by itself: fANOVA (Hutter et al. 2014)."""
    names, found = importances(record)
    with matplotlib.rc_context(STYLE):
        complete = sum(trial.state == "complete" for trial in record.trials)
        middle = found.mean(0)
        about = f"{record.study}: what the validation {shown(record.metric)} of {complete} trials depends on"
        figure = headed(_weightiest(names, found), about, 0.9 + 0.3 * len(names))
        axes = figure.add_subplot()
        rows = np.argsort(middle, kind="stable")
        around = np.stack([middle - found.min(0), found.max(0) - middle])[:, rows]
        axes.barh(range(len(rows)), middle[rows], color=COLOURS[record.family], height=0.6, alpha=0.75)
        axes.errorbar(middle[rows], range(len(rows)), xerr=around, fmt="none", ecolor="black", elinewidth=1, capsize=2)
        axes.set_yticks(range(len(rows)), [names[row] for row in rows])
        axes.grid(axis="y", visible=False)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"share of variance (fANOVA; bars: range over {FORESTS} forests, not over other trials)")
        return figure


def _weightiest(names: list[str], found: np.ndarray) -> str:
    """The setting whose range lies above that of every other, if there is one."""
    first, *others = np.argsort(-found.mean(0), kind="stable")
    if all(found[:, first].min() > found[:, other].max() for other in others):
        return f"Of the settings of these trials, {names[first]} matters most"
    return "No setting stands out in these trials"


def importances(record: SweepRecord) -> tuple[list[str], np.ndarray]:
    """Names of the settings that varied and their importances, float64 [forests, settings]; every row sums to 1."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.importance import FanovaImportanceEvaluator

    def distribution(axis: Axis) -> BaseDistribution:
        if axis.kind == "choice":
            return CategoricalDistribution([json.dumps(value) for value in axis.values])
        low, high = axis.values
        return IntDistribution(low, high) if axis.kind == "whole" else FloatDistribution(low, high, log=axis.kind == "log")

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    complete = [trial for trial in record.trials if trial.state == "complete"]
    varied = [name for name in record.space if len({json.dumps(trial.params[name]) for trial in complete}) > 1]
    kinds = {name: distribution(record.space[name]) for name in varied}
    study = optuna.create_study(direction="minimize" if record.lower_is_better else "maximize")
    for trial in complete:
        params = {n: json.dumps(trial.params[n]) if record.space[n].kind == "choice" else trial.params[n] for n in varied}
        study.add_trial(optuna.create_trial(params=params, distributions=kinds, value=trial.value))
    rows = []
    for seed in range(FORESTS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = FanovaImportanceEvaluator(seed=seed)
            found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)
        rows.append([found[name] for name in varied])
    return varied, np.array(rows)
