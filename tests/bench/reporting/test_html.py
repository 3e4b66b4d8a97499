"""The page holds everything of a results folder, is whole by itself, and is the same on a second run."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest

from rankbench.bench import cli
from rankbench.bench.analysis.leaderboard import Board
from rankbench.bench.analysis.statements import Costs, Families, of_kind
from rankbench.bench.analysis.study import to_json
from rankbench.bench.errors import UserError
from rankbench.bench.reporting import board_files, html, results_folder, summary
from rankbench.bench.reporting.picture import Figure
from rankbench.bench.reporting.words import difference, sentences
from support.pages import MODELS, STUDY, results
from support.sweeps import record as made_sweep

VOID = {"meta", "link", "input", "br", "img"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results(tmp_path_factory.mktemp("made") / "results")


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return html.to_html(results_folder.collect(root), "results", root)


@pytest.fixture(scope="module")
def board(root: Path) -> Board:
    return results_folder.collect(root).boards[0].board


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


@pytest.mark.long
def test_the_page_needs_nothing_but_the_figures_of_its_folder(
    elements: list[tuple[str, dict[str, str | None]]], root: Path
) -> None:
    assert not [tag for tag, _ in elements if tag in ("svg", "iframe", "object", "embed")]
    for tag, attributes in elements:
        if source := attributes.get("src"):
            assert source.startswith("data:image/svg+xml;base64,") or (root / unquote(source)).is_file(), source
            assert ":" not in source or source.startswith("data:"), "a place beside the page, never an address"
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), tag
    assert Counter(tag for tag, _ in elements)["script"] == 1


def test_ids_are_unique_and_every_reference_has_its_place(page: str, elements: list[tuple[str, dict[str, str | None]]]) -> None:
    ids = Counter(attributes["id"] for _, attributes in elements if attributes.get("id"))
    assert max(ids.values()) == 1
    wanted = {attributes["href"] for _, attributes in elements if (attributes.get("href") or "").startswith("#")}
    assert len(wanted) > 2 and {name[1:] for name in wanted if name} <= ids.keys()


def test_tables_are_readable_without_eyes(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    counts = Counter(tag for tag, _ in elements)
    assert counts["caption"] >= 2 * 4 + 2 and counts["img"] == 7
    first, *images = [attributes for tag, attributes in elements if tag == "img"]
    assert first["alt"] and "loading" not in first, "the page begins with it"
    assert all(image["alt"] and image["loading"] == "lazy" and float(image["width"] or 0) > 100 for image in images)
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and all(later <= before + 1 for before, later in pairwise(levels)), "no level of headings is left out"
    board_headers = [attributes.get("scope") for tag, attributes in elements if tag == "th" and "data-key" in attributes]
    assert board_headers == ["row"] * (len(MODELS) + len(MODELS) - 1)


def test_the_page_holds_what_the_files_hold(page: str, root: Path) -> None:
    found = results_folder.collect(root)
    assert [files.store for files in found.boards] == ["", "more"]
    for files in found.boards:
        for part in (*sentences(files.board.statements), files.board.facts.split_hash):
            assert part in page.replace("&#39;", "'")
        for file in files.board.facts.files:
            assert file.sha256 in page
        assert all(row.config_hash in page for row in files.board.rows)
    assert "rankbench board --results results/more --dataset toy --split global-time" in page
    assert STUDY.title in page and "and is it &lt;dot&gt;?" in page
    assert all(line in page for line in sentences(STUDY.statements))
    assert STUDY.command in page and "<td>0.71</td>" in page
    assert "<td>&lt;script&gt;</td>" in page, "what a file says is text, never markup"
    assert "Said above." not in page, "of a study's page, the table alone: its sentences stand there already"
    search = made_sweep("din", 3)
    assert search.best is not None
    numbers = ("3", "0", "0", f"{search.seconds:.0f}", f"auc {search.best.value:.4f}")
    assert "".join(f"<td>{cell}</td>" for cell in numbers) in page and f"train.lr={search.best.params['train.lr']}" in page


def test_the_picture_and_the_summary_come_before_everything_else(page: str) -> None:
    places = [page.index(part) for part in ('<figure class="first">', '<table class="summary">', "<nav", '<section id="board-')]
    assert places == sorted(places)


def test_the_same_files_give_the_same_page(page: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = shutil.copytree(root, tmp_path / "results")
    assert cli.main(["report", "--results", str(copied)]) == 0
    assert "boards: 2, studies: 1, sweeps: 1; " in capsys.readouterr().out
    assert (copied / "report.html").read_text() == page
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|work)/", page)


def test_the_markdown_page_is_the_summary_and_leads_to_every_board(root: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(root, tmp_path / "results")
    for out in (tmp_path / "LEADERBOARD.md", copied / "LEADERBOARD.md"):
        assert cli.main(["report", "--results", str(copied), "--markdown", "--out", str(out)]) == 0
        text = out.read_text()
        links = re.findall(r"\]\((\S+?board\.md)\)", text)
        assert len(links) == 2 * 2 and all((out.parent / link).is_file() for link in links)
        for rows in summary.tables(results_folder.collect(copied).boards).values():
            assert all(" | ".join(line[1:]) in text for line in rows)
    assert cli.main(["report", "--results", str(copied), "--markdown"]) == 0
    assert (copied / "LEADERBOARD.md").read_text() == text, "that is where it lies by default"


def test_the_summary_is_what_the_boards_state(root: Path, page: str) -> None:
    found = results_folder.collect(root)
    board = found.boards[0].board
    said = {one.pair.metric: one.pair for one in of_kind(board.statements, Families)}
    (costs,) = of_kind(board.statements, Costs)
    for metric, (header, whole, partial) in summary.tables(found.boards).items():
        assert header == ["data set", "tuned", "best generative", "best classical", "difference", "verdict", "train s"]
        pair = said[metric]
        assert whole[1:-1] == ["no", pair.one, pair.other, difference(pair.difference), pair.verdict]
        assert whole[-1] == f"{costs.generative.train_seconds:.0f} / {costs.classical.train_seconds:.0f}"
        assert partial[1:] == ["-", "-", "din", "-", "-", "-"], "without a generative ranker"
        for line in (whole, partial):
            assert "".join(f"<td>{cell}</td>" for cell in line[1:]) in page


def test_trials_of_ones_own_stay_out_of_the_report_of_a_folder_above(root: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(root, tmp_path / "results")
    shutil.copytree(root / "more", copied / "local")
    assert {files.store for files in results_folder.collect(copied).boards} == {"", "more"}
    assert len(results_folder.collect(copied / "local").boards) == 1


def test_broken_files_and_empty_folders_say_what_to_do(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--results", str(tmp_path / "none")]) == 2
    assert "make one with rankbench run or rankbench board" in capsys.readouterr().err
    copied = shutil.copytree(root, tmp_path / "results")
    (tmp_path / "file").write_text("")
    assert cli.main(["report", "--results", str(copied), "--out", str(tmp_path / "file" / "report.html")]) == 2
    assert "report.html cannot be written (" in capsys.readouterr().err
    (study,) = copied.rglob("study.json")
    content = json.loads(to_json(STUDY))
    study.write_text(json.dumps({key: content[key] for key in content if key != "title"}))
    with pytest.raises(UserError, match="lacks title; run the study again"):
        results_folder.collect(copied)
    study.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        results_folder.collect(copied)
    study.unlink()
    (figure, *_) = sorted((copied / "boards").rglob("*.svg"))
    figure.write_text("<svg>")
    with pytest.raises(UserError, match=r"figure .*svg cannot be read .*; make it again"):
        html.to_html(results_folder.collect(copied), "results", copied)
    (board,) = (copied / "boards").rglob("board.json")
    board.write_text(board.read_text().replace('"headlines"', '"headliness"'))
    with pytest.raises(UserError, match=r"board .*board.json .*headliness.*; make it again with rankbench board"):
        results_folder.collect(copied)


def test_a_board_is_read_back_from_its_file(board: Board) -> None:
    assert board_files.from_json(board_files.to_json(board), "here") == board


SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 90" {}>{}</svg>'


def test_a_figure_is_an_image_of_its_size() -> None:
    text = SVG.format("", "<g/>")
    figure = Figure.of(text, "a & b", "what")
    assert base64.b64decode(figure.source.removeprefix("data:image/svg+xml;base64,")).decode() == text
    assert (figure.width, figure.height) == (300.0, 90.0)
    assert Figure.of(text, "", "", "a/b.svg").source == "a/b.svg"
    with pytest.raises(ValueError, match="viewBox"):
        Figure.of("<svg/>", "", "")


@pytest.mark.parametrize(
    ("attribute", "content"),
    [
        ('onload="x()"', ""),
        ("", "<script>x()</script>"),
        ("", "<foreignObject><p/></foreignObject>"),
        ("", '<image href="https://example.org/seen.png"/>'),
        ("", '<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="javascript:x()"/>'),
        ("", "<style>@import url(https://example.org/a.css)</style>"),
        ("", "<style>@\\69mport 'https://example.org/a.css'</style>"),
        ("", "<style>text {{ fill: u\\72l(https://example.org/a) }}</style>"),
        ("", "<style>text { background: image-set('https://example.org/a' 1x) }</style>"),
        ("", "<h:img xmlns:h='http://www.w3.org/1999/xhtml' src='https://example.org/a.png'/>"),
        ("", "<h:meta xmlns:h='http://www.w3.org/1999/xhtml' http-equiv='refresh' content='0;url=https://example.org'/>"),
        ("", "<text src='https://example.org/a'>x</text>"),
    ],
)
def test_a_figure_that_could_act_by_itself_is_refused(attribute: str, content: str) -> None:
    """As an image nothing of it acts; opened from the folder it would."""
    with pytest.raises(ValueError, match="which no figure does"):
        Figure.of(SVG.format(attribute, content), "", "")


def test_a_figure_that_names_a_style_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="style sheet"):
        Figure.of(f'<?xml-stylesheet type="text/xsl" href="a.xsl"?>{SVG.format("", "")}', "", "")


def test_hostile_names_of_figures_and_boards_are_text(root: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(root, tmp_path / "results")
    (first, *_) = sorted((copied / "boards").rglob("*.svg"))
    shutil.copy(first, first.with_name('"onerror="x() <b>&#39; javascript:x.svg'))
    store = copied / "<img src=x onerror=x()>"
    (copied / "more").rename(store)
    made = html.to_html(results_folder.collect(copied), "<script>x()</script>", copied)
    reader = Reader()
    reader.feed(made)
    tags = Counter(tag for tag, _ in reader.seen)
    assert tags["script"] == 1 and tags["b"] == 0
    assert not any(name.startswith("on") for _, attributes in reader.seen for name in attributes)
    sources = [attributes["src"] or "" for tag, attributes in reader.seen if tag == "img"]
    assert sum("%3A" in source for source in sources) == 1 and all((copied / unquote(one)).is_file() for one in sources[1:])


def test_the_page_runs_its_own_script_and_no_other(page: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.replace("&#39;", "'") == (
        f"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


@pytest.mark.long
def test_ranks_over_data_sets_are_shown_from_six_on(page: str, root: Path) -> None:
    assert "No ranking over data sets: ranks over data sets need 6 of them at least, there are 1" in page
    found = results_folder.collect(root)
    boards = tuple(
        dataclasses.replace(found.boards[0], board=dataclasses.replace(found.boards[0].board, dataset=f"d{at}"))
        for at in range(6)
    )
    made = html.to_html(results_folder.Contents(boards, (), ()), "results", root)
    assert "Mean ranks over d0, d1, d2, d3, d4, d5: din 1.00, hstu 2.00, dnn 3.00, ctr 4.00." in made
    assert 'alt="Mean ranks over data sets"' in made
    assert html.to_html(results_folder.Contents(boards, (), ()), "results", root) == made


def test_names_between_backticks_are_code_and_nothing_acts() -> None:
    assert str(html._prose("`=` marks <b>rows</b>")) == "<code>=</code> marks &lt;b&gt;rows&lt;/b&gt;"
