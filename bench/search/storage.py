"""Where Optuna keeps studies so that many processes share them: a journal file, or any database that Optuna knows."""

from __future__ import annotations

import fcntl
import os
import time
import warnings
from pathlib import Path

import optuna
import sqlalchemy.exc
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ..errors import UserError, why
from ..urls import lacks_driver, shown

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

TRIES = 3
"""Of opening a database: two programs that create the same tables at once make one of them fail once."""


def is_url(storage: str) -> bool:
    return "://" in storage


def open_storage(storage: str) -> BaseStorage:
    """The storage at a URL, or in the journal file at a path; created if it is not there.

    Raises:
        UserError: it cannot be opened; the line says what to do.
    """
    return _database(storage) if is_url(storage) else _journal(Path(storage).absolute())


def _journal(path: Path) -> BaseStorage:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))
    except OSError as error:
        raise UserError(f"journal {path} cannot be used ({why(error)}); choose another --storage") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a whole journal of Optuna ({error}); choose another --storage or delete it") from None


class _Lock(JournalFileOpenLock):
    """Held through the kernel, which frees it when its holder is killed: Optuna's own makes the others wait 30 s then."""

    def __init__(self, journal: Path) -> None:
        self._journal, self._handle = journal, -1

    def acquire(self) -> bool:
        # Not the name that Optuna's own lock has, for which other programs that write here would wait.
        handle = os.open(f"{self._journal}.flock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._drop_half_line()
        except BaseException:  # Optuna releases nothing then: all workers would wait, this process for itself
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        os.close(self._handle)

    def _drop_half_line(self) -> None:
        """What a writer left that was killed in mid-line would spoil the next line, and with it the whole journal."""
        with self._journal.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            start = max(0, end - 2**20)
            file.seek(start)
            tail = file.read()
            if tail and not tail.endswith(b"\n"):
                file.truncate(start + tail.rfind(b"\n") + 1)


def _database(url: str) -> BaseStorage:
    for attempt in range(1, TRIES + 1):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except ImportError as error:
            raise lacks_driver("--storage", url, error) from None
        except (sqlalchemy.exc.ArgumentError, ValueError):
            raise UserError(
                f"--storage {shown(url)} is not the URL of a database; for PostgreSQL write postgresql+psycopg://user@host/database"
            ) from None
        except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
            if attempt == TRIES:
                reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
                raise UserError(f"--storage {shown(url)} cannot be opened ({shown(reason)})") from None
            time.sleep(0.5)
    raise AssertionError("the last attempt returns or raises")
