"""What a log offers to studies, counted in blocks, is what whole columns say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
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
    assert [one.values for one in offers.domains] == [(name,) for name in sorted(count, key=lambda name: -count[name])]
    assert [one.of_examples for one in offers.domains] == pytest.approx(sorted((code == at).mean() for at in set(code))[::-1])
    by_item: dict[int, set[int]] = {}
    for item, page in zip(log.item.tolist(), np.asarray(log.feature("page")).tolist(), strict=True):
        by_item.setdefault(item, set()).add(page)
    assert offers.domain_by_item == all(len(pages) == 1 for pages in by_item.values())


def test_a_category_of_items_as_a_domain_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = raw_log(seed=3, users=20)
    assert isinstance(raw.events, pd.DataFrame)
    events = raw.events.assign(page=raw.events["item"].map(lambda item: f"shelf {int(str(item)[-1]) % 3}"))
    schema = dataclasses.replace(raw.schema, domain=Domain("page", "its shelf"))
    monkeypatch.setattr(columns, "BLOCK_ROWS", 7)
    assert offers_of(write_log(dataclasses.replace(raw, events=events, schema=schema), tmp_path / "log")).domain_by_item
