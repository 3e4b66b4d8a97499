"""What git knows: of this program's own repository, which commits there are, when and of what code; of any folder, which files
its history ever held."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ..records import provenance


@dataclass(frozen=True)
class Commit:
    """What the repository says of a commit."""

    made: datetime
    code_hash: str
    """Of its source files, as records have it."""


@dataclass(frozen=True)
class Repository:
    """Of the checkout below `root`."""

    root: Path

    @classmethod
    def here(cls) -> Repository | None:
        """Of the checkout that this program runs from; None if it was installed, or git is not there."""
        file = Path(provenance.__file__).resolve()
        try:
            _git(file.parent, "ls-files", "--error-unmatch", file.name)
        except (OSError, subprocess.SubprocessError):
            return None
        return cls(file.parents[2])

    @functools.cached_property
    def whole(self) -> bool:
        """Whether all commits are here, not only the latest ones."""
        return _git(self.root, "rev-parse", "--is-shallow-repository").strip() == b"false"

    def head(self) -> str:
        """The full name of the commit that is checked out."""
        return _git(self.root, "rev-parse", "HEAD").decode().strip()

    def commit(self, name: str) -> Commit | None:
        """The commit with this full name; None if it is not in the repository."""
        return _commit(self.root, name)


@dataclass(frozen=True)
class Past:
    """What the history of a folder's repository holds, up to the commit that is checked out."""

    files: frozenset[str]
    """Every path below the folder that any commit ever held, relative to it."""
    whole: bool
    """Whether all commits are here."""


def past(folder: Path) -> Past | None:
    """Of a folder; None if it lies in no repository that has a commit, or git is not there."""
    try:
        # All sides of merges: git leaves out those that left no trace, which is what a deleted file is.
        words = ("log", "--full-history", "-m", "--no-renames", "--format=", "--name-only", "-z", "--relative", "--", ".")
        listed = _git(folder, *words).decode().split("\0")
        shallow = _git(folder, "rev-parse", "--is-shallow-repository").strip() == b"true"
    except (OSError, subprocess.SubprocessError):
        return None
    return Past(frozenset(path for path in listed if path), not shallow)


@functools.lru_cache(maxsize=256)
def _commit(root: Path, name: str) -> Commit | None:
    try:
        seconds = int(_git(root, "show", "--no-patch", "--format=%ct", f"{name}^{{commit}}"))
        listed = _git(root, "ls-tree", "-r", "-z", "--name-only", name, "--", *provenance.CODE).decode().split("\0")
    except (OSError, subprocess.SubprocessError):
        return None
    paths = [path for path in listed if PurePosixPath(path).suffix in provenance.SOURCES]
    contents = _contents(root, [f"{name}:{path}" for path in paths])
    return Commit(datetime.fromtimestamp(seconds, UTC), provenance.digest(zip(paths, contents, strict=True)))


def _contents(root: Path, names: list[str]) -> list[bytes]:
    """Of objects of the repository, by one process."""
    answer = _git(root, "cat-file", "--batch", given="\n".join(names).encode())
    found, at = [], 0
    for _ in names:
        header, _, _ = answer[at:].partition(b"\n")
        begin, size = at + len(header) + 1, int(header.rsplit(b" ", 1)[1])
        found.append(answer[begin : begin + size])
        at = begin + size + 1
    return found


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, input=given, capture_output=True, timeout=60, check=True).stdout
