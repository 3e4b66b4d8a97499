"""The odds that a study of negatives takes back off its scores are those that were put on."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.evaluation import metrics
from rankbench.bench.studies.points import Scope
from rankbench.bench.studies.questions import negatives
from support.studies import made_up


def test_calibration_before_correction_is_of_the_shifted_logits(tmp_path: Path) -> None:
    finding = made_up(negatives.STUDY, Scope(("din",)), tmp_path, seeds=1, users=12)
    whole = finding.measurements[0]
    thinned = dataclasses.replace(whole.records[0], logit_correction=math.log(0.1))
    one = dataclasses.replace(whole, records=(thinned,))
    frame = finding.view.predictions(one.records[0].identity)
    label, score = frame["label"].to_numpy(), frame["score"].to_numpy()
    raw = score / (score + (1 - score) * 0.1)
    assert negatives.before(0)(one, finding) == pytest.approx(metrics.logloss(label, raw))
    assert negatives.before(1)(one, finding) == pytest.approx(metrics.expected_calibration_error(label, raw))
    assert negatives.before(0)(whole, finding) == pytest.approx(np.mean(whole.row.quality["logloss"].point)), (
        "nothing was sampled"
    )


def test_without_exposed_negatives_all_is_compared_with_four_uniform_ones(tmp_path: Path) -> None:
    finding = made_up(negatives.STUDY, Scope(("din",), positive_only=True), tmp_path, seeds=1, users=12)
    assert {one.point.factor for one in finding.measurements} == set(negatives.SAMPLED)
    assert all((pair.other.point.series, pair.other.point.at) == ("din, uniform", 4) for pair in finding.comparisons)
