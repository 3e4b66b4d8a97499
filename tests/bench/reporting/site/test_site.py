"""The site as `make docs` builds it: every link and image is there, nothing is fetched, search finds words without a server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from rankbench.bench.reporting.site.pages import assemble

ROOT = Path(__file__).resolve().parents[4]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
GENERATOR = Path(sys.executable).with_name("zensical")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not GENERATOR.exists(), reason="no zensical here (make docs, or pip install 'rankbench[docs]')"),
]

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Tags whose file a browser fetches by itself."""

PROBE = """
<script>
addEventListener("load", async () => {
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  const until = async (found) => {
    for (let tries = 0; tries < 100; tries++) {
      if (found()) return found();
      await wait(100);
    }
  };
  const errors = window.errors;
  await wait(500);
  document.querySelector(".md-search__button").click();
  const dialog = await until(() => [...document.querySelectorAll("*")].find((one) => one.shadowRoot)?.shadowRoot);
  const input = await until(() => dialog.querySelector("input"));
  const results = {};
  for (const word of ["equivalent", "tesseract"]) {
    const links = () => [...dialog.querySelectorAll("[role=listbox] a")].map((link) => link.href);
    const before = links().length;
    input.value = word;
    input.dispatchEvent(new InputEvent("input", {bubbles: true, composed: true}));
    await until(() => links().length !== before);
    results[word] = links();
  }
  const images = [...document.querySelectorAll(".md-content img")].map((image) => image.naturalWidth);
  const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
  const text = document.createElement("pre");
  text.id = "found";
  const wide = document.documentElement.scrollWidth;
  text.textContent = JSON.stringify({errors, results, images, asked, wide, width: innerWidth});
  document.body.append(text);
});
</script>
"""
WATCH = '<script>window.errors = []; addEventListener("error", (event) => window.errors.push(event.message));</script>'


class Page(HTMLParser):
    """What a built page names, links to and fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.names |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in FETCHED and FETCHED[tag] in found:
            self.fetched.append(found[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Built in strict mode, below a folder whose name has a space."""
    root = tmp_path_factory.mktemp("built site")
    assemble(ROOT, root / "build" / "pages")
    shutil.copy(ROOT / "zensical.toml", root)
    shutil.copytree(ROOT / "docs" / "theme", root / "docs" / "theme")
    done = subprocess.run([GENERATOR, "build", "--strict"], cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    yield root / "site"
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Path -> what it holds."""
    return {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_link_and_image_of_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    wrong: list[str] = []
    for path, page in pages.items():
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme in ("https", "http", "mailto", "data", "javascript"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                wrong.append(f"{path.name} links to {link}")
            elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in pages[target].names:
                wrong.append(f"{path.name} links to {link}, which has no such place")
    assert not wrong


def test_nothing_is_fetched_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    assert [link for page in pages.values() for link in page.fetched if urlsplit(link).scheme or link.startswith("/")] == []
    sheets = [sheet.read_text() for sheet in site.rglob("*.css")]
    assert sheets and not any(re.search(r"url\(\s*['\"]?https?:|@import", sheet) for sheet in sheets)


def test_lists_and_tables_are_ones(pages: dict[Path, Page]) -> None:
    """What one dialect of Markdown takes for a list or a table and another one for text."""
    for path in pages:
        text = re.sub(r"<(pre|code|script)\b.*?</\1>", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"<p>[^<]*\n(- |\d+\. |\|)", text) and "|---" not in text, path.name


def test_every_figure_of_the_results_is_in_the_gallery(pages: dict[Path, Page]) -> None:
    shown = next(page for path, page in pages.items() if path.name == "gallery.html").fetched
    committed = subprocess.run(["git", "ls-files", "results/**/*.svg"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert committed and all(any(link.endswith(figure) for link in shown) for figure in committed)


@pytest.mark.skipif(BROWSER is None, reason="no chromium here (on Debian: apt-get install chromium)")
def test_search_works_from_the_file_system_and_asks_nobody(site: Path, tmp_path: Path) -> None:
    page = (site / "index.html").read_text()
    (site / "probed.html").write_text(page.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{PROBE}</body>"))
    done = subprocess.run(
        [
            *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--window-size=1280,2000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=30000", "--dump-dom"),
            (site / "probed.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "CONSOLE" not in done.stderr
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, "the page's script came to its end"
    found = json.loads(unescape(told[1]))
    assert found["errors"] == []
    assert any("reading-a-board.html" in link and link.endswith("#four-words") for link in found["results"]["equivalent"])
    assert found["results"]["tesseract"] == []
    assert found["images"] and all(width > 100 for width in found["images"])
    assert [name for name in found["asked"] if not name.startswith("file:")] == []
    assert found["wide"] <= found["width"]
