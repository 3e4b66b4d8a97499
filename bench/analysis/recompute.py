"""Recompute the metrics of every record from its stored predictions."""

from __future__ import annotations

import pandas as pd

from ..errors import UserError
from ..evaluation import metrics
from ..records.schema import RunRecord, Slices
from ..records.view import View


def rescore(view: View) -> list[str]:
    """One line per finished run whose stored metrics equal those of its predictions; runs without scores are passed over.

    Raises:
        UserError: a stored metric differs from the recomputed one, or there is nothing to recompute.
    """
    lines = []
    for record in view.records:
        if record.status != "ok" or record.metrics is None or not view.has_scores(record.identity):
            continue
        where = f"{record.identity.model}/{record.identity.cell}/seed-{record.identity.seed}"
        if said := mismatch(record, view.predictions(record.identity)):
            raise UserError(f"{where}: {said}; run it again")
        test = record.metrics.test["all"]
        lines.append(f"{where}: request_gauc {test['request_gauc']}, auc {test['auc']}, logloss {test['logloss']}: as recorded")
    if not lines:
        raise UserError(f"no run with scores in {view.store.root}; start with: rankbench run")
    return lines


def mismatch(record: RunRecord, predictions: pd.DataFrame) -> str | None:
    """The first metric of a finished run that is not that of its predictions; None if all are."""
    assert record.metrics is not None, "a record with status ok has metrics"
    recomputed = _flat(metrics.evaluate(predictions), metrics.evaluate_labels(predictions))
    for part, values in _flat(record.metrics.test, record.metrics.labels).items():
        for name, stored in values.items():
            value = recomputed.get(part, {}).get(name)
            same = stored == value or (
                stored is not None and value is not None and abs(stored - value) <= 1e-12 * max(1, abs(stored))
            )
            if not same:
                return f"{name} of {part} is {stored} in the record and {value} from its predictions"
    return None


def _flat(main: Slices, labels: dict[str, Slices]) -> Slices:
    """Slices of the main label by their names, those of others with the label's name before."""
    return main | {f"{label} {part}": values for label, slices in labels.items() for part, values in slices.items()}
