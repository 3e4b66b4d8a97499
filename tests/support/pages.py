"""A results folder with everything that a report shows."""

from __future__ import annotations

from pathlib import Path

from rankbench.bench.analysis import leaderboard, study
from rankbench.bench.analysis.leaderboard import Board
from rankbench.bench.analysis.study import StudyRecord
from rankbench.bench.analysis.study_statements import PartOfStudy, Remark
from rankbench.bench.records import sweeps
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import board_files, figures
from rankbench.bench.reporting.figures import intervals, slices
from support.records import predictions, record
from support.sweeps import record as made_sweep

MODELS = (("hstu", "generative", 1.0), ("din", "classical", 1.02), ("dnn", "classical", 0.6), ("ctr", "floor", 0.2))
STUDY = StudyRecord(
    study="heads",
    title="Scoring heads",
    question="Which head is best, and is it <dot>?",
    axis="head",
    dataset="toy",
    split="global-time",
    size="small",
    models=("hstu",),
    seeds=2,
    command="rankbench study heads --dataset toy",
    headline="request_gauc",
    margin=0.002,
    statements=(PartOfStudy(("hstu, late",)), Remark("odds")),
    figures=("heads.svg",),
    points=(),
    comparisons=(),
)


def made_board(root: Path) -> Board:
    """Of MODELS, in a store of its own."""
    store = Store(root)
    for model, family, skill in MODELS:
        for seed in (0, 1):
            frame = predictions(skill, seed)
            store.write(record(model, frame, seed, family), frame)
    (group,) = View.of(store).groups()
    return leaderboard.build(group)


def results(root: Path) -> Path:
    """A board in `root` and another in a store below it, a study and a sweep."""
    for store, models in ((Store(root), MODELS), (Store(root / "more"), MODELS[1:])):
        for model, family, skill in models:
            for seed in (0, 1):
                frame = predictions(skill, seed)
                store.write(record(model, frame, seed, family), frame)
        (group,) = View.of(store).groups()
        board = leaderboard.build(group)
        folder = store.board_folder(group.place)
        board_files.write(board, folder)
        figures.save(intervals.intervals(board), folder / "request_gauc")
        drawn = slices.slices(board, "request_gauc")
        assert drawn is not None
        figures.save(drawn, folder / "slices-request_gauc")
    figure = (folder / "request_gauc.svg").read_text()
    made = root / "studies/heads/toy@global-time"
    made.mkdir(parents=True)
    (made / "study.json").write_text(study.to_json(STUDY))
    (made / "table.md").write_text("# Heads\n\nSaid above.\n\n| head | AUC |\n|---|---|\n| <script> | 0.7 |\n\nEnd.\n")
    (made / "heads.svg").write_text(figure)
    sweep = root / "sweeps/toy@global-time~1a2b3c4d"
    sweep.mkdir(parents=True)
    (sweep / "trials.csv").write_text("trial,value\n0,0.7\n1,0.71\n")
    sweeps.write(made_sweep("din", 3), sweep / "din.json")
    (sweep / "importance.svg").write_text(figure)
    return root
