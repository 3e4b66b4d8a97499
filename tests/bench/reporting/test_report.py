"""The page holds everything of a results folder, is whole by itself, and is the same on a second run."""

import dataclasses
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.errors import UserError
from rankbench.bench.reporting import answers, contents, report, svg, tables
from rankbench.bench.reporting.leaderboard import Board
from support.pages import MODELS, STUDY, results

VOID = {"meta", "link", "input", "br"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results(tmp_path_factory.mktemp("made") / "results")


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return report.to_html(contents.collect(root), "results")


@pytest.fixture(scope="module")
def board(root: Path) -> Board:
    return contents.collect(root).boards[0].board


class Reader(HTMLParser):
    """Elements and ids of a page; every element must be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader.seen


def test_the_page_needs_nothing_else(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    assert not [tag for tag, _ in elements if tag in ("img", "iframe", "object", "embed")]
    for tag, attributes in elements:
        assert "src" not in attributes and not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), tag
    assert Counter(tag for tag, _ in elements)["script"] == 1


def test_ids_are_unique_and_every_reference_has_its_place(page: str, elements: list[tuple[str, dict[str, str | None]]]) -> None:
    ids = Counter(attributes["id"] for _, attributes in elements if attributes.get("id"))
    assert max(ids.values()) == 1
    wanted = {attributes["href"] for _, attributes in elements if (attributes.get("href") or "").startswith("#")}
    wanted |= set(re.findall(r"url\((#[^)]+)\)", page))
    assert len(wanted) > 10 and {name[1:] for name in wanted if name} <= ids.keys()


def test_tables_are_readable_without_eyes(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    counts = Counter(tag for tag, _ in elements)
    assert counts["caption"] >= 2 * 4 and counts["svg"] == 6
    assert all("role" in attributes and attributes.get("aria-label") for tag, attributes in elements if tag == "svg")
    board_headers = [attributes.get("scope") for tag, attributes in elements if tag == "th" and "data-key" in attributes]
    assert board_headers == ["row"] * (len(MODELS) + len(MODELS) - 1)


def test_the_page_holds_what_the_files_hold(page: str, root: Path) -> None:
    found = contents.collect(root)
    assert [files.store for files in found.boards] == ["", "more"]
    for files in found.boards:
        for part in (answers.answer(files.board), *files.board.statements, files.board.facts.split_hash):
            assert part in page.replace("&#39;", "'")
        for file in files.board.facts.files:
            assert file.sha256 in page
        assert all(row.config_hash in page for row in files.board.rows)
    assert "rankbench board --results results/more --dataset toy --split global-time" in page
    assert STUDY["title"] in page and STUDY["question"] in page and "No head is told from &lt;dot&gt;." in page
    assert STUDY["command"] in page and "<td>0.71</td>" in page
    assert "<td>&lt;script&gt;</td>" in page, "what a file says is text, never markup"
    assert "Said above." not in page, "of a study's page, the table alone: its sentences stand there already"
    assert "".join(f"<td>{cell}</td>" for cell in ("3", "1", "0", "7", "auc 0.7200", "train.lr=0.02")) in page


def test_the_same_files_give_the_same_page(page: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = shutil.copytree(root, tmp_path / "results")
    assert cli.main(["report", "--results", str(copied)]) == 0
    assert "boards: 2, studies: 1, sweeps: 1; " in capsys.readouterr().out
    assert (copied / "report.html").read_text() == page
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|work)/", page)


def test_the_markdown_page_has_every_board_and_finds_it(root: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(root, tmp_path / "results")
    for out in (tmp_path / "LEADERBOARD.md", copied / "LEADERBOARD.md"):
        assert cli.main(["report", "--results", str(copied), "--markdown", "--out", str(out)]) == 0
        text = out.read_text()
        for files in contents.collect(root).boards:
            assert text.count(answers.answer(files.board)) >= 2 and tables.brief(files.board) in text
        links = re.findall(r"\[board\]\((.*?)\)", text)
        assert len(links) == 2 and all((out.parent / link).is_file() for link in links)
    assert cli.main(["report", "--results", str(copied), "--markdown"]) == 0
    assert (copied / "LEADERBOARD.md").read_text() == text, "that is where it lies by default"


def test_trials_of_ones_own_stay_out_of_the_report_of_a_folder_above(root: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(root, tmp_path / "results")
    shutil.copytree(root / "more", copied / "local")
    assert {files.store for files in contents.collect(copied).boards} == {"", "more"}
    assert len(contents.collect(copied / "local").boards) == 1


def test_broken_files_and_empty_folders_say_what_to_do(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--results", str(tmp_path / "none")]) == 2
    assert "make one with rankbench run or rankbench board" in capsys.readouterr().err
    copied = shutil.copytree(root, tmp_path / "results")
    (tmp_path / "file").write_text("")
    assert cli.main(["report", "--results", str(copied), "--out", str(tmp_path / "file" / "report.html")]) == 2
    assert "report.html cannot be written (" in capsys.readouterr().err
    (study,) = copied.rglob("study.json")
    study.write_text(json.dumps({key: STUDY[key] for key in STUDY if key != "title"}))
    with pytest.raises(UserError, match="lacks title; run the study again"):
        contents.collect(copied)
    study.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        contents.collect(copied)
    study.unlink()
    (figure, *_) = sorted((copied / "boards").rglob("*.svg"))
    figure.write_text("<svg>")
    with pytest.raises(UserError, match=r"figure .*svg cannot be read .*; make it again"):
        report.to_html(contents.collect(copied), "results")
    (board,) = (copied / "boards").rglob("board.json")
    board.write_text(board.read_text().replace('"request_groups"', '"groups"'))
    with pytest.raises(UserError, match=r"unknown key 'groups'.*make it again with rankbench board"):
        contents.collect(copied)


def test_a_board_is_read_back_from_its_file(board: Board) -> None:
    assert tables.from_json(tables.to_json(board), "here") == board


def test_what_could_act_is_left_out_of_a_figure() -> None:
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()" width="3"><script>x()</script><style>*{}</style>'
        '<g id="a" clip-path="url(#b)"><use href="#a"/><use href="http://x"/></g></svg>'
    )
    made = svg.inline(text, "p-", "a & b")
    assert made == (
        '<svg role="img" aria-label="a &amp; b"><g id="p-a" clip-path="url(#p-b)"><use href="#p-a" /><use /></g></svg>'
    )


def _with(board: Board, best: str, tied: tuple[str, ...]) -> Board:
    """The board's rows with another best one; differences of the others are -0.01, +-0.002 or, tied, +-0.02."""

    def changed(label: str):
        row = next(row for row in board.rows if row.label == label)
        half = 0.02 if label in tied else 0.002
        low, high = (0.0, 0.0) if label == best else (-0.01 - half, -0.01 + half)
        found = dataclasses.replace(
            row.request_gauc, difference=0.0 if label == best else -0.01, difference_low=low, difference_high=high
        )
        return dataclasses.replace(row, request_gauc=found, tied=label == best or label in tied)

    names = [best, *(row.label for row in board.rows if row.label != best)]
    return dataclasses.replace(board, rows=tuple(map(changed, names)))


ABOVE, BELOW = "request GAUC of hstu minus din is +0.0100, ", "request GAUC of hstu minus din is -0.0100, "
AT_ONCE = " at 95% for all rows at once"


@pytest.mark.parametrize(
    ("best", "tied", "verdict", "pair"),
    [
        ("hstu", (), "Yes: hstu is above every classical ranker; ", f"{ABOVE}[+0.0080, +0.0120]{AT_ONCE}."),
        (
            *("hstu", ("din",), "Not shown: hstu has the highest request GAUC, but cannot be told from din; "),
            f"{ABOVE}[-0.0100, +0.0300]{AT_ONCE}, which includes zero.",
        ),
        (
            *("din", ("hstu",), "No: no generative ranker is shown to be above din; "),
            f"{BELOW}[-0.0300, +0.0100]{AT_ONCE}, which includes zero.",
        ),
        ("din", (), "No: din is above every generative ranker; ", f"{BELOW}[-0.0120, -0.0080]{AT_ONCE}."),
    ],
)
def test_the_answer_follows_from_the_rows(board: Board, best: str, tied: tuple[str, ...], verdict: str, pair: str) -> None:
    assert answers.answer(_with(board, best, tied)) == verdict + pair


def test_the_answer_names_a_floor_and_what_was_not_run(board: Board) -> None:
    assert answers.answer(_with(board, "ctr", ())).startswith(
        "No: the best row is a floor, ctr. Of the best rows of both families"
    )
    assert "a floor, ctr: nothing is shown to have been learnt" in answers.best_rows(_with(board, "din", ("ctr",)))
    one = dataclasses.replace(board, rows=tuple(row for row in board.rows if row.family != "generative"))
    assert answers.answer(one) == "Not asked: no generative ranker was run."
    assert answers.cost(one) is None


def test_it_is_said_that_nothing_is_tuned(board: Board) -> None:
    assert "No row is tuned" in (answers.untuned(board) or "")
    tuned = dataclasses.replace(board, rows=(dataclasses.replace(board.rows[0], label="din (tuned)"), *board.rows[1:]))
    assert answers.untuned(tuned) is None


def test_ranks_over_data_sets_are_shown_from_six_on(page: str, root: Path) -> None:
    assert "No ranking over data sets: ranks over data sets need 6 of them at least, there are 1" in page
    found = contents.collect(root)
    boards = tuple(
        dataclasses.replace(found.boards[0], board=dataclasses.replace(found.boards[0].board, dataset=f"d{at}"))
        for at in range(6)
    )
    made = report.to_html(contents.Contents(boards, (), ()), "results")
    assert "Mean ranks over d0, d1, d2, d3, d4, d5: din 1.00, hstu 2.00, dnn 3.00, ctr 4.00." in made
    assert 'aria-label="Mean ranks over data sets"' in made
    assert report.to_html(contents.Contents(boards, (), ()), "results") == made


def test_names_between_backticks_are_code_and_nothing_acts() -> None:
    assert str(report._prose("`=` marks <b>rows</b>")) == "<code>=</code> marks &lt;b&gt;rows&lt;/b&gt;"
