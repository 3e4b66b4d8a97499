"""Test rows of runs that came without them, as committed ones do: made again from the data set, and held against the hash."""

from __future__ import annotations

from pathlib import Path

from .config import DataConfig, from_dict
from .data import sources
from .data.dataset import prepare
from .data.sources.schema import DataRoots
from .errors import UserError
from .evaluation import evaluator
from .records.schema import RunRecord
from .records.store import Store


def restore(store: Store, roots: DataRoots, dataset: str | None = None, split: str | None = None) -> None:
    """Make the missing test rows of all finished runs of a data set, a split or both.

    Args:
        dataset: a name, or the YAML file of one's own table; its records know its name alone.

    Raises:
        UserError: a data set cannot be had, or gives other rows than those that the runs scored.
    """
    name = dataset and Path(dataset).stem
    source = dataset if name != dataset else None
    for record in store.records(name, split):
        if record.status == "ok" and store.has_scores(record.identity):
            missing = store.missing_rows(record.identity)
            if missing is not None:
                _restore(store, roots, record, missing, source)


def _restore(store: Store, roots: DataRoots, record: RunRecord, wanted: str, source: str | None) -> None:
    own = {"dataset": source} if source else {}
    config = from_dict(DataConfig, record.config["data"] | own, f"the record {store.record_path(record.identity)}")
    if source is None and config.dataset not in sources.DATASETS:
        raise UserError(
            f"the test rows of {config.dataset} are not in {store.root}; give the YAML file of the table: --dataset FILE.yaml"
        )
    data = prepare(config, roots)
    identity = record.identity
    if data.split.hash != record.data.split_hash or store.keep_rows(identity, evaluator.rows(data, "test")) != wanted:
        raise UserError(
            f"{identity.dataset}@{identity.split}: the data set here gives other test rows than those that the runs in "
            f"{store.root} scored; use the files of their records, or run again"
        )
