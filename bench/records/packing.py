"""Which cells of a store are finished, so that their files can be packed; see run_files.py for what that does to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import run_files
from .schema import OtherVersion
from .store import Store, unwritable


@dataclass(frozen=True)
class Packable:
    """A cell with loose files."""

    folder: Path
    files: tuple[Path, ...]
    """Records and scores to be packed; none if the cell stays as it is."""
    unfinished: str
    """Why it stays as it is; empty otherwise."""


def loose(store: Store) -> list[Packable]:
    """The cells with loose records. A cell is packed as soon as each of its records is of a finished run.

    Raises:
        UserError: as Store.records.
    """
    found = []
    for folder in store.cells():
        # Records in the zip are read too: what is broken in one is said before anything is moved.
        faults = {path: _unfinished(store, path) for path in run_files.records(folder)}
        own = [path for path in faults if path.exists()]
        unfinished = next((f"{path.name} {faults[path]}" for path in own if faults[path]), "")
        files = [file for path in own for file in (path, path.with_suffix(".scores.npz")) if file.exists()]
        if own:
            found.append(Packable(folder, () if unfinished else tuple(files), unfinished))
    return found


def _unfinished(store: Store, path: Path) -> str:
    if run_files.NAME.fullmatch(path.name) is None:
        return "is no record of a run"
    try:
        record = store.load(path)
    except OtherVersion:
        return "is of another schema version"
    if record.status != "ok":
        return "is of a run that failed"
    return "" if store.has_scores(record.identity) else "has no scores beside it"


def pack(cell: Packable) -> None:
    """Move its files into its zip.

    Raises:
        UserError: they cannot be packed, or the disk is full; nothing is lost.
    """
    try:
        run_files.pack(cell.folder, cell.files)
    except OSError as error:
        raise unwritable(run_files.archive(cell.folder), error) from None


def packed(store: Store) -> list[Path]:
    """The folders of the cells that have a zip."""
    return [folder for folder in store.cells() if run_files.archive(folder).exists()]


def unpack(folder: Path) -> None:
    """Move everything in the zip of a cell back to its folder.

    Raises:
        UserError: the zip is broken or holds other files than the folder, or the disk is full; nothing is lost.
    """
    try:
        run_files.unpack(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
