"""The one exception that users are meant to see, and others in one line."""

import difflib
import traceback
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Wrong input: a file, a column, a key, a device, a name. The command line prints it as one line and exits with 2."""


DAMAGED = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile)
"""What is raised for a compressed file, an archive or a file of arrays whose bytes are not what they should be."""


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
