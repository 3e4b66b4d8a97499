"""What a machine with a card but without network needs beside torch: `python -m support.wheels` prints it for pip, a line each.

It is what is installed here and what that asks for in its turn; torch for the card, with Triton, is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

THERE = ("torch", "triton")
"""Comes with the card, in a build for it."""
ROOT, EXTRAS = "rankbench", ("test",)


def needed() -> dict[str, str]:
    """Package -> version, of everything that Rankbench and its tests import."""
    found: dict[str, str] = {}
    asked = [one for extra in ("", *EXTRAS) for one in _asked(ROOT, extra)]
    while asked:
        requirement = asked.pop()
        name = canonicalize_name(requirement.name)
        if name in found or name in THERE or name == ROOT:
            continue
        try:
            found[name] = distribution(name).version
        except PackageNotFoundError:  # for another system or interpreter
            continue
        asked += [one for extra in ("", *requirement.extras) for one in _asked(name, extra)]
    return dict(sorted(found.items()))


def _asked(name: str, extra: str) -> Iterator[Requirement]:
    environment = {**default_environment(), "extra": extra}
    for text in distribution(name).requires or []:
        one = Requirement(text)
        if one.marker is None or one.marker.evaluate(environment):
            yield one


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in needed().items()))
