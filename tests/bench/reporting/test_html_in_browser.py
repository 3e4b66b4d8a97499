"""The page in a real browser: no error, tables sort, families filter, figures are seen, nothing is wider than a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.reporting import html, results_folder
from support.pages import MODELS, results

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

WIDTHS = (390, 1280)

PROBE = """
<script>
addEventListener("load", () => {
  const rows = () => [...document.querySelector("table.leaderboard").tBodies[0].rows];
  const keys = (column) => rows().filter((row) => !row.hidden).map((row) => row.children[column].dataset.key);
  const headers = [...document.querySelectorAll("table.leaderboard th[scope=col]")].slice(0, rows()[0].children.length);
  const column = (name) => headers.findIndex((header) => header.textContent === name);
  const click = (name) => headers[column(name)].querySelector("button").click();
  const found = {width: innerWidth, wide: document.documentElement.scrollWidth, errors: window.errors};
  click("train s");
  found.descending = [headers[column("train s")].getAttribute("aria-sort"), keys(column("train s"))];
  click("train s");
  found.ascending = [headers[column("train s")].getAttribute("aria-sort"), keys(column("train s"))];
  click("model");
  found.names = keys(0);
  found.sorted = headers.filter((header) => header.hasAttribute("aria-sort")).length;
  const box = document.querySelector("fieldset.filter input[value=floor]");
  found.filter = box.getClientRects().length > 0;
  box.click();
  found.without = keys(1);
  box.click();
  found.again = keys(1).length;
  found.figures = [...document.querySelectorAll("figure img")].map((figure) => {
    const box = figure.getBoundingClientRect();
    return [box.width, box.height, figure.naturalWidth];
  });
  const text = parent.document.createElement("pre");
  text.textContent = JSON.stringify(found);
  parent.document.body.append(text);
});
</script>
"""
WATCH = '<script>window.errors = []; addEventListener("error", (event) => window.errors.push(event.message));</script>'


@pytest.mark.long
@pytest.mark.skipif(BROWSER is None, reason="no chromium here (on Debian: apt-get install chromium)")
def test_the_page_works_in_a_browser(tmp_path: Path) -> None:
    """In frames as wide as a phone and as a desk: a window of a browser without a screen is not narrower than 500 pixels."""
    root = results(tmp_path / "results")
    page = html.to_html(results_folder.collect(root), "results", tmp_path)
    (tmp_path / "page.html").write_text(page)
    done = subprocess.run([*_browser(tmp_path), (tmp_path / "page.html").as_uri()], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, "its own policy lets everything of it through"
    page = re.sub(r"<meta http-equiv.*?>", "", page).replace(' loading="lazy"', "")
    page = page.replace("<head>", f"<head>{WATCH}").replace("</body>", f"{PROBE}</body>")
    frames = (f'<iframe width="{width}" height="2000" style="border: 0" srcdoc="{escape(page)}"></iframe>' for width in WIDTHS)
    file = tmp_path / "frames.html"
    file.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{''.join(frames)}</body>")
    done = subprocess.run([*_browser(tmp_path), file.as_uri()], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr
    probes = [json.loads(unescape(text)) for text in re.findall(r"<pre>({.*?})</pre>", done.stdout, re.DOTALL)]
    assert sorted(found["width"] for found in probes) == list(WIDTHS)
    for found in probes:
        _check(found)


def _browser(folder: Path) -> list[str]:
    assert BROWSER is not None
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    return [*words, f"--user-data-dir={folder / 'profile'}", "--window-size=1400,2000", "--dump-dom"]


def _check(found: dict[str, Any]) -> None:
    assert found["errors"] == [] and found["wide"] <= found["width"]
    for direction in ("descending", "ascending"):
        named, keys = found[direction]
        numbers = list(map(float, keys))
        assert named == direction and len(numbers) == len(MODELS)
        assert numbers == sorted(numbers, reverse=direction == "descending")
    assert found["names"] == sorted((model for model, _, _ in MODELS), reverse=True) and found["sorted"] == 1
    assert found["filter"] and found["without"] and "floor" not in found["without"] and found["again"] == len(MODELS)
    assert len(found["figures"]) == 7
    for wide, high, drawn in found["figures"]:
        assert 300 < wide <= found["width"] and high > 60 and drawn > 100
