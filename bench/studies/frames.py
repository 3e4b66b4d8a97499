"""Test rows with scores of a study's points, where they are more than those of one run a seed: points of several runs, and points
on different data sets."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..data.eventlog import EventLog
from ..errors import UserError
from ..evaluation.predictions import IDENTITY
from ..records.schema import RunRecord
from ..records.view import View
from .offers import DomainOf
from .points import PartOfPoint

Frames = Mapping[str, list[pd.DataFrame]]
"""Label of a point -> test rows with scores, one table a seed."""


def by_seed(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """The runs of each seed, in the order in which they come."""
    found: dict[int, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.identity.seed, []).append(record)
    return list(found.values())


def joined(
    view: View,
    parts: Mapping[str, Sequence[PartOfPoint]],
    groups: Mapping[str, Sequence[RunRecord]],
    domains: DomainOf | None = None,
) -> Frames:
    """The rows that the runs of a seed judge together, in the order of their examples; of a row that several judge, the later run
    counts.

    Where runs judge some domains alone, a request is one of one domain: models that were trained apart have levels of their own,
    and nobody is shown a list ranked by two of them.

    Args:
        parts: label of a point -> what each run of a seed judges.
        domains: needed where parts judge some domains alone.
    """
    found = {
        label: [_together(view, parts[label], runs, domains) for runs in by_seed(records)] for label, records in groups.items()
    }
    if domains is None or not any(part.domains for some in parts.values() for part in some):
        return found
    return {label: [_within_domains(table, domains) for table in tables] for label, tables in found.items()}


def _within_domains(rows: pd.DataFrame, domains: DomainOf) -> pd.DataFrame:
    keys = pd.MultiIndex.from_arrays([rows["request"], domains(rows["example"].to_numpy())])
    return rows.assign(request=pd.factorize(keys)[0])


def _together(view: View, parts: Sequence[PartOfPoint], runs: Sequence[RunRecord], domains: DomainOf | None) -> pd.DataFrame:
    judged = []
    for part, run in zip(parts, runs, strict=True):
        rows = view.predictions(run.identity)
        if part.domains:
            assert domains is not None, "parts that judge a domain belong to a log that declares some"
            rows = rows[np.isin(domains(rows["example"].to_numpy()), part.domains)]
        judged.append(rows)
    every = pd.concat(judged, ignore_index=True)
    return every.drop_duplicates("example", keep="last").sort_values("example").reset_index(drop=True)


def judged_by_all(frames: Frames) -> Frames:
    """The rows of one test that every point judges."""
    judged = [tables[0]["example"] for tables in frames.values()]
    shared = functools.reduce(np.intersect1d, judged)
    return {
        label: [one.loc[one["example"].isin(shared)].reset_index(drop=True) for one in tables] for label, tables in frames.items()
    }


def common(frames: Frames, logs: Mapping[str, EventLog]) -> Frames:
    """The rows that are judged in every data set, by the texts of user and item, time and label; as the first point has them.

    Args:
        logs: label of a point -> the log that its rows are of.

    Raises:
        UserError: no row is common to all, or one label alone.
    """
    keyed = {label: [_keyed(one, logs[label]) for one in tables] for label, tables in frames.items()}
    first = next(iter(keyed.values()))[0]
    shared = first.index
    for tables in keyed.values():
        shared = shared[shared.isin(tables[0].index)]
    rows = first.loc[shared].sort_values("example")
    if rows["label"].nunique() < 2:
        raise UserError(
            "the test sets of these points have no rows of both labels in common, so that nothing can be compared: ask about "
            "fewer of them with --series"
        )
    identity = rows[list(IDENTITY)]
    found: dict[str, list[pd.DataFrame]] = {}
    for label, tables in keyed.items():
        # What a row is called is the first point's; what training knew of its user and item is its own.
        found[label] = [table.loc[rows.index].assign(**identity).reset_index(drop=True) for table in tables]
    return found


def _keyed(frame: pd.DataFrame, log: EventLog) -> pd.DataFrame:
    names = {"user": log.dictionary("user")[frame["user"]], "item": log.dictionary("item")[frame["item"]]}
    key = pd.DataFrame({**names, "time": frame["time"], "label": frame["label"]})
    key["again"] = key.groupby(list(key.columns), sort=False).cumcount()
    return frame.set_index(pd.MultiIndex.from_frame(key))
