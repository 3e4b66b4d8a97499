"""Large embedding tables whose rows lie in the processes of torchrun, a block in each, by TorchRec (an extra; see
docs/howto/large-models.md).

A process sends the ids that its batch reads to where their rows lie, and gets the rows; gradients go the same way back and are
applied there, row by row, by FBGEMM's exact row-wise Adagrad in the backward pass. So nothing as long as a table is held, summed
up or moved anywhere, where copies sum up gradients of whole tables and FSDP gathers whole tables at each step.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed, nn

from ...kernels.layers.embedding import Table
from ..config import TrainConfig
from ..errors import UserError, in_one_line
from ..training.optimizer import MANY_ROWS
from ..training.team import Team

if TYPE_CHECKING:
    from torchrec.distributed.embedding import ShardedEmbeddingCollection  # pyright: ignore[reportMissingImports]


def scatter(model: nn.Module, config: TrainConfig, device: torch.device, team: Team) -> None:
    """Part the rows of `model`'s large tables, at least of the largest, among the processes. The tables are no parameters of the
    model any more: neither its optimiser nor what sums gradients up sees them, and clipping does not reach them.

    Args:
        model: whose tables are equal in all processes.

    Raises:
        UserError: TorchRec cannot be used here, or the settings ask for what it does not do.
    """
    if config.table_optimizer != "rowwise-adagrad" or config.embedding_decay:
        raise UserError(
            "scattered rows are trained by row-wise Adagrad without decay: --set train.table_optimizer=rowwise-adagrad, and "
            "leave train.embedding_decay at 0"
        )
    if config.precision == "fp16":
        raise UserError("scattered rows step in the backward pass, where the scaled loss of fp16 is not known: use bf16 or fp32")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"FBGEMM has no tables for {device.type}: scatter rows on a CPU or an NVIDIA GPU")
    tables = [module for module in model.modules() if isinstance(module, Table)]
    large = min(MANY_ROWS, max(table.num_embeddings for table in tables))
    chosen = [table for table in tables if table.num_embeddings >= large]
    if device.type == "cuda" and (odd := {table.embedding_dim for table in chosen if table.embedding_dim % 4}):
        raise UserError(f"on a GPU, FBGEMM's rows have a multiple of four numbers, not {min(odd)}: change embedding_dim")
    for table in chosen:
        _scatter_table(table, config, device, team)


def _scatter_table(table: Table, config: TrainConfig, device: torch.device, team: Team) -> None:
    rows = _by_rows(table, config, device, team)
    (own,) = rows.parameters()
    # Blocks are as long as that of the first process; the last ones may be shorter, or empty.
    block = -(-table.num_embeddings // team.size)
    with torch.no_grad():
        own.copy_(table.weight[team.rank * block : team.rank * block + len(own)])
    table.register_parameter("weight", None)
    table.elsewhere = _asking(rows)


def _asking(rows: ShardedEmbeddingCollection) -> Callable[[Tensor], Tensor]:
    """A function, so that no module of the model holds the rows: neither copies nor FSDP may have them."""
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor  # pyright: ignore[reportMissingImports]

    def ask(ids: Tensor) -> Tensor:
        one_each = torch.ones_like(ids)
        return rows(KeyedJaggedTensor.from_lengths_sync(["id"], ids, one_each)).wait()["id"].values()

    return ask


def _by_rows(table: Table, config: TrainConfig, device: torch.device, team: Team) -> ShardedEmbeddingCollection:
    """The table's rows in blocks, yet without its numbers.

    Raises:
        UserError: TorchRec is not installed, or was built for another version of torch.
    """
    try:
        from fbgemm_gpu.split_embedding_configs import EmbOptimType  # pyright: ignore[reportMissingImports]
        from torchrec.distributed.embedding import EmbeddingCollectionSharder  # pyright: ignore[reportMissingImports]
        from torchrec.distributed.sharding_plan import (  # pyright: ignore[reportMissingImports]
            construct_module_sharding_plan,
            row_wise,
        )
        from torchrec.distributed.types import ShardingEnv  # pyright: ignore[reportMissingImports]
        from torchrec.modules.embedding_configs import EmbeddingConfig  # pyright: ignore[reportMissingImports]
        from torchrec.modules.embedding_modules import EmbeddingCollection  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        raise UserError(
            f"--sharding rows needs TorchRec and FBGEMM as they are built for torch {torch.__version__}, of these extra packages "
            f"'rankbench[torchrec]'; docs/howto/large-models.md says which versions belong together: {in_one_line(error)}"
        ) from None
    own = EmbeddingConfig(
        name="table", num_embeddings=table.num_embeddings, embedding_dim=table.embedding_dim, feature_names=["id"]
    )
    whole = EmbeddingCollection(tables=[own], device=torch.device("meta"))
    optimizer = {"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "learning_rate": config.lr, "eps": 1e-8}
    sharder = EmbeddingCollectionSharder(fused_params=optimizer)
    blocks, here = {"table": row_wise(compute_kernel="fused")}, int(os.environ.get("LOCAL_WORLD_SIZE", team.size))
    plan = construct_module_sharding_plan(whole, blocks, sharder, local_size=here, world_size=team.size, device_type=device.type)
    assert distributed.group.WORLD is not None, "processes have found each other"
    return sharder.shard(whole, plan, ShardingEnv.from_process_group(distributed.group.WORLD), device)
