"""The one exception that users are meant to see."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Wrong input: a file, a column, a key, a device, a name. The command line prints it as one line and exits with 2."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Error for a name that does not exist: the nearest known one first, then all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")
