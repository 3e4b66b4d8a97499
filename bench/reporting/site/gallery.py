"""Every figure below a results folder on one page, each with what it shows, its finding and where it comes from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...analysis.comparison import HEADLINES
from ...analysis.statements import Costs, Families, Pair, Statement
from ...analysis.study_statements import Differences
from ...errors import UserError
from ...evaluation.cards import shown as called
from .. import figures, results_folder
from ..board_files import name
from ..results_folder import BoardFiles, StudyFiles, SweepFiles
from ..study_words import sentence


@dataclass(frozen=True)
class Shown:
    """A figure of the gallery."""

    path: Path
    caption: str
    findings: tuple[str, ...]
    """What it shows in sentences; empty where the source states none."""
    source: Path
    """The file whose values it draws, or their folder."""
    command: str
    """Makes it again; empty where the source says it."""


def gallery(results: Path, page: Path) -> str:
    """The page.

    Args:
        results: the results folder.
        page: where the page will lie, from the folder that holds `results`.
    """
    try:
        contents = results_folder.collect(results)
    except UserError:  # nothing but measurements
        contents = results_folder.Contents((), (), ())
    parts = [
        "# Gallery",
        "Made when this site is built, from the figures below [results](../../results/README.md). The sentences are those that "
        "boards and studies state; nothing here is written by hand. A figure that is not committed is drawn by `make results` "
        "from the records, and is missing here where that was not called or its data set was not at hand.",
        *_section("Studies", [shown for files in contents.studies for shown in _study(files)], results, page),
        *_section("Boards", [shown for files in contents.boards for shown in _board(files, results)], results, page),
        *_section("Searches", [shown for files in contents.sweeps for shown in _sweep(files, results)], results, page),
        *_section("Speed", list(_measured(results)), results, page),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, shown: list[Shown], results: Path, page: Path) -> Iterator[str]:
    if shown:
        yield f"## {title}"
    for one in shown:
        yield _figure(one, results, page)


def _figure(shown: Shown, results: Path, page: Path) -> str:
    def link(path: Path) -> str:
        return Path(os.path.relpath(path, results.parent / page.parent)).as_posix()

    said = [f"- {finding}" for finding in shown.findings]
    again = f", made by `{shown.command}`" if shown.command else ""
    return "\n".join(
        [
            f'<figure markdown="block">\n\n![{shown.caption}]({link(shown.path)}){{ loading=lazy }}\n',
            f'<figcaption markdown="block">\n\n**{shown.caption}**\n',
            *([*said, ""] if said else []),
            f"Source: [{shown.source.name}]({link(shown.source)}){again}\n\n</figcaption>\n\n</figure>",
        ]
    )


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """Known figures of a board in their order, then others by name."""
    order = list(figures.CAPTIONS)
    return sorted(paths, key=lambda path: (order.index(path.stem) if path.stem in order else len(order), path.stem))


def _metric(figure: Path) -> str:
    """The headline metric that a figure draws; empty for one that draws none."""
    return next((metric for metric in HEADLINES if figure.stem == metric or figure.stem.endswith(f"-{metric}")), "")


def _board(files: BoardFiles, results: Path) -> Iterator[Shown]:
    board, store = files.board, f"{results.name}/{files.store}".rstrip("/")
    command = f"rankbench board --results {shlex.quote(store)} --dataset {board.dataset} --split {board.split}"
    for path in _in_order(files.figures):
        said = tuple(map(sentence, _of_board(board.statements, path)))
        what = figures.CAPTIONS.get(path.stem, path.stem)
        within = f" ({files.store})" if files.store else ""
        yield Shown(path, f"{name(board)}{within}: {what}", said, path.with_name("board.json"), command)


def _of_board(statements: Iterable[Statement], figure: Path) -> Iterator[Statement]:
    """The answers by the figure's metric, comparisons that were declared before, costs."""
    metric = _metric(figure)
    for one in statements:
        if isinstance(one, Costs) and figure.stem == "against-time":
            yield one
        elif figure.stem != metric:
            continue
        elif (isinstance(one, Families) and one.pair.metric == metric) or (
            isinstance(one, Pair) and one.metric == metric and one.basis == "declared"
        ):
            yield one


def _study(files: StudyFiles) -> Iterator[Shown]:
    record = files.record
    within = f" ({files.store})" if files.store else ""
    for path in files.figures:
        metric, by_slice = _metric(path), path.stem.startswith("slices")
        said = [one for one in record.statements if isinstance(one, Differences) and one.metric == metric and not one.part]
        findings = () if by_slice else tuple(map(sentence, said))
        what = f"{called(metric)}, by slice" if by_slice and metric else called(metric) if metric else path.stem.replace("-", " ")
        caption = f"{record.title}, {record.dataset} @ {record.split}{within}: {what}"
        yield Shown(path, caption, findings, path.with_name("study.json"), record.command)


def _sweep(files: SweepFiles, results: Path) -> Iterator[Shown]:
    store = f"{results.name}/{files.store}".rstrip("/")
    for path in files.figures:
        caption = f"Search on {files.place}: {path.stem.replace('-', ' ')}"
        yield Shown(path, caption, (), path.parent, f"rankbench sweep --redraw --results {shlex.quote(store)}")


def _measured(results: Path) -> Iterator[Shown]:
    for folder in results_folder.MEASURED:
        for path in sorted((results / folder).glob("*.svg")):
            record = path.with_suffix(".json")
            if record.exists():
                yield Shown(path, f"Measured: {path.stem.replace('-', ' ')}", (), record, "")
