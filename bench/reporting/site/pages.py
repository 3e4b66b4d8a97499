"""All pages of the site in one folder, as its generator reads them.

The folder has the repository's shape, so that a link that is right in the repository is right in the site. README.md is the front
page. What a page links to is copied along; a folder without a README gets a list of its files.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ...atomic import write_text
from ...errors import UserError
from .dialect import translated
from .gallery import gallery

FRONT = "README.md"
ROOT_PAGES = (FRONT, "CONTRIBUTING.md", "CHANGELOG.md", "LEADERBOARD.md")
GALLERY = Path("docs/results/gallery.md")
THEME = Path("docs/theme")

_LINK = re.compile(r"(\]\()([^)\s#]*)((?:#[^)\s]*)?\))")
_ELSEWHERE = re.compile(r"[a-z]+:")


def assemble(root: Path, out: Path) -> int:
    """Write the pages of the repository `root` into `out`, which is emptied first, and return their number.

    Raises:
        UserError: `root` is not the repository, or a page links to what is not there.
    """
    if not (root / "docs").is_dir() or not (root / FRONT).is_file():
        raise UserError(f"{root} lacks docs/ or {FRONT}: name the root of the repository")
    if out.exists():
        shutil.rmtree(out)
    texts = {path.relative_to(root): path.read_text(encoding="utf-8") for path in _pages(root)}
    texts[GALLERY] = gallery(root / "results", GALLERY)
    copied: set[Path] = set()
    waiting = list(texts)
    while waiting:
        page = waiting.pop()
        for target in _targets(page, texts[page]):
            if target in texts or target in copied:
                continue
            there = root / target
            if there.is_dir():
                if target / FRONT not in texts:
                    texts[target / FRONT] = _listing(root, target)
                    waiting.append(target / FRONT)
            elif there.is_file():
                copied.add(target)
            else:
                raise UserError(f"{page} links to {target}, which is not there")
    for page, text in texts.items():
        write_text(out / _place(page), translated(_linked(page, text, texts)))
    for path in copied:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, out / path)
    return len(texts)


def _pages(root: Path) -> list[Path]:
    found = [path for folder in ("docs", "results") for path in sorted((root / folder).rglob("*.md"))]
    local = root / "results" / "local"
    kept = [path for path in found if local not in path.parents and path.name != "brief.md"]
    return [root / name for name in ROOT_PAGES if (root / name).is_file()] + kept


def _targets(page: Path, text: str) -> list[Path]:
    """Of the links to files and folders here, from the root."""
    found = [match[2] for match in _LINK.finditer(text) if match[2] and not _ELSEWHERE.match(match[2])]
    return [Path(os.path.normpath(page.parent / place)) for place in found]


def _place(page: Path) -> Path:
    """Where a page lies in the site's folder: a README is what is shown of its folder."""
    return page.with_name("index.md") if page.name == FRONT else page


def _linked(page: Path, text: str, texts: dict[Path, str]) -> str:
    """The page with links to folders and READMEs as links to their pages."""

    def one(match: re.Match[str]) -> str:
        if not match[2] or _ELSEWHERE.match(match[2]):
            return match[0]
        target = Path(os.path.normpath(page.parent / match[2]))
        target = target / FRONT if target / FRONT in texts else target
        place = os.path.relpath(_place(target), page.parent)
        return f"{match[1]}{Path(place).as_posix()}{match[3]}"

    return _LINK.sub(one, text)


def _listing(root: Path, folder: Path) -> str:
    names = sorted(path.name for path in (root / folder).iterdir() if path.is_file() and path.suffix != ".md")
    pages = sorted(path.name for path in (root / folder).glob("*.md"))
    lines = [f"- [{name}]({name})" for name in (*pages, *names)]
    return "\n".join([f"# {folder.as_posix()}", "", *lines]) + "\n"
