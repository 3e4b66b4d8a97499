"""Rankbench from Python: runs, boards and comparisons as typed values, as the command line makes them.

    import rankbench

    rankbench.register("my_model.py")  # or the card itself, see examples/own_model.py
    rankbench.run(["din", "hstu", "my-model"], dataset="ml-100k", seeds=3)
    board = rankbench.board("results/local", "ml-100k")
    for row in board.rows:
        print(row.label, row.quality["auc"].point, row.quality["auc"].low, row.quality["auc"].high)
    print(rankbench.compare("results/local", "hstu", "din", "ml-100k").verdict)

Everything here raises `UserError` with one clear line where an input is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import registry, rows, typed
from .analysis import leaderboard
from .analysis.comparison import HeadlineMetric, measure
from .analysis.leaderboard import Board
from .analysis.statements import Pair
from .commands.roots import data_roots
from .config import Settings
from .contract import ModelInfo
from .data.sources import DATASETS, name_of
from .data.sources.schema import DataRoots
from .errors import UserError
from .records.schema import RunRecord
from .records.store import Store
from .records.view import View
from .reporting import board_files
from .runs.cell import plan
from .runs.schedule import Options, run_all

LOCAL = Path("results/local")
"""Where runs go if nothing is said, as on the command line."""


def register(model: ModelInfo | str | Path) -> str:
    """Make a model of your own known, so that it is trained and compared beside the others.

    Args:
        model: its card, or the Python file that has it as `INFO`. With `jobs` above 1 give the file, or call this where a
            script begins and not below `if __name__ == "__main__":`: other processes train the model, and must find it.

    Returns:
        Its name, as `run` takes it.

    Raises:
        UserError: the file cannot be read, or the name is taken.
    """
    if isinstance(model, ModelInfo):
        registry.register(model)
        return model.name
    return registry.load(Path(model))


def run(
    models: Sequence[str],
    dataset: str | Path = "ml-100k",
    seeds: int = 3,
    *,
    settings: Sequence[str] = (),
    results: str | Path = LOCAL,
    device: str = "auto",
    jobs: int | None = 1,
    data_root: str | Path | None = None,
) -> list[RunRecord]:
    """Train and test models; what is finished is not run again.

    Args:
        models: names, families, `core` or `all`, as in `rankbench run --models`.
        dataset: a registered name, or the YAML file of your own table.
        settings: `section.key=value`, as in `--set`.
        jobs: runs at a time. More than one, or None for one per core, starts processes: call it below
            `if __name__ == "__main__":` then.

    Returns:
        One record per model and seed; failed ones are among them, with `status` and `error`.

    Raises:
        UserError: a name, a setting, the data set or the device is wrong; nothing was trained.
    """
    asked = Settings(data={"dataset": str(dataset)}).changed(list(settings), tuple(registry.MODELS))
    cells = plan(registry.select(",".join(models)), asked, seeds)
    return run_all(cells, Options(Store(Path(results)), _roots(data_root), device=device, jobs=jobs, quiet=True))


def load_runs(results: str | Path = LOCAL) -> list[RunRecord]:
    """All records of a results folder.

    Raises:
        UserError: a record is broken or of another schema version.
    """
    return list(View.of(Store(Path(results))).records)


def load_board(path: str | Path) -> Board:
    """A board from its board.json, or from the folder that holds it.

    Raises:
        UserError: the file cannot be read or is no board.
    """
    file = Path(path)
    file = file / "board.json" if file.is_dir() else file
    text = typed.text_of(file, lambda what: UserError(f"{file} {what}; rankbench board makes it"))
    return board_files.from_json(text, str(file))


def board(
    results: str | Path, dataset: str | Path, split: str | None = None, variant: str = "", *, data_root: str | Path | None = None
) -> Board:
    """The board of finished runs, made from their records and scores.

    Args:
        split: needed only where the folder holds runs on several splits of the data set.
        variant: what the name of a board's folder has behind data set and split.

    Raises:
        UserError: no such runs, or the data set is not here or is another one.
    """
    return leaderboard.build(_group(results, dataset, split, variant, data_root))


def compare(
    results: str | Path,
    one: str,
    other: str,
    dataset: str | Path,
    metric: HeadlineMetric = "request_gauc",
    split: str | None = None,
    variant: str = "",
    *,
    data_root: str | Path | None = None,
) -> Pair:
    """Two rows of a board: their difference with a 95% interval over test users and seeds, and a verdict.

    Args:
        one, other: labels of rows; the difference is the first minus the second.

    Returns:
        The pair, post hoc and as a single comparison: whoever looks at several must ask for all of them together.

    Raises:
        UserError: no such rows, or as `board`.
    """
    view = _group(results, dataset, split, variant, data_root)
    groups = leaderboard.groups_of(view)
    for label in (one, other):
        if label not in groups:
            raise UserError(f"no row {label!r} in {results}; there are {', '.join(groups)}")
    found = measure(view, {label: groups[label] for label in (one, other)})
    return found.pairs(metric, [(one, other)], "post hoc")[0]


def _roots(data_root: str | Path | None) -> DataRoots:
    return data_roots(None if data_root is None else Path(data_root))


def _group(results: str | Path, dataset: str | Path, split: str | None, variant: str, data_root: str | Path | None) -> View:
    """The runs of one board, with their test rows."""
    name = name_of(str(dataset))
    store = Store(Path(results))
    found = [group for group in View.of(store, name, split).groups() if group.variant == variant]
    if len(found) != 1:
        held = ", ".join(group.place for group in View.of(store).groups()) or "no run at all"
        why = "several boards match" if found else "no run matches"
        raise UserError(f"{why} in {store.root}, which holds {held}; name data set, split and variant")
    rows.restore(found[0], _roots(data_root), None if str(dataset) in DATASETS else str(dataset))
    return found[0]
