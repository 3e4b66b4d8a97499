"""What a record says of the data that its run saw."""

from __future__ import annotations

import dataclasses

from ..data.dataset import RankingData
from ..data.splits import ROLES
from ..data.steps.declared import step_counts
from .schema import DataFacts, File


def facts_of(data: RankingData) -> DataFacts:
    """What a record says of its data."""
    log, split = data.log, data.split
    examples = {role: data.examples(role) for role in ROLES}
    test = examples["test"]
    return DataFacts(
        files=tuple(File(**dataclasses.asdict(file)) for file in log.meta.files),
        content=log.meta.content,
        content_hash=log.meta.content_hash,
        split_hash=split.hash,
        events=log.meta.events,
        users=log.meta.users,
        items=log.meta.items,
        examples={role: len(examples[role]) for role in ROLES},
        positives={role: examples[role].positives for role in ROLES},
        share_train_after_test=split.share_train_after_test,
        test_rows_warm_user=float((split.user_events[log.user_of(test.event)] > 0).mean()),
        test_rows_warm_item=float((split.item_events[test.item] > 0).mean()),
        cleaning=log.meta.cleaning.counts() | step_counts(log.meta.steps),
        bayes_auc=log.meta.bayes_auc,
        mismatch=data.mismatch,
        margin=log.meta.margin,
        codes=None if data.vocabulary.codes is None else data.vocabulary.codes.facts,
    )
