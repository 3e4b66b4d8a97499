"""Rankbench: generative rankers against classical ones, on identical examples.

What is meant to be used from Python is here (`register`, `run`, `load_runs`, `load_board`, `board`, `compare`, `UserError`);
bench/api.py says how. The five top-level folders are linked in as subpackages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench.api import board, compare, load_board, load_runs, register, run
    from .bench.errors import UserError

__version__ = "0.1.0"

__all__ = ["UserError", "__version__", "board", "compare", "load_board", "load_runs", "register", "run"]


def __getattr__(name: str) -> Any:
    """The functions, imported when the first is used: they bring torch, and the command line answers without it."""
    if name == "UserError":
        from .bench.errors import UserError

        return UserError
    if name in __all__:
        from .bench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
