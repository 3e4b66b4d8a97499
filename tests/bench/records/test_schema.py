"""Records survive a round trip and are read strictly: wrong keys and types, contradictions, numbers that are undefined."""

import dataclasses
import json
import math

import pandas as pd
import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import metrics
from rankbench.bench.records.schema import METRICS, SLICES, OtherVersion, from_json, to_json
from support.records import predictions, record


@pytest.mark.parametrize("frame", [predictions(1.0), None], ids=["ok", "failed"])
def test_round_trip(frame: pd.DataFrame | None) -> None:
    made = record("din", frame)
    assert from_json(to_json(made), "x") == made


def test_undefined_numbers_become_null() -> None:
    made = record("din", predictions(1.0))
    assert made.cost is not None
    text = to_json(dataclasses.replace(made, cost=dataclasses.replace(made.cost, latency_ms_100_candidates=float("nan"))))
    assert "NaN" not in text and json.loads(text)["cost"]["latency_ms_100_candidates"] is None


def test_an_undefined_number_of_the_curve_can_be_read_back() -> None:
    made = record("din", predictions(1.0))
    assert made.curve is not None
    point = dataclasses.replace(made.curve[0], valid_request_gauc=math.nan)
    read = from_json(to_json(dataclasses.replace(made, curve=(point,))), "x")
    assert read.curve is not None
    assert math.isnan(read.curve[0].valid_request_gauc) and read.curve[0].valid_auc == point.valid_auc


def test_undefined_metrics_are_none() -> None:
    one_label = predictions(1.0).query("label == 1")
    read = from_json(to_json(record("din", one_label)), "x")
    assert read.metrics is not None
    assert read.metrics.test["all"]["auc"] is None and read.metrics.test["all"]["request_groups"] == 0


def test_documented_metrics_are_those_that_evaluate_gives() -> None:
    found = metrics.evaluate(predictions(1.0))
    assert set(found) == set(SLICES)
    assert all(values.keys() == METRICS.keys() for values in found.values())


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0])
def test_floats_read_back_exactly(value: float) -> None:
    made = record("din", predictions(1.0))
    assert made.cost is not None
    made = dataclasses.replace(made, cost=dataclasses.replace(made.cost, train_seconds=value))
    read = from_json(to_json(made), "x")
    assert read.cost is not None and read.cost.train_seconds.hex() == value.hex()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda raw: raw.pop("device"), "it lacks device"),
        (lambda raw: raw.update(extra=1), "unknown key 'extra'"),
        (lambda raw: raw["cost"].pop("steps"), "cost lacks steps"),
        (lambda raw: raw["identity"].update(seed="0"), "identity.seed must be a whole number, not '0'"),
        (lambda raw: raw.update(status="maybe"), "unknown value of status 'maybe'"),
        (lambda raw: raw.update(error=5), "error must be text, not 5"),
        (lambda raw: raw["environment"].update(git_dirty=1), "environment.git_dirty must be true or false, not 1"),
        (lambda raw: raw["data"].update(bayes_auc=True), "data.bayes_auc must be a number, not True"),
        (lambda raw: raw["metrics"]["test"]["all"].update(auc="0.7"), r"metrics.test.all.auc must be a number, not '0.7'"),
        (lambda raw: raw["data"]["files"][0].pop("sha256"), r"data.files\[0\] lacks sha256"),
        (lambda raw: raw["metrics"]["valid"].pop("item_events: 0"), r"metrics.valid \(item_events: 0\)"),
        (lambda raw: raw["metrics"]["test"]["all"].pop("request_gauc"), r"metrics.test \(request_gauc\)"),
        (lambda raw: raw["config"]["data"].pop("repeats"), r"config.data \(repeats\)"),
        (lambda raw: raw["config"]["train"].update(nonsense=1), r"config.train \(nonsense\)"),
        (lambda raw: raw["config"]["train"].update(lr=-1), "config.train.lr must be above 0"),
        (lambda raw: raw["config"].update(more={}), "a config that is not model, data, train and params"),
        (lambda raw: raw["identity"].update(content_hash="ab"), "one content_hash in its identity and another in its data"),
        (lambda raw: raw["data"].update(split_hash="ab"), "one split_hash in its identity and another in its data"),
        (lambda raw: raw.update(cost=None), "status ok but an error, or lacks"),
        (lambda raw: raw.update(error="it broke"), "status ok but an error, or lacks"),
        (lambda raw: raw.update(status="failed", error="it broke"), "status failed but not exactly one line"),
    ],
)
def test_wrong_keys_wrong_types_and_contradictions_are_refused(damage, complaint: str) -> None:
    raw = json.loads(to_json(record("din", predictions(1.0))))
    damage(raw)
    with pytest.raises(UserError, match=complaint) as error:
        from_json(json.dumps(raw), "some/file.json")
    assert "some/file.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"schema_version": 0}', '{"schema_version": true}', '{"schema_version": 2}'])
def test_what_is_no_record_of_this_version_is_told_apart(text: str) -> None:
    with pytest.raises(OtherVersion, match=r"some/file\.json has schema version"):
        from_json(text, "some/file.json")


def test_nan_is_not_json() -> None:
    text = to_json(record("din", predictions(1.0))).replace('"load_average": 0.5', '"load_average": NaN')
    with pytest.raises(UserError, match="is not JSON"):
        from_json(text, "x")


def test_a_torn_file_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"record some/file\.json is not JSON .* delete it") as error:
        from_json(to_json(record("din", None))[:200], "some/file.json")
    assert "\n" not in str(error.value)
