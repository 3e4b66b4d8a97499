"""The converted log of a data set, by its name: found in the cache, or made there on first use."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from pathlib import Path

import pandas as pd

from ..atomic import write_text
from ..errors import UserError, why
from . import sources
from .eventlog import EventLog, forget_unfinished, open_log, write_log
from .sources.schema import DataRoots, RawLog
from .steps.apply import apply_steps
from .steps.declared import in_words
from .visibility import requests_of


def open_dataset(name: str, roots: DataRoots) -> EventLog:
    """The converted log of a registered data set or a YAML file; converts it on first use.

    A log is found again by the names, sizes and times of the source files and by the code that converts them.

    Raises:
        UserError: whatever is wrong with the name, the files or the cache.
    """
    if (folder := _pointed(_pointer(name, roots))) is not None:
        return open_log(folder)
    raw = sources.load(name, roots)
    try:
        whole = dataclasses.replace(raw, steps=(), variant_of="", name=(raw.steps and raw.variant_of) or raw.name)
        log = _converted(whole, roots)
        if raw.steps:
            log = _stepped(log, raw, roots)
    except OSError as error:
        raise UserError(
            f"the cache folder {roots.cache} cannot be written ({why(error)}): set RANKBENCH_CACHE to one that can"
        ) from None
    # A cache of somebody else's that may only be read serves as well: all of this saves time the next time.
    with contextlib.suppress(OSError, UserError):
        for converted in {whole.name, raw.name}:
            forget_unfinished(log.folder.parent, converted)
        # The loader may have fetched files: the fingerprint is taken afresh.
        write_text(_pointer(name, roots), log.folder.name)
    return log


def _converted(raw: RawLog, roots: DataRoots) -> EventLog:
    """The log of a raw data set, every row of it."""
    # All that the loader says beside the tables themselves, which follow from the files.
    said = dataclasses.replace(raw, events=pd.DataFrame(), users=None, items=None, where="")
    folder = _log_folder(raw.name, repr(said), roots)
    return open_log(folder) if folder.is_dir() else write_log(raw, folder)


def _stepped(log: EventLog, raw: RawLog, roots: DataRoots) -> EventLog:
    """The log after the declared steps of a raw data set, under its name."""
    folder = _log_folder(raw.name, f"{log.folder.name} {[in_words(step) for step in raw.steps]}", roots)
    if folder.is_dir():
        return open_log(folder)
    return apply_steps(log, raw.steps, lambda one: requests_of(one, one.defaults.request_window), folder, raw.name)


def _log_folder(name: str, said: str, roots: DataRoots) -> Path:
    identity = f"{_code_digest()} {said}"
    return roots.cache / "logs" / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _pointer(name: str, roots: DataRoots) -> Path:
    """The file that names the folder of a data set's log."""
    return roots.cache / "logs" / f"{Path(name).stem[:40]}-{_fingerprint(name, roots)}.pointer"


def _pointed(pointer: Path) -> Path | None:
    """The folder beside the pointer that it names; None without one, and for one that is damaged: the log is found without it."""
    with contextlib.suppress(OSError, ValueError):
        folder = pointer.with_name(pointer.read_text(encoding="utf-8"))
        return folder if (folder / "meta.json").is_file() else None
    return None


def _code_digest() -> str:
    """Of everything that turns files into a log: a changed converter never reads a log of the old one."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _fingerprint(name: str, roots: DataRoots) -> str:
    files = _files_behind(name, roots)
    if sources.is_description(name):
        name = str(Path(name).absolute())
    stats = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\0".join((name, _code_digest(), *stats)).encode()).hexdigest()[:16]


def _files_behind(name: str, roots: DataRoots) -> list[Path]:
    """The files that a data set is made of, as far as they are there."""
    if sources.is_description(name):
        files, source = sources.files_behind(name), sources.source_of(name)
        return files if source is None else [*files, *_files_behind(source, roots)]
    homes = [home for home in (roots.root, roots.cache / "downloads", roots.cache) if home is not None and home.is_dir()]
    # A folder may carry a suffix, as a sample's does.
    places = sources.DATASETS[name].places if name in sources.DATASETS else (name,)
    folders = [folder for home in homes for folder in sorted(home.iterdir()) if folder.name.lower().startswith(places)]
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
