"""What the verbs share that measure models on a data set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .measured import as_in_runs, writable
from .roots import data_roots

if TYPE_CHECKING:
    import torch

    from ..data.dataset import RankingData
    from ..records.store import Store


def on_data(args: argparse.Namespace) -> tuple[torch.device, Store, RankingData]:
    """What a verb needs that measures models on a data set: nothing is measured before all of it is known to be there."""
    roots = data_roots(args.data_root)
    from .. import device as devices
    from ..config import DataConfig
    from ..data.dataset import prepare

    as_in_runs(args.threads)
    device, store = devices.resolve(args.device), writable(args)
    return device, store, prepare(DataConfig(args.dataset), roots)
