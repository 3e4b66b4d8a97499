"""The one exception that users are meant to see, and others in one line."""

import difflib
import errno
import os
import re
import traceback
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Wrong input: a file, a column, a key, a device, a name. The command line prints it as one line and exits with 2."""


DAMAGED = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile)
"""What is raised for a compressed file, an archive or a file of arrays whose bytes are not what they should be."""


MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
}
"""Errors of the system that are no fault of the program."""


def why(error: OSError) -> str:
    """The system's reason. NumPy keeps it back where a write comes short, which is what a full disk makes of it."""
    if error.strerror:
        return error.strerror
    return os.strerror(errno.ENOSPC) if re.search(r"requested and \d+ written", str(error)) else str(error)


def of_machine(error: BaseException) -> UserError | None:
    """What the machine lacks, in words that say what to do: space, rights, memory. None for an error of any other kind."""
    said = " ".join(str(error).split())[:200]
    torch = isinstance(error, RuntimeError) and ("allocate memory" in said or "not enough memory" in said)
    if isinstance(error, MemoryError) or torch or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return UserError(f"memory ran out ({said or 'the system gives no more'}); end other programs, or use fewer --jobs")
    if isinstance(error, OSError) and (error.errno in MACHINE or why(error) == os.strerror(errno.ENOSPC)):
        where = error.filename if isinstance(error.filename, str) else "a file"
        return UserError(f"{where} cannot be used ({why(error)}); free some space, or give the rights that are missing")
    return None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Error for a name that does not exist: the nearest known one first, then all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")


def in_one_line(error: Exception) -> str:
    """Type, message and place of an error that nobody expected."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    message = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {message} ({Path(frame.filename).name}:{frame.lineno})"
