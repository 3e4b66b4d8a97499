"""How run and study let their cells run, by the options that both have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .following import followed
from .limits import LIMITS, limits
from .options import refuse_beside

if TYPE_CHECKING:
    from ..data.sources.schema import DataRoots
    from ..records.store import Store
    from ..runs.schedule import Options
    from ..workers.shared import Shared


def run_options(args: argparse.Namespace, store: Store, roots: DataRoots, device: str, **more: Any) -> Options:
    """What `options.add_grid` asked for.

    Args:
        more: what no option says, see `Options`.

    Raises:
        UserError: --kernel names what does not exist.
    """
    from .. import implementations
    from ..runs.schedule import Options

    kernels = implementations.parse(args.kernel)
    given = {"resume": args.resume, "quiet": args.quiet, "jobs": args.jobs, "threads": args.threads, "kernels": kernels}
    given |= {"followed": followed(args), "limits": limits(args)}
    return Options(store, roots, device=device, **given, **more)


def shared_with(args: argparse.Namespace, take_part: bool = True) -> Shared | None:
    """Who carries out the cells: this command and the workers of its --storage; None: this command alone.

    Args:
        take_part: else the cells are left to the workers.

    Raises:
        UserError: limits were asked for too.
    """
    if args.storage is None:
        return None
    refuse_beside(args, "--storage, whose workers come and go by themselves,", LIMITS)
    from ..workers.shared import Shared

    return Shared(args.storage, take_part)
