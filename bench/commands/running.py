"""How run and study let their cells run, by the options that both have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .following import followed
from .limits import limits

if TYPE_CHECKING:
    from ..data.sources.schema import DataRoots
    from ..records.store import Store
    from ..runs.schedule import Options


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
