"""Numbers as figures and sentences show them."""

from __future__ import annotations

import pytest

from rankbench.bench.reporting.study_words import short


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.524, "0.524"), (28.0, "28"), (999.4, "999"), (999.6, "1k"), (2_510.0, "2.51k"), (999_700.0, "1M"), (71_444.0, "71.4k")],
)
def test_three_digits_and_never_a_power_of_ten(value: float, shown: str) -> None:
    assert short(value) == shown
