"""The keys of a data set's YAML file, and the one name under which its results are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ...errors import UserError

_LONGEST = 100
"""Letters of a name: folders and files are named after it."""


def read_keys(path: Path) -> dict[str, Any]:
    """The keys of a data set's YAML file, whatever they are.

    Raises:
        UserError: the file cannot be read, is not YAML, or holds something other than keys.
    """
    from ...yaml_text import read_yaml  # not where data sets are only listed, which needs no library

    content = read_yaml(path, "data set file")
    if not isinstance(content, dict):
        raise UserError(f"data set file {path} must hold keys such as 'events: events.csv', one a line")
    return content


def name_in(path: Path, keys: dict[str, Any]) -> str:
    """The data set's name: the key `name`, or the name of the file.

    Raises:
        UserError: a name that cannot be one of a folder.
    """
    name = keys.get("name", path.stem)
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise UserError(f"{path}: name {str(name)[:200]!r} may hold letters, digits, '.', '-' and '_' only")
    if len(name) > _LONGEST:
        raise UserError(f"{path}: name {name[:20]}... has {len(name)} letters; {_LONGEST} are allowed")
    return name
