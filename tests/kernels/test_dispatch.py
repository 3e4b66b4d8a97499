"""The choice of an implementation: order, device, dtype, probe, force, and what records are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from rankbench.kernels import dispatch
from rankbench.kernels.dispatch import Implementation

CPU = torch.device("cpu")
asked: list[str] = []


def probe() -> str | None:
    asked.append("probe")
    return "no such engine"


@pytest.fixture(autouse=True)
def operation() -> Iterator[None]:
    """`add` with an implementation that never works, one for small dtypes, one for all, and one for comparison."""
    asked.clear()
    dispatch.register(
        "add",
        Implementation("engine", lambda: "engine", probe=probe),
        Implementation("small", lambda: "small", device="cpu", dtypes=(torch.bfloat16, torch.float32)),
        Implementation("plain", lambda: "plain"),
        Implementation("slow", lambda: "slow", automatic=False),
        users="these tests",
    )
    yield
    del dispatch.OPERATIONS["add"], dispatch.USERS["add"]


def test_the_first_that_can_is_chosen_and_a_probe_is_asked_once() -> None:
    assert [dispatch.choose("add", CPU, dtype).name for dtype in (torch.float32, torch.float64)] == ["small", "plain"]
    assert dispatch.choose("add", torch.device("cuda"), torch.float32).name == "plain"
    assert asked == ["probe"]


def test_force_wins_or_fails_with_the_reason() -> None:
    with dispatch.forced({"add": "slow"}):
        assert dispatch.choose("add", CPU).name == "slow"
        with dispatch.forced({"add": "engine"}), pytest.raises(ValueError, match="add=engine is not available: no such engine"):
            dispatch.choose("add", CPU)
        assert dispatch.choose("add", CPU, name="plain").name == "plain"
    with dispatch.forced({"add": "small"}):
        with pytest.raises(ValueError, match="it does not take float64"):
            dispatch.choose("add", CPU, torch.float64)
        with pytest.raises(ValueError, match="it runs on cpu alone, not on cuda"):
            dispatch.choose("add", torch.device("cuda"))
    assert dispatch.choose("add", CPU).name == "small"


def test_an_error_inside_is_an_error() -> None:
    def broken() -> None:
        raise RuntimeError("inside")

    dispatch.register("add", Implementation("broken", broken), Implementation("plain", lambda: None), users="none")
    with pytest.raises(RuntimeError, match="inside"):
        dispatch.choose("add", CPU).run()


def test_what_ran_is_seen_while_watching() -> None:
    dispatch.choose("add", CPU)
    with dispatch.watching() as outer:
        dispatch.choose("add", CPU, torch.float32)
        with dispatch.watching() as inner:
            dispatch.choose("add", CPU, torch.float64)
        dispatch.choose("add", CPU, torch.float64)
    dispatch.choose("add", CPU)
    assert (outer, inner) == ({"add": "small and plain"}, {"add": "plain"})


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(KeyError, match="add has no implementation 'fast'; there are engine, small, plain, slow"):
        dispatch.choose("add", CPU, name="fast")
