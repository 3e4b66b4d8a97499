"""Where data is looked for and kept, from the command line and the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from ..data.sources.schema import DataRoots


def data_root(given: Path | None) -> Path | None:
    """`--data-root`, else RANKBENCH_DATA, else None.

    Raises:
        UserError: it is named but is not a folder.
    """
    source, root = ("--data-root", given) if given is not None else ("RANKBENCH_DATA", _from_environment("RANKBENCH_DATA"))
    if root is not None and not root.is_dir():
        raise UserError(f"{source} names {root}, which is not a folder; it must hold one folder per data set")
    return root


def cache() -> Path:
    """RANKBENCH_CACHE, else ~/.cache/rankbench; created when something is written to it.

    Raises:
        UserError: neither is there.
    """
    return _from_environment("RANKBENCH_CACHE") or _expanded("RANKBENCH_CACHE", Path("~/.cache/rankbench"))


def data_roots(given: Path | None) -> DataRoots:
    """Both, for the loaders."""
    from ..data.sources.schema import DataRoots

    return DataRoots(root=data_root(given), cache=cache())


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name, "")
    return _expanded(name, Path(value)) if value else None


def _expanded(name: str, path: Path) -> Path:
    """Raises UserError: it begins at the home folder, and there is none, as in a container with --user."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise UserError(f"{path} cannot be found, this user has no home folder; set {name} to a whole path") from None
