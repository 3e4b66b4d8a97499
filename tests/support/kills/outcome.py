"""What a command left in its folder, and in what that differs from what an undisturbed run left."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MEASURED = re.compile(r"second|latency|memory|load|started|finished|environment|measured|cpu|cost|comparable|against-time|energy")
"""In keys of a JSON file: what differs from one undisturbed run to the next."""
TOLD = {".md", ".csv", ".svg", ".png", ".html", ".log", ".flock", ".pointer"}
"""Files that repeat such numbers or depend on the folder's place: that they are there is all that is asked."""
OF_TIMES = re.compile(r"^against-time\.")
"""Figures that a board has where the load of its runs lets their times be compared."""
OF_LOAD = {"loaded", "costs"}
"""Statements that a board makes where it does, or does not."""
HASH = re.compile(r"(?<=-)[0-9a-f]{16}(?=$|[./])")
"""In names of logs: it depends on the folder's place."""


@dataclass(frozen=True)
class Difference:
    """From the undisturbed run."""

    lost: tuple[str, ...] = ()
    """Files that are not there, records that are not ok."""
    unequal: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """Files that nobody asked for."""


def outcome(folder: Path, exact: bool) -> dict[str, str]:
    """File -> what of its content must not depend on interruptions, as a hash."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "kernels" not in path.relative_to(folder).parts and (exact or not OF_TIMES.match(path.name)):
            name = HASH.sub("#", str(path.relative_to(folder)))
            while name in found:
                name += " again"
            found[name] = hashlib.sha256(_content(path, exact)).hexdigest()
    return found


def _content(path: Path, exact: bool) -> bytes:
    if path.suffix == ".pointer" or (not exact and path.suffix in TOLD):
        return b""
    if exact or path.suffix not in (".json", ".yaml"):
        return path.read_bytes()
    text = path.read_text()
    return json.dumps(_lasting(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)), sort_keys=True).encode()


def _lasting(tree: Any) -> Any:
    """Without what is measured. Of the trials of a search those that count, in their order: one that was killed is handed on,
    and the next has its settings."""
    if isinstance(tree, dict):
        return {key: _lasting(value) for key, value in tree.items() if not MEASURED.search(key)}
    if not isinstance(tree, list):
        return tree
    if any(isinstance(entry, dict) and "retry_of" in entry for entry in tree):
        tree = [{**trial, "number": 0, "retry_of": None} for trial in tree if trial["state"] != "handed on"]
    return [_lasting(entry) for entry in tree if not (isinstance(entry, dict) and entry.get("kind") in OF_LOAD)]


def failed(folder: Path) -> list[str]:
    """Records of cells that have no result."""
    paths = sorted(folder.rglob("seed-*.json"))
    return [str(path.relative_to(folder)) for path in paths if json.loads(path.read_text())["status"] != "ok"]


def difference(straight: Mapping[str, str], found: Mapping[str, str], failed: list[str]) -> Difference:
    return Difference(
        lost=tuple(sorted({*(straight.keys() - found.keys()), *failed})),
        unequal=tuple(sorted(name for name in straight.keys() & found.keys() if straight[name] != found[name])),
        left=tuple(sorted(found.keys() - straight.keys())),
    )
