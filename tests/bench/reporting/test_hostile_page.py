"""Hostile names, texts and figures in a results folder: no script of theirs runs in Chromium, and no request leaves the page.

A server of this machine counts whatever is asked of it. The page is opened as it is, and once more without its
Content-Security-Policy: each of the two defences must hold alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rankbench.bench.analysis import study
from rankbench.bench.errors import UserError
from rankbench.bench.reporting import html, results_folder
from support.pages import STUDY, results

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PAYLOADS = (
    "<script>new Image().src='{trap}/script'</script>",
    "<SCRIPT SRC='{trap}/src'></SCRIPT>",
    "<ScRiPt>fetch('{trap}/mixed')</sCrIpT>",
    "<iframe srcdoc=\"<script>fetch('{trap}/srcdoc')</script>\"></iframe>",
    "<iframe src='{trap}/iframe'></iframe>",
    "<img src='{trap}/img' onerror=\"fetch('{trap}/onerror')\">",
    "<svg onload=\"fetch('{trap}/onload')\"><image href='{trap}/image'/></svg>",
    "<body onload=\"fetch('{trap}/body')\">",
    "<link rel=stylesheet href='{trap}/link'><style>@import '{trap}/import'; body {{ background: url({trap}/url) }}</style>",
    "<meta http-equiv=refresh content='0;url={trap}/refresh'><base href='{trap}/base/'>",
    "<object data='{trap}/object'></object><embed src='{trap}/embed'><video src='{trap}/video' poster='{trap}/poster'></video>",
    "\"'><img src={trap}/quotes onerror=fetch('{trap}/quotes2')>",
    "</title></style></script></textarea><script>fetch('{trap}/closed')</script>",
    "--><!--<img src={trap}/comment>-->",
    "{{{{ 7 * 7 }}}}{{% raw %}}<img src={trap}/template>",
    "[link](javascript:fetch('{trap}/link')) ![picture]({trap}/markdown) <{trap}/auto>",
    "`<img src={trap}/code>`",
)  # fmt: skip
"""The first in pairs of braces is the address of the server that counts."""


@contextlib.contextmanager
def trap() -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything, its address, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()


def hostile_page(root: Path, address: str) -> str:
    """The page of a results folder in which every text that a contributor chooses is a payload."""
    said = [payload.format(trap=address) for payload in PAYLOADS]
    results(root)
    made = root / "studies/heads/toy@global-time"
    poisoned = dataclasses.replace(STUDY, title=said[0], question=" ".join(said), models=(said[5],), command=" ".join(said))
    (made / "study.json").write_text(study.to_json(poisoned))
    cells = [one.replace("|", "/").replace("\n", " ") for one in said]
    lines = ("# T", "", "| head |", "|---|", *(f"| {one} |" for one in cells), "", *said)
    (made / "table.md").write_text("\n".join(lines))
    sweep = next((root / "sweeps").iterdir())
    rows = "".join(f'{at},"{one.replace(chr(34), chr(34) * 2)}"\n' for at, one in enumerate(said))
    (sweep / "trials.csv").write_text("trial,value\n" + rows)
    (board,) = (root / "more").rglob("board.json")
    board.write_text(poison(board.read_text(), said))
    figure = next((root / "boards").rglob("*.svg"))
    shutil.copy(figure, figure.with_name("<img src=x onerror=alert(1)> \"' .svg"))
    (root / "more").rename(root / "<iframe srcdoc=x>")
    return html.to_html(results_folder.collect(root), said[0], root)


def poison(board: str, said: list[str]) -> str:
    """A board whose models are called by payloads, wherever their names stand."""
    for name, payload in zip(("dnn", "din", "ctr"), said[3:], strict=False):
        board = board.replace(json.dumps(name), json.dumps(payload))
    return board


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The page, written for an address at which nobody listens, and its folder."""
    root = tmp_path_factory.mktemp("hostile") / "results"
    return hostile_page(root, "http://trap.invalid"), root


class Reader(HTMLParser):
    """All tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.mark.long
def test_every_payload_is_text_to_a_parser(opened: tuple[str, Path]) -> None:
    page, _ = opened
    assert page.count("trap.invalid") > len(PAYLOADS), "the payloads are there to be read"
    reader = Reader()
    reader.feed(page)
    tags = [tag for tag, _ in reader.seen]
    assert tags.count("script") == 1 and tags.count("style") == 1 and tags.count("body") == 1 and tags.count("title") == 1
    assert not {"iframe", "object", "embed", "video", "svg", "base", "image"} & set(tags)
    for tag, attributes in reader.seen:
        assert not [name for name in attributes if re.fullmatch(r"on[a-z]+|srcdoc|srcset|style|formaction|ping", name)], tag
        for name in ("href", "src"):
            place = attributes.get(name) or ""
            assert place.startswith(("#", "data:", "boards/", "studies/", "sweeps/", "%3Ciframe")) or not place, (tag, place)


@pytest.mark.long
@pytest.mark.skipif(BROWSER is None, reason="no chromium here (on Debian: apt-get install chromium)")
def test_nothing_of_theirs_runs_and_no_request_leaves(tmp_path: Path) -> None:
    with trap() as (address, asked):
        page = hostile_page(tmp_path / "results", address)
        without = re.sub(r"<meta http-equiv=\"Content-Security-Policy\".*?>", "", page)
        assert without != page
        for name, text in (("page", page), ("without", without)):
            file = tmp_path / "results" / f"{name}.html"
            file.write_text(text)
            dom = visit(file, tmp_path)
            assert "<h2>Answers</h2>" in dom, "the page was shown"
            assert asked == [], name
        control = tmp_path / "control.html"
        control.write_text(f"<!DOCTYPE html><body>{PAYLOADS[0].format(trap=address)}{PAYLOADS[3].format(trap=address)}</body>")
        visit(control, tmp_path)
        assert {"/script", "/srcdoc"} <= set(asked), "the same payloads, not escaped, do act"


def visit(file: Path, folder: Path) -> str:
    """The page as the browser has it two seconds, by its own clock, after it was loaded."""
    assert BROWSER is not None
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    command = [*words, f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300).stdout


@pytest.mark.parametrize("text", ["<SCRIPT>x()</SCRIPT>", "<ScRiPt/>", "<IFRAME srcdoc='x'/>", "<Handler>x()</Handler>"])
def test_a_figure_that_acts_is_refused_in_one_line_whatever_the_case(tmp_path: Path, text: str) -> None:
    folder = results_like(tmp_path, text)
    with pytest.raises(UserError, match=r"figure .*heads\.svg cannot be read \(it holds <.*>, which no figure does\); make it"):
        html.to_html(results_folder.collect(folder), "results", folder)


def results_like(folder: Path, content: str) -> Path:
    """A results folder with a study whose one figure holds `content`."""
    made = folder / "studies/heads/toy@global-time"
    made.mkdir(parents=True)
    (made / "study.json").write_text(study.to_json(STUDY))
    (made / "table.md").write_text("| a |\n|---|\n| 1 |\n")
    (made / "heads.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{content}</svg>')
    return folder
