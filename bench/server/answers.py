"""A file with a line for each answered request, written before the answer goes out: what a client was told is in it, even if the
process is killed the moment after."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import UserError


class AnswerLog:
    """JSON lines, appended; or nothing at all, if there is no path."""

    def __init__(self, path: Path | None) -> None:
        """
        Raises:
            UserError: the file cannot be written.
        """
        self._path, self._file, self._torn = path, -1, False
        if path is None:
            return
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            size = os.fstat(self._file).st_size
            self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        except OSError as error:
            raise UserError(f"--log {path} cannot be written ({error.strerror or error}); choose another place") from None

    def write(self, **facts: Any) -> None:
        """One line in one call to the system.

        Raises:
            OSError: it could not be written whole.
        """
        if self._file < 0:
            return
        # Behind a line that had no space to its end, a line begins on its own; the end of the torn one may find no space either.
        line = b"\n" * self._torn + (json.dumps(facts) + "\n").encode()
        if (written := os.write(self._file, line)) != len(line):
            self._torn = line[written - 1 : written] != b"\n" if written else self._torn
            raise OSError(f"{self._path}: no space for a whole line")
        self._torn = False

    def close(self) -> None:
        """Force what was written to the disk."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1
