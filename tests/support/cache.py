"""A cache of a test's own, in which the kernels that are compiled already are found: compiling them takes half a minute."""

from __future__ import annotations

from pathlib import Path

from rankbench.kernels import native

KERNELS = native._cache()
"""Where this process has them before any test names another cache. A hash of the source finds them: nobody gets wrong ones."""


def own_cache(folder: Path) -> Path:
    """`folder`/cache, for the environment variable RANKBENCH_CACHE."""
    kernels = folder / "cache" / "kernels"
    if not kernels.is_symlink():
        KERNELS.mkdir(parents=True, exist_ok=True)
        kernels.parent.mkdir(parents=True, exist_ok=True)
        kernels.symlink_to(KERNELS.absolute())
    return kernels.parent
