"""The audit of the intervals that a results folder states: whether they hold what they promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .. import rows
from ..analysis.interval_audit import Audit, OfBoard, Simulated, against_themselves, from_json, simulate
from ..atomic import write_text
from ..data.sources import DATASETS, name_of
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..records.rounded import rounded
from ..records.store import stores_below
from ..records.view import View
from ..reporting.audit_page import to_markdown
from ..typed import as_json


def audit(root: Path, tests: int, roots: DataRoots, dataset: str | None, say: Callable[[str], None]) -> tuple[Audit, list[Path]]:
    """Count, and write the folder audit/ of the results: the page statistics.md, and what it says as JSON.

    Args:
        root: of all runs below it, those of studies and of result folders inside it too, where a model has five seeds.
        tests: simulated in each world; 0: none, those that were simulated before stay on the page.
        dataset: only this one: a name, or the YAML file of one's own table.
        say: told what comes next.

    Raises:
        UserError: nothing can be counted, data are not here, or a file cannot be written.
    """
    page, kept = (root / "audit" / name for name in ("statistics.md", "statistics.json"))
    before = from_json(kept).simulated  # a file that is broken is told of before minutes of work
    boards: list[OfBoard] = []
    for store in stores_below(root):
        view = View.of(store, dataset and name_of(dataset))
        rows.restore(view, roots, None if dataset in DATASETS else dataset)
        below = store.root.relative_to(root).as_posix()
        boards += against_themselves(view, "" if below == "." else below, say)

    def write(simulated: Simulated) -> Audit:
        found = Audit(simulated, tuple(boards))
        write_text(page, to_markdown(found))
        write_text(kept, as_json(rounded(found)))
        return found

    simulated = simulate(tests, before, write, say)
    if not simulated.coverage and not boards:
        raise UserError("nothing to audit: no board has a model with five seeds or more, and no test was to be simulated")
    return write(simulated), [page, kept]
