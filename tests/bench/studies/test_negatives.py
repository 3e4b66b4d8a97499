"""The odds that a study of negatives takes back off its scores are those that were put on."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.evaluation import metrics
from rankbench.bench.studies import negatives
from rankbench.bench.studies.grid import Scope
from support.logs import make_log
from support.studies import made_up


def test_the_correction_is_that_of_the_data(tmp_path: Path) -> None:
    finding = made_up(negatives.STUDY, Scope(("din",)), tmp_path / "runs", seeds=1, users=12)
    log = make_log(tmp_path / "log")
    whole = prepare_log(log, DataConfig("tiny")).examples("train")
    counts = {"train": len(whole)}, {"train": int(whole.label.sum())}
    changed = []
    for one in finding.measurements:
        data = dataclasses.replace(one.records[0].data, examples=counts[0], positives=counts[1])
        changed.append(dataclasses.replace(one, records=(dataclasses.replace(one.records[0], data=data),)))
    finding = dataclasses.replace(finding, measurements=tuple(changed))
    for one in finding.measurements:
        config = DataConfig("tiny", negatives=negatives.source(one), negative_rate=float(one.point.at))  # type: ignore[arg-type]
        assert negatives.correction(one, finding) == pytest.approx(prepare_log(log, config).logit_correction), one.point.label


def test_calibration_before_correction_is_of_the_shifted_logits(tmp_path: Path) -> None:
    finding = made_up(negatives.STUDY, Scope(("din",)), tmp_path, seeds=1, users=12)
    one = finding.measurements[0]
    assert negatives.correction(one, finding) == pytest.approx(math.log(0.1)), "a tenth of the exposed negatives"
    frame = finding.store.predictions(one.records[0].identity)
    label, score = frame["label"].to_numpy(), frame["score"].to_numpy()
    raw = score / (score + (1 - score) * 0.1)
    assert negatives.before(0)(one, finding) == pytest.approx(metrics.logloss(label, raw))
    assert negatives.before(1)(one, finding) == pytest.approx(metrics.expected_calibration_error(label, raw))
    whole = next(one for one in finding.measurements if one.point.at == 1.0)
    assert negatives.before(0)(whole, finding) == pytest.approx(np.mean(whole.row.logloss.point)), "nothing was sampled"


def test_where_the_test_is_sampled_odds_are_those_of_its_rate(tmp_path: Path) -> None:
    finding = made_up(negatives.STUDY, Scope(("din",), positive_only=True), tmp_path, seeds=1, users=12)
    assert {negatives.source(one) for one in finding.measurements} == set(negatives.SAMPLED)
    for one in finding.measurements:
        data = {**one.records[0].config["data"], "test_negatives": "uniform", "test_negative_rate": 20}
        record = dataclasses.replace(one.records[0], config={**one.records[0].config, "data": data})
        sampled = dataclasses.replace(one, records=(record,))
        assert negatives.correction(sampled, finding) == pytest.approx(math.log(float(one.point.at) / 20))
    assert all((pair.other.point.series, pair.other.point.at) == ("din, uniform", 4) for pair in finding.comparisons)
