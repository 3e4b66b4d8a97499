"""Markdown as it is written here, for a code host, in the words of Python-Markdown, which builds the site.

The two differ in three things that these pages use: a list may follow a paragraph without an empty line, what lies within an
entry of a list is indented by as much as its mark and not by four, and `|` within code in a table is written `\\|`.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"\s*(```|~~~)")
_ENTRY = re.compile(r"( *)(?:[-*]|\d+\.) ")
_CODE = re.compile(r"`[^`]*`")


def translated(text: str) -> str:
    """The same page for Python-Markdown."""
    lines: list[str] = []
    fenced = inside = False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            line, inside = _line(line, lines[-1] if lines else "", inside, lines)
        lines.append(line)
    return "\n".join(lines)


def _line(line: str, before: str, inside: bool, lines: list[str]) -> tuple[str, bool]:
    """The line, and whether a list goes on behind it; puts an empty line where one must be."""
    entry = _ENTRY.match(line)
    if entry and not entry[1] and before.strip() and not inside:
        lines.append("")
    if line.startswith("|"):
        line = _CODE.sub(lambda code: code[0].replace("\\|", "|"), line)
    within = bool(entry) or (inside and (not line.strip() or line.startswith(" ")))
    if within and re.match(r" {2,3}\S", line):
        line = f"    {line.lstrip()}"
    return line, within
