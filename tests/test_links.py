"""Every page links to what is here: files, and headings of pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "results").glob("*.md"))]


def anchor(heading: str) -> str:
    """The name under which a heading of a Markdown page is linked to."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def headings(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {anchor(line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for place, _, heading in re.findall(r"\]\(((?!https?:|mailto:)[^)#\s]*)(#?)([^)\s]*)\)", page.read_text()):
        target = page.parent / place if place else page
        assert target.exists(), f"{page.name} links to {place}, which is not here"
        if heading:
            assert heading in headings(target), f"{page.name} links to {place}#{heading}, which has no such heading"
