"""What a fit shows, in words: nothing that its interval does not."""

from __future__ import annotations

import numpy as np

from ..evaluation.scaling import CLOSE, Estimate, Fit, Scaling


def sentence(series: str, loss: str, axis: str, found: Scaling | None) -> str:
    """All that is known of one series along an axis; None: it hardly moves along it."""
    if found is None:
        return f"{series}: {axis} hardly change, so that nothing is fitted."
    span = f"{series}, {_short(found.x[0])} to {_short(found.x[-1])} {axis}"
    if found.outcome == "law":
        answer = _law(loss, found)
    elif found.outcome == "no scaling shown":
        answer = f"no scaling shown, {found.reason}"
    elif found.slope is not None and not found.slope.includes_zero:
        answer = f"{loss} {_way(found.slope)}, by a law that is not identified: {found.reason}"
    else:
        answer = f"not identified: {found.reason}"
    slope = f" Slope {interval(found.slope)}." if found.slope is not None else ""
    return f"{span}: {answer}.{slope}{_held_out(found)}"


def brief(found: Scaling | None) -> str:
    """The outcome in a few words."""
    if found is None:
        return "hardly moves"
    if found.outcome == "no scaling shown":
        return found.outcome
    if found.slope is None:
        return "too few sizes"
    slope = f"{found.slope.value:+.4f} for tenfold"
    return f"{slope}, {found.shape}" if found.outcome == "law" else f"{slope}, law not identified"


def interval(one: Estimate) -> str:
    return f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"


def _law(loss: str, found: Scaling) -> str:
    best = found.fits[found.shape]
    if found.shape == "power law":
        floor, scale, exponent = best.parameters
        profile = f", profile [{found.exponent[0]:.2f}, {found.exponent[1]:.2f}]" if found.exponent else ""
        text = (
            f"{loss} = E + A x^-a with E {floor.value:.4f} [{floor.low:.4f}, {floor.high:.4f}], A {scale.value:.3g}, "
            f"a {exponent.value:.2f} [{exponent.low:.2f}, {exponent.high:.2f}]{profile}"
        )
    elif found.shape == "log-linear":
        text = f"{loss} = a + b ln x, which {_way(best.parameters[1])}"
    else:
        text = f"{loss} is a parabola in ln x, {_turn(best, found.x)}"
    rivals = [fit.shape for fit in found.fits.values() if fit is not best and fit.aicc <= best.aicc + CLOSE]
    return text + (f" (by AICc, {' and '.join(rivals)} would do as well)" if rivals else "")


def _way(slope: Estimate) -> str:
    return "falls" if slope.value < 0 else "rises: larger is worse"


def _turn(fit: Fit, x: np.ndarray) -> str:
    """Where a parabola over sizes x turns."""
    _, b, c = (one.value for one in fit.parameters)
    ends = np.quantile(-fit.drawn[:, 1] / (2 * fit.drawn[:, 2]), [0.025, 0.975])
    at, low, high = np.exp(np.clip([-b / (2 * c), *ends], -100, 100))
    if not x[0] < at < x[-1]:
        return "which turns at none of these sizes"
    return f"{'lowest' if c > 0 else 'highest'} at {_short(at)} [{_short(low)}, {_short(high)}]"


def _held_out(found: Scaling) -> str:
    if found.held_out is None:
        return ""
    one = found.held_out
    numbers = f"{one.predicted:.4f} for the largest, observed {one.observed:.4f}, error {interval(one.error)}"
    return f" Fitted without the largest sizes, {found.shape} predicts {numbers}."


def _short(value: float) -> str:
    """43.2k"""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
