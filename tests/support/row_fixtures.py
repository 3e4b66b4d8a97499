"""Random pointwise batches of `support.example_rows` as fixtures of the tests of rankers that read rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rankbench.bench.contract import DataSpec, PointwiseBatch
from support.example_rows import new_batch, new_spec, some_rows


@pytest.fixture
def make_spec() -> Callable[..., DataSpec]:
    return new_spec


@pytest.fixture
def make_batch() -> Callable[..., PointwiseBatch]:
    return new_batch


@pytest.fixture
def rows_of() -> Callable[[PointwiseBatch, list[int]], PointwiseBatch]:
    return some_rows
