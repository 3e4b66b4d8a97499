"""Which versions of packages are installed."""

from __future__ import annotations

import importlib.metadata


def version(package: str) -> str | None:
    """As pip shows it; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
