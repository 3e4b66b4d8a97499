"""Whatever is read from outside is read or refused in one line: no traceback, no hang, nothing left half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fuzz.harness import FOUND, faults, folder_of
from support.fuzz.targets import TARGETS, Target

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("own_folders")]

INPUTS = 32
"""Of each target; python -m support.fuzz tries more."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nearly_right_input_ends_in_one_clear_line_or_in_a_result(target: Target, tmp_path: Path) -> None:
    found = [fault for fault in faults(target, tmp_path / "of", ((seed, None) for seed in range(INPUTS))) if fault]
    assert not found, "\n".join(f"seed {fault.seed}: {fault.said}" for fault in found)


KEPT = [(target, path) for target in TARGETS for path in sorted((FOUND / folder_of(target.name)).glob("*"))]


@pytest.mark.parametrize(("target", "path"), KEPT, ids=lambda one: one.name)
def test_what_was_a_fault_once_is_none_any_more(target: Target, path: Path, tmp_path: Path) -> None:
    (fault,) = faults(target, tmp_path / "of", iter([(None, path.read_bytes())]))
    assert fault is None, fault.said
