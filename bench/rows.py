"""What records are about, made again from the data sets: their events, their splits and the test rows that are not committed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import DataConfig
from .data import sources
from .data.dataset import RankingData, prepare_log
from .data.logs import open_dataset
from .data.sources.schema import DataRoots
from .errors import UserError
from .evaluation import evaluator, scores
from .records.schema import RunRecord
from .records.store import Store
from .records.view import View
from .typed import from_dict


def data_of(settings: Mapping[str, Any], roots: DataRoots, where: str, source: str | None = None) -> RankingData:
    """The data that the resolved data settings of a record or of weights are about, as the data set is now.

    Args:
        where: of the settings, for error messages.
        source: the YAML file of one's own table; a record knows its name alone.

    Raises:
        UserError: the data set is not here and cannot be fetched, or is another one than the settings name.
    """
    config = from_dict(DataConfig, settings, where)
    if source is None and config.dataset not in sources.DATASETS:
        raise UserError(f"{where} is about your own table {config.dataset}: name its YAML file with --dataset FILE.yaml")
    log = open_dataset(source or config.dataset, roots)
    if log.meta.name != config.dataset:
        raise UserError(f"{where} is about {config.dataset}, but --dataset {source} describes {log.meta.name}")
    return prepare_log(log, config)


def restore(view: View, roots: DataRoots, source: str | None = None) -> None:
    """Make the missing test rows of all finished runs.

    Args:
        source: the YAML file of one's own table; its records know its name alone.

    Raises:
        UserError: a data set is not here and cannot be fetched, or gives other rows than those that the runs scored.
    """
    for record in view.records:
        if record.status == "ok" and view.has_scores(record.identity):
            missing = view.missing_rows(record.identity)
            if missing is not None:
                _restore(view.store, roots, record, missing, source)


def restored(view: View, roots: DataRoots, source: str | None = None) -> View:
    """The view, once `restore` made what was missing."""
    restore(view, roots, source)
    return view


def _restore(store: Store, roots: DataRoots, record: RunRecord, wanted: str, source: str | None) -> None:
    identity = record.identity
    data = data_of(record.config["data"], roots, f"the record {store.record_path(identity)}", source)
    rows = evaluator.rows(data, "test")
    if scores.rows_hash(rows) != wanted:
        raise UserError(
            f"{identity.dataset}@{identity.split}: the data set here gives other test rows than those that the runs in "
            f"{store.root} scored; use the files of their records, or run again"
        )
    store.keep_rows(identity, rows)
