"""The rows of a board: which runs make one, and what it is called beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import registry
from ..records.schema import RunRecord
from ..records.view import SHARED

_SHARED_KEYS = {f"data.{key}" for key in ("dataset", "split", *SHARED)}


def rows_of(records: list[RunRecord]) -> tuple[dict[str, list[RunRecord]], dict[str, dict[str, Any]]]:
    """Label -> the seeds of one model under one configuration, and label -> what sets it apart; a label of several
    configurations gets their hashes."""
    cells: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        cells.setdefault((record.identity.model, record.identity.config_hash), []).append(record)
    common = common_changes(records)
    apart = [_apart(group[0], common) for group in cells.values()]
    found = [group[0] for group in cells.values() if group[0].tuning is not None]
    labels = [_label(group[0], changes, found) for group, changes in zip(cells.values(), apart, strict=True)]
    groups, changes = {}, {}
    for label, ((_, config_hash), group), own in zip(labels, cells.items(), apart, strict=True):
        name = label if labels.count(label) == 1 else f"{label} #{config_hash}"
        groups[name], changes[name] = group, own
    return groups, changes


def common_changes(records: list[RunRecord]) -> dict[str, Any]:
    """Changed training and data settings that all runs which read them have in common, beyond those that a board always names."""
    changed = {key: value for record in reversed(records) for key, value in record.changed.items()}
    return {
        key: value
        for key, value in changed.items()
        if key not in _SHARED_KEYS
        and not key.startswith("params.")
        and all(record.changed.get(key) == value for record in records if _reads(record.identity.model, key))
    }


def chosen_for_all(records: list[RunRecord]) -> dict[str, Any]:
    """Those of the common changes that somebody chose; what searches found is what tuned rows are."""
    chosen = {key for record in records if record.tuning is None for key in record.changed}
    return {key: value for key, value in common_changes(records).items() if key in chosen or key.startswith("data.")}


def _reads(model: str, key: str) -> bool:
    """Whether a changed setting could be among those of a model at all."""
    section, _, name = key.partition(".")
    return section != "train" or model not in registry.MODELS or not registry.info(model).ignores(name)


def _apart(record: RunRecord, common: Mapping[str, Any]) -> dict[str, Any]:
    """What sets a row apart: not the settings that all rows share, nor those that a sweep found."""
    shared = _SHARED_KEYS | common.keys()
    shown = [key for key in record.changed if key not in shared and (record.tuning is None or key.startswith("data."))]
    return {key: record.changed[key] for key in shown}


def _label(record: RunRecord, changes: Mapping[str, Any], found: Sequence[RunRecord]) -> str:
    """Of a row; where somebody changed what a search had found, and that is less than what sets it apart from the defaults, this.

    Args:
        found: rows with what a search found.
    """
    beside, shown = " (tuned)" if record.tuning is not None else "", changes
    if record.tuning is None:
        later = [_since(record, one) for one in found if one.identity.model == record.identity.model]
        if later and len(least := min(later, key=len)) < len(changes):
            beside, shown = " (tuned, then changed)", least
    values = [f"{key.removeprefix('params.')}={value}" for key, value in shown.items()]
    return record.identity.model + beside + (f" [{', '.join(values)}]" if values else "")


def _since(record: RunRecord, tuned: RunRecord) -> dict[str, Any]:
    """Settings of a run that are others than those of a tuned one."""

    def value(of: RunRecord, key: str) -> Any:
        section, _, name = key.partition(".")
        return of.config[section].get(name, "usual")  # a setting that is younger than the run has what it had before

    keys = dict.fromkeys([*tuned.changed, *record.changed])
    return {key: value(record, key) for key in keys if value(record, key) != value(tuned, key)}
