"""How files get to the disk whole: written beside their place, forced to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import UserError


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """An empty file in `folder` that is gone afterwards, unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def sync(*paths: Path) -> None:
    """Force files to the disk, readable by everyone: temporary files are born private."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.chmod(0o644)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk: what was renamed into it is there before anything else is taken away."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """A file that is there whole or as it was before, and its folder.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary(path.parent) as new:
            new.write_bytes(content)
            sync(new)
            os.replace(new, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); free some space or choose another place"
        ) from None
