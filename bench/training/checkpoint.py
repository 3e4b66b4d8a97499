"""Checkpoints from which a killed run goes on as if it had never stopped: weights, optimiser, random state, position, curve.

Which kernels ran is kept too: the process that goes on may need some of them no more, and the record names all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...kernels import dispatch
from ..atomic import sync, temporary_folder
from ..errors import UserError, why


@dataclass(frozen=True)
class Checkpoint:
    """Where the checkpoint of a cell lies, and whose it is: one of other settings or other data is never gone on from."""

    path: Path
    cell: str
    """Settings, data and seed, as hashes; the file itself holds it too."""

    def __str__(self) -> str:
        return str(self.path)

    @property
    def of_refit(self) -> Checkpoint:
        """Of the cell's second training, see fitting.py."""
        return Checkpoint(self.path.with_name(f"{self.path.stem}-refit{self.path.suffix}"), f"{self.cell} refit")

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` (tensors and plain values) so that the path holds either the old checkpoint or the new one, whole.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary_folder(self.path.parent) as folder:
                new = folder / self.path.name
                # By its path: Ctrl-C while torch writes to a file of Python's would be an error of the disk to it, or end all.
                torch.save({"cell": self.cell, "state": state, "kernels": dispatch.watched()}, new)
                sync(new)
                os.replace(new, self.path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            reason = why(error) if isinstance(error, OSError) else "no space is left on the device, or it fails"
            what = f"checkpoint {self} cannot be written ({reason})"
            raise UserError(f"{what}; free some space or choose another --results") from None

    def load(self) -> dict[str, Any] | None:
        """The state with tensors on the CPU, None if there is none.

        Raises:
            UserError: the file is there but is not a whole checkpoint, or is another cell's.
        """
        if not self.path.exists():
            return None
        try:
            # weights_only: nothing but tensors and plain values is ever unpickled.
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            cell, state = saved["cell"], saved["state"]
            ran = dict(saved.get("kernels", {}))  # checkpoints of earlier versions have none
        except MemoryError:
            raise
        except Exception:  # torch's reader goes through damaged bytes with the errors of whatever Python code it is in
            raise UserError(f"checkpoint {self} is corrupted; delete it, or start over with --no-resume") from None
        if cell != self.cell:
            raise UserError(
                f"checkpoint {self} was made with other settings or other data ({cell}, not {self.cell}); delete it, or start "
                "over with --no-resume"
            )
        dispatch.seen_before(ran)
        return state

    def remove(self) -> None:
        """Nothing goes on from it any more."""
        self.path.unlink(missing_ok=True)
