"""What the values of options may be: functions from what was typed to a number, for `type=`."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def for_cores(text: str) -> int:
    """A number of threads or processes that this machine can bear."""
    most = 8 * (os.cpu_count() or 1)
    if positive(text) > most:
        raise argparse.ArgumentTypeError(f"must be at most {most}, eight for each core of this machine, not {text}")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, not {text!r}")
    return int(text)


def between_half_and_one(text: str) -> float:
    """An AUC that is better than chance."""
    return number(text, lambda value: 0.5 < value < 1, "a number above 0.5 and below 1")


def share(text: str) -> float:
    """A number from 0 to below 1."""
    return number(text, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def above_zero(text: str) -> float:
    """A finite number above 0."""
    return number(text, lambda value: 0 < value < math.inf, "a number above 0")


def number(text: str, fits: Callable[[float], bool], what: str) -> float:
    """
    Args:
        fits: false of NaN.
        what: it must be, in words.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise argparse.ArgumentTypeError(f"must be {what}, not {text!r}")
    return value
