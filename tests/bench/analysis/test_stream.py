"""What passes through time took: the first window that has the target, means over seeds, and curves that leave the envelope."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankbench.bench.analysis import stream
from rankbench.bench.analysis.stream import StreamRow, over_seeds
from rankbench.bench.analysis.stream_statements import BeyondEnvelope, Envelopes, Work
from rankbench.bench.errors import UserError
from rankbench.bench.records.schema import CurvePoint, RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from support.records import predictions, record
from support.stream_rows import WINDOWS, row


def alarms(rows: Sequence[StreamRow], others: dict[Any, Any] | None = None) -> list[BeyondEnvelope]:
    found = stream._alarms(rows, others or {}, others is not None)
    return [one for one in found if isinstance(one, BeyondEnvelope)]


def honest(seeds: int, salt: int = 0) -> list[list[float]]:
    rng = np.random.default_rng(salt)
    return [[0.6 + 0.02 * at + 0.002 * rng.normal() for at in range(WINDOWS)] for _ in range(seeds)]


def test_work_is_that_before_the_first_window_that_has_the_target() -> None:
    told = stream._to_target(row("din", [[0.6, 0.71, 0.65, 0.72], [0.6, 0.6, 0.7, 0.8]]), 0.7)
    assert (told.seeds, told.reached, told.work) == (2, 2, Work(250.0, 2.5, 2.5e6))
    assert told.samples is not None and told.samples.value == 250 and told.samples.low < 200 < 300 < told.samples.high
    half = stream._to_target(row("din", [[0.6, 0.71, 0.65, 0.72], [0.6] * 4]), 0.7)
    assert (half.reached, half.work, half.samples) == (1, Work(200.0, 2.0, 2e6), None)
    never = stream._to_target(row("din", [[0.6, 0.61, 0.65, 0.62]]), 0.7)
    assert (never.reached, never.work, never.best) == (0, None, 0.65)


def test_the_interval_over_seeds_is_students() -> None:
    found = over_seeds([0.70, 0.72, 0.74])
    assert found.value == pytest.approx(0.72) and found.high - found.value == pytest.approx(4.302653 * 0.02 / math.sqrt(3))
    alone = over_seeds([0.7])
    assert alone.value == 0.7 and math.isnan(alone.low) and math.isnan(alone.high)


def test_a_seed_that_rises_above_its_siblings_is_named_with_the_first_window_in_which_it_does() -> None:
    curves = honest(10)
    curves[4][2] += 0.05
    curves[4][3] += 0.05
    (found,) = alarms([row("din", curves)])
    assert (found.row, found.seed, found.window, found.seeds) == ("din", 4, 4, 9) and found.auc > found.bound
    curves[4] = [auc - 0.1 for auc in curves[4]]
    assert not alarms([row("din", curves)]), "below is no alarm"


def test_honest_seeds_raise_about_as_many_alarms_as_promised_and_a_row_beside_itself_none() -> None:
    raised = sum(len(alarms([row("din", honest(10, salt))])) for salt in range(20))
    assert raised <= 0.03 * 200
    curves = [honest(1)[0]] * 5
    assert not alarms([row("din", curves)])


def test_committed_seeds_make_the_envelope_of_new_ones_and_of_their_own_settings_alone() -> None:
    committed = {("din", "0" * 12): row("din", honest(10)).seeds}
    leaking = row("din", [[auc + 0.05 for auc in one] for one in honest(3, 1)])
    assert [one.seed for one in alarms([leaking], committed)] == [0, 1, 2]
    assert not alarms([leaking]), "among themselves they agree"
    assert not alarms([row("hstu", [[0.9] * WINDOWS] * 3)], committed)
    unknown = [one for one in stream._alarms([row("hstu", honest(2))], {}, False) if isinstance(one, Envelopes)]
    assert unknown[0].unknown == ("hstu",) and unknown[0].watched == ()


def test_a_run_that_lies_in_the_envelopes_folder_too_does_not_judge_itself() -> None:
    curves = honest(4)
    curves[1] = [auc + 0.05 for auc in curves[1]]
    own = row("din", curves)
    assert [one.seed for one in alarms([own], {("din", "0" * 12): own.seeds})] == [1]


def passes(seeds: int, **identity: str) -> list[RunRecord]:
    """Runs of a stream of four windows, as records have them."""
    made = []
    for seed in range(seeds):
        one = record("din", predictions(1.0, seed), seed)
        config = {**one.config, "train": {**one.config["train"], "order": "time"}}
        curve = tuple(CurvePoint(at, 0.6, 0.6 + 0.01 * at, math.nan, 0.6, 2.0 * at) for at in (1, 2, 3))
        made.append(dataclasses.replace(one, config=config, curve=curve, identity=dataclasses.replace(one.identity, **identity)))
    return made


class Hundreds:
    """Of examples in each window."""

    def of(self, run: RunRecord) -> tuple[int, ...]:
        return (100, 200, 300, 400)


def test_the_work_of_a_record_is_counted_up_to_each_window() -> None:
    (one,) = passes(1)
    assert one.cost is not None and one.metrics is not None
    found, cost = stream._seed(one, Hundreds()), one.cost  # type: ignore[arg-type]
    share = cost.train_cpu_seconds / cost.train_seconds
    assert [done.samples for done in found.work] == [100, 300, 600, 1000]
    assert [done.seconds for done in found.work] == pytest.approx([2 * share, 4 * share, 6 * share, cost.train_cpu_seconds])
    assert [done.flops for done in found.work] == [3 * cost.flops_per_example * count for count in (100, 300, 600, 1000)]
    assert found.auc == (0.61, 0.62, 0.63, one.metrics.test["all"]["auc"])


def test_an_envelope_of_other_data_or_windows_is_refused(tmp_path: Path) -> None:
    own, store = passes(1)[0], Store(tmp_path)
    alike, other, cut = passes(3), passes(3, content_hash="d" * 64), passes(3, split_hash="e" * 64)
    found = stream._by_cell(View(store, (*alike, *other, *cut)), own, Hundreds())  # type: ignore[arg-type]
    assert [len(seeds) for seeds in found.values()] == [3]
    with pytest.raises(UserError, match="went through time over the data and windows of these runs"):
        stream._by_cell(View(store, (*other, *cut)), own, Hundreds())  # type: ignore[arg-type]


def test_a_row_is_held_against_the_best_floor_of_each_window() -> None:
    floors = [row("ctr", [[0.6, 0.7, 0.6, 0.7]], family="floor"), row("own-rate", [[0.65, 0.6, 0.6, 0.6]], family="floor")]
    auc, gauc = stream._above(row("din", [[0.66, 0.69, 0.61, 0.72]]), floors)
    assert (auc.windows, auc.of) == (3, 4) and auc.last == pytest.approx(0.02)
    assert (gauc.metric, gauc.windows) == ("request_gauc", 0)
