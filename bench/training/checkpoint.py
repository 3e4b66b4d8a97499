"""Checkpoints from which a killed run goes on as if it had never stopped: weights, optimiser, random state, position, curve."""

from __future__ import annotations

import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` (tensors and plain values) so that `path` holds either the old checkpoint or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".checkpoint-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"checkpoint {path} cannot be written ({reason}); free some space or choose another --results") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any] | None:
    """The state in `path` with tensors on the CPU, None if there is none.

    Raises:
        UserError: the file is there but is not a whole checkpoint.
    """
    if not path.exists():
        return None
    try:
        # weights_only: nothing but tensors and plain values is ever unpickled.
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
        raise UserError(f"checkpoint {path} is corrupted; delete it, or start over with --no-resume") from None
