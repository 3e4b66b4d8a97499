"""Whether scores know of the test labels no more than a model can.

What a model knows beyond others is a part of its logits that theirs do not explain. If it is knowledge, its weight in a joint
logistic regression is about that of the whole logit (a calibrated model says what it knows at its own scale); it cannot count
for several times as much. Labels that are mixed into scores do: they move a logit little and its label surely. The bounds are
wide: among all committed boards the largest relative weight was 2.2 and the largest partial correlation .32, both against one
much weaker row; a twentieth of a logit of labels mixed into DIN's scores gives 4.8 and .27 beside other rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..evaluation.scores import STEPS
from .finding import Finding
from .runs import Run

ROWS = 20_000
"""Test rows by which it is judged, at most."""
WEIGHT = 2.5
"""Largest weight of what a model alone knows, in units of the weight of its whole logit."""
CORRELATION = 0.4
"""Largest partial correlation with the labels of what a model alone knows."""
CERTAIN = 3.0
"""Standard errors by which a bound must be passed."""
GAP = 0.03
"""By which AUC may rise from validation to test beyond what that of other rows does; .02 was the most of any committed row."""


def about_scores(runs: Sequence[Run], label: np.ndarray, bayes_auc: float | None) -> Iterator[Finding]:
    """Of the finished runs of one choice of data settings.

    Args:
        label: of the test examples, [n].
        bayes_auc: the best that is reachable, where it is known.
    """
    trained = [run for run in runs if not run.counted and len(run.codes) == len(label)]
    if bayes_auc is not None:
        yield from _about_best(trained, label, bayes_auc)
    yield from _about_gaps(trained)
    step = max(1, -(-len(label) // ROWS))
    y = label[::step].astype(np.float64)
    if not 0 < y.sum() < len(y):
        return
    logits = {run: run.codes[::step] / STEPS for run in trained}
    rows: dict[str, list[Run]] = {}
    for run in trained:
        rows.setdefault(run.row, []).append(run)
    means = {row: np.mean([logits[run] for run in group], axis=0) for row, group in rows.items()}
    for row, group in rows.items():
        others = [mean for name, mean in means.items() if name != row]
        for known in ([others] if len(others) > 1 else []) + [[one] for one in others]:
            if said := _excess(means[row], known, y):
                for run in group:
                    yield Finding("wrong", run.where, f"its row's scores know too much of the test labels: {said}")
                break
        for run in group if len(group) > 1 else ():
            known = [np.mean([logits[other] for other in group if other is not run], axis=0)]
            if said := _excess(logits[run], known, y):
                yield Finding("wrong", run.where, f"its scores know more of the test labels than its other seeds can: {said}")


def _excess(logit: np.ndarray, others: list[np.ndarray], label: np.ndarray) -> str | None:
    """Which bound the part of a logit passes that others do not explain; None if it passes none."""
    known = np.stack([np.ones_like(label), *others], axis=1)
    own = logit - known @ np.linalg.lstsq(known, logit, rcond=None)[0]
    spread = float(own.std())
    if spread < 1e-3 or logit.std() < 1e-3:
        return None
    rest = label - known @ np.linalg.lstsq(known, label, rcond=None)[0]
    correlation = float(np.corrcoef(own, rest)[0, 1])
    if correlation - CERTAIN / np.sqrt(len(label)) > CORRELATION:
        return f"what it alone knows has a correlation of {correlation:.2f} with them, above {CORRELATION}"
    if correlation < CERTAIN / np.sqrt(len(label)):
        return None
    whole, _ = _weight(np.stack([np.ones_like(label), logit], axis=1), label)
    weight, error = _weight(np.column_stack([known, own]), label)
    if whole > 0 and (weight - CERTAIN * error) / whole > WEIGHT:
        return f"what it alone knows weighs {weight / whole:.1f} times as much as its logit, above {WEIGHT}"
    return None


def _weight(columns: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Weight of the last column in a logistic regression by Newton's method, and its standard error."""
    weights = np.zeros(columns.shape[1])
    ridge = 1e-6 * np.eye(columns.shape[1])
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
        hessian = (columns * (p * (1 - p))[:, None]).T @ columns + ridge
        weights = weights + np.clip(np.linalg.solve(hessian, columns.T @ (label - p)), -3, 3)
    return float(weights[-1]), float(np.sqrt(np.linalg.inv(hessian)[-1, -1]))


def _auc_error(values: dict[str, float | int | None]) -> float:
    """Standard error of an AUC, at the most."""
    fewer = min(values["positives"] or 0, (values["n"] or 0) - (values["positives"] or 0))
    return 0.5 / np.sqrt(max(fewer, 1))


def _about_best(runs: Sequence[Run], label: np.ndarray, bayes_auc: float) -> Iterator[Finding]:
    for run in runs:
        test = run.results[0].test["all"]
        auc = test["auc"]
        if auc is not None and auc > bayes_auc + CERTAIN * _auc_error(test):
            yield Finding("wrong", run.where, f"its AUC is {auc:.4f}; the best that is possible is {bayes_auc:.4f}")


def _about_gaps(runs: Sequence[Run]) -> Iterator[Finding]:
    """From validation to test, all models of a board lose or gain about the same."""
    gaps, errors = {}, {}
    for run in runs:
        test, valid = run.results[0].test["all"], run.results[0].valid["all"]
        if test["auc"] is not None and valid["auc"] is not None:
            gaps[run] = test["auc"] - valid["auc"]
            errors[run] = np.hypot(_auc_error(test), _auc_error(valid))
    for run, gap in gaps.items():
        others = [other for one, other in gaps.items() if one.row != run.row]
        if others:
            usual = float(np.median(others))
            if gap - usual > GAP + CERTAIN * errors[run]:
                what = f"its AUC is {gap:+.4f} from validation to test, that of other rows {usual:+.4f} (median)"
                yield Finding("wrong", run.where, f"{what}: validation does not bear the test out")
