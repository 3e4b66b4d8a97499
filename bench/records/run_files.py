"""Files of runs by their paths, in either form: alone in their cell's folder, or packed with the others of the cell.

A cell's records and scores, <cell>/seed-<n>.json and <cell>/seed-<n>.scores.npz, may lie byte for byte in one zip beside its
folder, <cell>.zip. Seeds that came later lie loose beside a zip; a file that lies in both forms, because somebody was killed
while packing, is one file as long as its bytes are the same. Weights are never packed. Nothing else knows of the two forms:
every path here is that of the loose file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ..atomic import sync, sync_folder, temporary
from ..errors import DAMAGED, UserError

SUFFIX = ".zip"
NAME = re.compile(r"seed-(0|[1-9][0-9]*)\.(json|scores\.npz)")
"""Of what can be packed."""
LARGEST_RECORD = 1 << 26
"""Bytes of a record, which is compressed and could claim any size; scores are stored and are as large as they look."""


def archive(folder: Path) -> Path:
    """Where the files of a cell's folder are packed, if they are."""
    return folder.with_name(folder.name + SUFFIX)


def cells(below: Path) -> list[Path]:
    """Folders of cells in either form at any depth below a folder, ordered by path; what is misplaced is among them."""
    packed = (path.with_suffix("") for path in below.rglob(f"*{SUFFIX}"))
    return sorted({*(path.parent for path in below.rglob("*.json")), *packed})


def records(folder: Path) -> list[Path]:
    """The JSON files of a cell, each once, ordered by name.

    Raises:
        UserError: the zip is broken, or is none of a cell.
    """
    packed = (folder / name for name in _packed(folder) if name.endswith(".json"))
    return sorted({*folder.glob("*.json"), *packed})


def exists(path: Path) -> bool:
    """Raises UserError as `records`."""
    return path.exists() or is_packed(path)


def is_packed(path: Path) -> bool:
    """Raises UserError as `records`."""
    return path.name in _packed(path.parent)


def read(path: Path) -> bytes:
    """Raises UserError as `records`, or where both forms are there and differ; OSError: there is none, or it cannot be read."""
    loose = None
    with contextlib.suppress(FileNotFoundError):
        loose = path.read_bytes()
    with _opened(archive(path.parent)) as file:
        packed = file.read(path.name) if file is not None and path.name in file.namelist() else None
    if loose is None and packed is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if loose is not None and packed is not None and loose != packed:
        raise UserError(f"{path} is not the {path.name} that lies in {archive(path.parent)}; delete the one that is wrong")
    return loose if loose is not None else packed or b""


def shown(path: Path) -> str:
    """How an error names a file: by the place where whoever reads it finds the file."""
    return str(path) if path.exists() or not is_packed(path) else f"{path.name} in {archive(path.parent)}"


def pack(folder: Path, paths: Collection[Path]) -> None:
    """Move files of a cell from its folder into its zip, which keeps what it holds. Killed at any moment, nothing is lost.

    Args:
        paths: all named as NAME says.

    Raises:
        UserError: as `read`, or a record is larger than LARGEST_RECORD.
        OSError: the zip cannot be written.
    """
    target = archive(folder)
    with _alone(folder):
        names = {*_packed(folder), *(path.name for path in paths)}
        contents = {name: read(folder / name) for name in sorted(names, key=_order)}
        with temporary(folder.parent) as new:
            _write(new, contents)
            sync(new)
            _verify(new, contents, target)
            os.replace(new, target)
        sync_folder(folder.parent)
        for path in sorted(paths, key=lambda path: _order(path.name), reverse=True):  # no scores stay without their record
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # weights, or a run that is not finished, stay in it
            folder.rmdir()


def unpack(folder: Path) -> None:
    """Move everything in the zip of a cell back to its folder. Killed at any moment, nothing is lost.

    Raises:
        UserError: as `read`.
        OSError: a file cannot be written.
    """
    with _alone(folder):
        contents = {folder / name: read(folder / name) for name in sorted(_packed(folder), key=_order)}
        folder.mkdir(exist_ok=True)
        for path, content in contents.items():
            if not path.exists():
                with temporary(folder) as new:
                    new.write_bytes(content)
                    sync(new)
                    os.replace(new, path)
        sync_folder(folder)
        if any(path.read_bytes() != content for path, content in contents.items()):
            raise OSError(errno.EIO, f"what was written is not what {archive(folder).name} holds")
        archive(folder).unlink(missing_ok=True)


def _packed(folder: Path) -> list[str]:
    """Names of the files in the zip of a cell; none without a zip."""
    with _opened(archive(folder)) as file:
        return [] if file is None else file.namelist()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | None]:
    """The zip of a cell, which holds nothing but files of runs; None where there is none."""
    try:
        with zipfile.ZipFile(path) as file:
            if fault := _fault(file.infolist()):
                raise _unusable(path, fault)
            yield file
    except FileNotFoundError:
        yield None
    except (*DAMAGED, RuntimeError, OverflowError) as error:
        raise _unusable(path, f"cannot be read ({' '.join(str(error).split())})") from None


def _fault(members: Collection[zipfile.ZipInfo]) -> str | None:
    """Why a zip is not that of a cell."""
    if len({member.filename for member in members}) < len(members):
        return "holds two files of one name"
    for member in members:
        if NAME.fullmatch(member.filename) is None:
            return f"holds {member.filename!r}, which is no record and no scores of a run"
        if member.flag_bits & 1:
            return f"holds {member.filename}, which is encrypted"
        record = member.filename.endswith(".json")
        if member.compress_type not in (zipfile.ZIP_STORED, *((zipfile.ZIP_DEFLATED,) if record else ())):
            return f"holds {member.filename}, which is not {'deflated' if record else 'stored'}"
        if record and member.file_size > LARGEST_RECORD:
            return f"holds {member.filename} of {member.file_size} bytes, more than a record has ({LARGEST_RECORD} at most)"
    return None


def _unusable(path: Path, fault: str) -> UserError:
    return UserError(f"packed cell {path} {fault}; take it from where it came from again, or delete it and run the cell again")


def _order(name: str) -> tuple[int, str]:
    """By seed; a record before its scores."""
    found = NAME.fullmatch(name)
    assert found is not None, name
    return int(found[1]), found[2]


def _write(path: Path, contents: Mapping[str, bytes]) -> None:
    """The same contents give the same bytes, whenever and wherever they lay."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            member = zipfile.ZipInfo(name)  # of 1980: it has no time
            member.create_system, member.external_attr = 3, 0o100644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            file.writestr(member, content, compresslevel=9)


def _verify(new: Path, contents: Mapping[str, bytes], target: Path) -> None:
    with zipfile.ZipFile(new) as file:
        if fault := _fault(file.infolist()):
            raise UserError(f"{target} cannot be made: it {fault.replace('holds', 'would hold', 1)}")
        if {name: file.read(name) for name in file.namelist()} != contents:
            raise OSError(errno.EIO, f"what was written for {target.name} is not what was packed")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else packs or unpacks a cell beside `folder` meanwhile."""
    handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a file system that locks no folders, such as NFS, does without
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
