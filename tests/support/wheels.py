"""What a machine with a card but without network needs beside torch: `python -m support.wheels 3.12` prints it for pip, a line
each; 3.12 is the version of Python there.

It is what is installed here and what that asks for in its turn; torch for the card, with Triton, is there already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

THERE = ("torch", "triton")
"""Comes with the card, in a build for it."""
ROOT, EXTRAS = "rankbench", ("test",)


def needed(python: str) -> dict[str, str]:
    """Package -> version, of everything that Rankbench and its tests import there.

    Raises:
        PackageNotFoundError: it is needed there and not installed here, so that no version of it was ever tried.
    """
    found: dict[str, str] = {}
    visited: set[tuple[str, str]] = set()
    asked = [(ROOT, extra) for extra in ("", *EXTRAS)]
    while asked:
        name, extra = asked.pop()
        if (name, extra) in visited or name in THERE:
            continue
        visited.add((name, extra))
        if name != ROOT:
            found[name] = distribution(name).version
        for one in _asked(name, extra, python):
            asked += [(canonicalize_name(one.name), more) for more in ("", *one.extras)]
    return dict(sorted(found.items()))


def _asked(name: str, extra: str, python: str) -> Iterator[Requirement]:
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0", "extra": extra}
    for text in distribution(name).requires or []:
        one = Requirement(text)
        if one.marker is None or one.marker.evaluate(environment):
            yield one


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in needed(sys.argv[1]).items()))
