"""What rows are called: by what sets them apart, in the fewest words that say it."""

from __future__ import annotations

import dataclasses
from typing import Any

from rankbench.bench.analysis.row_labels import rows_of
from rankbench.bench.config import Tuning
from rankbench.bench.records.schema import RunRecord
from support.records import predictions, record

TUNING = Tuning("hstu sweep", trials=15, seconds=9.0, metric="auc", value=0.6, cut=False)


def run(config_hash: str, tuning: Tuning | None = None, **params: Any) -> RunRecord:
    """A run of HSTU; all settings are of the model's own."""
    usual = {"user_id": "none", "width": 64, "heads": 2, "dropout": 0.2}
    made = record("hstu", predictions(0.5, 0), 0, "generative", changed={f"params.{key}": value for key, value in params.items()})
    config = {**made.config, "params": {**usual, **params}}
    return dataclasses.replace(
        made, identity=dataclasses.replace(made.identity, config_hash=config_hash), tuning=tuning, config=config
    )


def test_what_was_changed_after_a_search_is_said_beside_the_tuned_row() -> None:
    tuned = run("a" * 12, TUNING, user_id="embedding", width=128, heads=4, dropout=0.48)
    later = run("b" * 12, width=128, heads=4, dropout=0.48)
    alone, _ = rows_of([later])
    assert list(alone) == ["hstu [width=128, heads=4, dropout=0.48]"]
    labels, apart = rows_of([tuned, later])
    assert list(labels) == ["hstu (tuned)", "hstu (tuned, then changed) [user_id=none]"]
    assert apart["hstu (tuned, then changed) [user_id=none]"] == {"params.width": 128, "params.heads": 4, "params.dropout": 0.48}


def test_what_lies_nearer_to_the_defaults_is_said_by_itself() -> None:
    tuned = run("a" * 12, TUNING, user_id="embedding", width=128, heads=4, dropout=0.48)
    labels, _ = rows_of([tuned, run("b" * 12), run("c" * 12, width=128)])
    assert list(labels) == ["hstu (tuned)", "hstu", "hstu [width=128]"]


def test_a_setting_younger_than_a_run_is_no_hindrance() -> None:
    """The configuration of an older run has no such key."""
    tuned = run("a" * 12, TUNING, user_id="embedding", width=128, heads=4)
    old = run("b" * 12, width=128, heads=4)
    del old.config["params"]["user_id"]
    labels, _ = rows_of([tuned, old])
    assert list(labels) == ["hstu (tuned)", "hstu (tuned, then changed) [user_id=usual]"]
