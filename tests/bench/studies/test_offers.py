"""What a log offers to studies, counted in blocks, is what whole columns say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.data import columns
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.schema import HISTORY, Domain, Label
from rankbench.bench.studies.offers import offers_of
from support.logs import raw_log


@pytest.mark.parametrize("declared", [False, True], ids=["all events are examples", "some are history alone"])
def test_labels_and_domains_are_counted_among_events_and_examples(
    declared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = raw_log(seed=3, users=20)
    labels, domain = (Label("love", "rating >= 5"), Label("fine", "rating >= 3")), Domain("page", "where it was shown")
    log = write_log(
        dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, labels=labels, domain=domain)), tmp_path / "log"
    )
    asked = np.ones(log.meta.events, dtype=bool)
    if declared:
        role = np.where(np.arange(log.meta.events) % 3 == 0, HISTORY, 0).astype(np.uint8)
        np.save(log.folder / "role.npy", role)
        asked = role != HISTORY
    monkeypatch.setattr(columns, "BLOCK_ROWS", 7)
    offers = offers_of(log)
    assert [one.name for one in offers.labels] == ["fine", "love"], "the most frequent first"
    for one in offers.labels:
        positive = np.asarray(log.further_label(one.name))
        assert one.of_events == pytest.approx(positive.mean()) and one.of_examples == pytest.approx(positive[asked].mean())
    code = np.asarray(log.feature("page"))[asked]
    count = {str(name): int((code == at).sum()) for at, name in enumerate(log.dictionary("feature.page"))}
    assert [name for (name,) in offers.domains] == sorted(count, key=lambda name: -count[name])
