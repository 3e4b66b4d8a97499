"""A pair counts as declared only if its entry was committed before every run of both rows."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from rankbench.bench.analysis import leaderboard
from rankbench.bench.analysis.declared import NAME, Declarations, Declared, read
from rankbench.bench.analysis.statements import Pair, of_kind
from rankbench.bench.errors import UserError
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from support.records import predictions, record

ENTRY = "- {dataset: toy, split: global-time, pair: [hstu, din], metric: auc}\n"
HSTU_DIN = Declared("toy", "global-time", ("hstu", "din"), "auc")


def git(folder: Path, *words: str) -> str:
    options = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *options, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, text: str | None = None) -> str:
    """A commit of the file with this text, or of nothing."""
    if text is not None:
        (folder / NAME).write_text(text)
        git(folder, "add", NAME)
    git(folder, "commit", "--allow-empty", "-m", "one")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder in a repository."""
    git(tmp_path, "init", "-q")
    results = tmp_path / "results"
    results.mkdir()
    return results


def run(model: str, commit: str | None, seed: int = 0) -> RunRecord:
    made = record(model, predictions(1.0, seed), seed, "generative" if model == "hstu" else "classical")
    return dataclasses.replace(made, environment=dataclasses.replace(made.environment, git_commit=commit))


def test_before_all_runs_counts_and_with_or_after_them_does_not(folder: Path) -> None:
    start = commit(folder, "")
    declared = commit(folder, ENTRY)
    later = commit(folder)
    found = Declarations(folder)
    assert found.of(("toy", "global-time", "", {})) == [HSTU_DIN] and not found.of(("toy", "global-time", "time=none", {}))
    for commits, before in (
        ((later, later), True),
        ((later, declared), False),
        ((start, later), False),
        ((None, later), False),
        (("0" * 40, later), False),
        ((), False),
    ):
        assert found.before(HSTU_DIN, [run("hstu", one) for one in commits]) is before, commits


def test_trying_again_with_other_settings_was_not_declared(folder: Path) -> None:
    """Neither what all rows share nor what one row has makes an entry hold that does not name it."""
    commit(folder, ENTRY + ENTRY.replace("}", ", settings: {train.patience: 9}}"))
    after = commit(folder)

    def bases(patience: dict[str, int]) -> list[tuple[str, str]]:
        store = Store(folder / "-".join(map(str, patience.values())))
        for model, own in patience.items():
            for seed in (0, 1):
                frame = predictions(0.9 if model == "hstu" else 1.0, seed)
                made = record(model, frame, seed, "generative" if model == "hstu" else "classical")
                environment = dataclasses.replace(made.environment, git_commit=after)
                changed = {} if own == 2 else {"train.patience": own}
                store.write(dataclasses.replace(made, environment=environment, changed=changed), frame)
        (group,) = View.of(store).groups()
        pairs = of_kind(leaderboard.build(group).statements, Pair)
        return [(pair.one, pair.basis) for pair in pairs if pair.metric == "auc"]

    assert bases({"hstu": 2, "din": 2}) == [("hstu", "declared")]
    assert ("hstu", "declared") not in bases({"hstu": 6, "din": 6})
    assert all(basis == "post hoc" for _, basis in bases({"hstu": 6, "din": 2}))
    assert ("hstu", "declared") in bases({"hstu": 9, "din": 9})


def test_an_entry_counts_from_where_it_stands_without_a_break(folder: Path) -> None:
    """What was taken out and put back is declared when it was put back; other entries change nothing."""
    commit(folder, ENTRY)
    between = commit(folder, "")
    commit(folder, ENTRY)
    back = commit(folder)
    commit(folder, ENTRY + "- {dataset: other, split: global-time, pair: [llama, din], metric: auc}\n")
    found = Declarations(folder)
    assert not found.before(HSTU_DIN, [run("hstu", between)])
    assert found.before(HSTU_DIN, [run("hstu", back)])


def test_another_metric_or_an_uncommitted_entry_is_no_declaration(folder: Path) -> None:
    commit(folder, ENTRY)
    later = commit(folder)
    (folder / NAME).write_text(ENTRY.replace("auc", "request_gauc"))
    found = Declarations(folder)
    assert not found.before(dataclasses.replace(HSTU_DIN, metric="request_gauc"), [run("hstu", later)])


def test_a_branch_that_did_not_hold_it_is_not_after_it(folder: Path) -> None:
    commit(folder, "")
    git(folder, "branch", "other")
    commit(folder, ENTRY)
    home = git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    git(folder, "checkout", "-q", "other")
    beside = commit(folder)
    git(folder, "checkout", "-q", home)
    assert not Declarations(folder).before(HSTU_DIN, [run("hstu", beside)])


def test_without_a_repository_or_git_everything_is_post_hoc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_text(ENTRY)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert not Declarations(tmp_path).before(HSTU_DIN, [run("hstu", "ab" * 20)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not Declarations(tmp_path).before(HSTU_DIN, [run("hstu", "ab" * 20)])
    assert read(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset: toy\n", "must be a list of entries"),
        ("- {dataset: toy, split: a, pair: [x, y]}\n", "entry 1 lacks metric"),
        ("- {dataset: toy, split: a, pair: [x, y], metric: logloss}\n", "entry 1.metric"),
        ("- {dataset: toy, split: a, pair: [x], metric: auc}\n", "entry 1.pair"),
        ("- {dataset: toy, split: a, pair: [x, x], metric: auc}\n", "compares x with itself"),
        (ENTRY + ENTRY.replace("hstu, din", "din, hstu"), "entry 2 .* stands there twice"),
        (ENTRY.replace("auc", "auc, nonsense: 1"), "nonsense"),
        ("- [\n", NAME),
    ],
)
def test_a_broken_file_is_one_line_that_names_the_entry(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value) and NAME in str(caught.value)


def test_a_board_says_which_pairs_were_declared(folder: Path) -> None:
    """Several that hold count together; one that came too late has the interval of all pairs of rows."""
    commit(folder, ENTRY + ENTRY.replace("hstu, din", "dnn, din"))
    after = commit(folder)
    late = ENTRY.replace("hstu, din", "hstu, dnn")
    absent = ENTRY.replace("hstu, din", "hstu, llama")
    commit(folder, (folder / NAME).read_text() + late + absent)
    store = Store(folder)
    for model, skill in (("hstu", 0.9), ("din", 1.0), ("dnn", 0.5)):
        for seed in (0, 1):
            frame = predictions(skill, seed)
            made = record(model, frame, seed, "generative" if model == "hstu" else "classical")
            store.write(dataclasses.replace(made, environment=dataclasses.replace(made.environment, git_commit=after)), frame)
    (group,) = View.of(store).groups()
    board = leaderboard.build(group)
    pairs = [(pair.one, pair.other, pair.metric, pair.basis, pair.at_once) for pair in of_kind(board.statements, Pair)]
    assert pairs == [
        ("hstu", "din", "auc", "declared", 2),
        ("dnn", "din", "auc", "declared", 2),
        ("hstu", "dnn", "auc", "post hoc", 3),
    ]
    compared = {(pair.one, pair.other) for part in board.parts if part.metric == "auc" for pair in part.pairs}
    assert compared >= {("hstu", "din"), ("dnn", "din"), ("hstu", "dnn")}
