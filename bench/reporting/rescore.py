"""Recompute the metrics of every record from its stored predictions."""

from __future__ import annotations

from ..errors import UserError
from ..evaluation import metrics
from ..records.schema import Slices
from ..records.store import Store


def rescore(store: Store, dataset: str | None = None) -> list[str]:
    """One line per finished run whose stored metrics equal those of its predictions; runs without scores are passed over.

    Raises:
        UserError: a stored metric differs from the recomputed one, or there is nothing to recompute.
    """
    lines = []
    for record in store.records(dataset):
        if record.status != "ok" or record.metrics is None or not store.has_scores(record.identity):
            continue
        where = f"{record.identity.model}/{record.identity.config_hash}/seed-{record.identity.seed}"
        table = store.predictions(record.identity)
        recomputed = _flat(metrics.evaluate(table), metrics.evaluate_labels(table))
        for part, values in _flat(record.metrics.test, record.metrics.labels).items():
            for name, stored in values.items():
                value = recomputed.get(part, {}).get(name)
                same = stored == value or (
                    stored is not None and value is not None and abs(stored - value) <= 1e-12 * max(1, abs(stored))
                )
                if not same:
                    raise UserError(
                        f"{where}: {name} of {part} is {stored} in the record and {value} from its predictions; run it again"
                    )
        test = record.metrics.test["all"]
        lines.append(f"{where}: gauc {test['gauc']}, auc {test['auc']}, logloss {test['logloss']}: as recorded")
    if not lines:
        raise UserError(f"no run with scores in {store.root}; start with: rankbench run")
    return lines


def _flat(main: Slices, labels: dict[str, Slices]) -> Slices:
    """Slices of the main label by their names, those of others with the label's name before."""
    return main | {f"{label} {part}": values for label, slices in labels.items() for part, values in slices.items()}
