"""How files get to the disk whole: written beside their place, forced to the disk, renamed.

What is being written is called `.writing-...` and locked by whoever writes it. A killed process leaves it there without its lock:
by that the next one that writes there knows that nobody is at work on it any more, and takes it away. On a file system without
locks it stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from .errors import UserError, why

WRITING = ".writing-"
"""How the names of all files and folders begin that are not whole yet."""


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """An empty file in `folder`, as readable as the umask lets new files be, that is gone afterwards unless it was renamed."""
    with _claimed(folder, lambda path: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)) as path:
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """An empty folder in `folder` that is gone afterwards with all that is still in it."""

    def make(path: Path) -> int:
        while True:
            path.mkdir()
            with contextlib.suppress(FileNotFoundError):  # somebody tidied up between its birth and this
                return os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    with _claimed(folder, make) as path:
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _claimed(folder: Path, make: Callable[[Path], int]) -> Iterator[Path]:
    """A new path in a tidy folder, locked as long as the block runs."""
    tidy(folder)
    while True:
        path = folder / f"{WRITING}{secrets.token_hex(6)}"
        handle = make(path)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not _stands_at(path, handle):  # somebody tidied up between its birth and its lock
                continue
            yield path
            return
        finally:
            os.close(handle)


def tidy(folder: Path, below: bool = False) -> None:
    """Take away what killed processes were writing in a folder.

    Args:
        below: and in all folders below it.
    """
    with contextlib.suppress(OSError):
        for path in list((folder.rglob if below else folder.glob)(f"{WRITING}*")):
            with contextlib.suppress(OSError):
                _forget(path)


def _forget(path: Path) -> None:
    """Raises OSError: somebody is at work on it, or may be, or it cannot be taken away."""
    folder = path.is_dir() and not path.is_symlink()
    handle = os.open(path, (os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR) | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _stands_at(path, handle):  # it was renamed meanwhile
            return
        if folder:
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


@contextlib.contextmanager
def alone(lock: Path, wait: bool = True) -> Iterator[None]:
    """No other process is in here with the same file, which is gone afterwards.

    Raises:
        BlockingIOError: another one is, and it shall not be waited for.
    """
    while True:
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before has taken the file away: others may already wait at a new one.
            if not _stands_at(lock, handle.fileno()):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _stands_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def sync(*paths: Path) -> None:
    """Force files to the disk."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


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
        raise UserError(f"{path} cannot be written ({why(error)}); free some space or choose another place") from None
