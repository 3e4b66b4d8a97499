"""AdamW over all parameters of a model; tables with very many rows are stepped row by row, with the same numbers. Or, if
train.table_optimizer says so, row-wise Adagrad over the tables of fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...kernels.dispatch import choose
from ...kernels.layers.embedding import Table
from ...kernels.row_adam import RowAdamW
from ..config import TrainConfig
from ..recorded import Recorder
from .rowwise_adagrad import RowWiseAdagrad
from .team import ALONE, Team

MANY_ROWS = 50_000
"""From so many on, visiting the rows that a batch reads costs less than a pass over the table."""


class Optimizer:
    """Gradients are clipped by their common norm, then stepped."""

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        device: torch.device,
        team: Team = ALONE,
        parted: bool = False,
        record: Recorder | None = None,
    ) -> None:
        """
        Args:
            parted: parameters are parts of themselves (FSDP), which know no rows.
            record: how clipping and AdamW's step are recorded, for as long as the same gradients lie where they lay. None: they
                are done as they come, as they must be beside loss scaling; so they are beside tables that are stepped otherwise.
        """
        self.clip_norm, self.record = config.clip_norm, record
        self.replays: dict[tuple[int, ...], Callable[[], None] | None] = {}
        """What moves all weights by the gradients at these places; None for places that were met once."""
        tables = [module for module in model.modules() if isinstance(module, Table) and module.elsewhere is None]
        adagrad = config.table_optimizer == "rowwise-adagrad"
        large = [table for table in tables if table.by_rows and table.num_embeddings >= MANY_ROWS and not adagrad]
        # Processes that train together read different rows, and sum up gradients of whole tables.
        by_rows = bool(large) and team.size == 1 and not parted and choose("table_update", device, torch.float32).name == "cpu"
        self.rows = RowAdamW(large, config.lr, config.embedding_decay, ema=config.ema) if by_rows else None
        by_adagrad = [cast(nn.Parameter, table.weight) for table in tables if adagrad]
        apart = {id(parameter) for parameter in (*by_adagrad, *(self.rows.parameters if self.rows is not None else ()))}
        groups = list(groups_of(model, config, apart))
        self.lr = config.lr
        # A rate that a recording reads lies on the device, and so does the number of steps that were taken.
        self.rate = torch.tensor(config.lr, device=device) if record is not None and not adagrad and self.rows is None else None
        self.dense = torch.optim.AdamW(
            groups,
            lr=config.lr if self.rate is None else self.rate,
            fused=device.type in ("cpu", "cuda"),
            capturable=self._on_device,
        )
        # The first step is done as it comes, and torch would warn of that.
        self.dense._warned_capturable_if_run_uncaptured = True
        self.tables = RowWiseAdagrad(by_adagrad, config.lr, config.embedding_decay) if by_adagrad else None
        self.whole: tuple[torch.optim.Optimizer, ...] = (self.dense,) if self.tables is None else (self.dense, self.tables)
        """Those that step whole parameters."""

    @property
    def _on_device(self) -> bool:
        """The rate and the numbers of steps lie on an accelerator, for recordings."""
        return self.rate is not None and self.rate.device.type != "cpu"

    @property
    def row_parameters(self) -> list[nn.Parameter]:
        """Tables that are stepped row by row."""
        return self.rows.parameters if self.rows is not None else []

    def row_averages(self) -> list[Tensor]:
        """Moving averages of `row_parameters`, after `settle`."""
        return self.rows.averages() if self.rows is not None else []

    def zero_grad(self) -> None:
        for one in self.whole:
            one.zero_grad(set_to_none=True)
        if self.rows is not None:
            self.rows.zero_grad()

    def step(self, scaler: torch.amp.GradScaler | None, share: float = 1.0) -> None:
        """Clip and step. `scaler` has scaled the loss; it leaves out a step whose gradients overflowed. `share`: of the rate."""
        if self.record is not None and self.rate is not None:
            assert scaler is None, "a step that may be left out is not recorded"
            self.rate.fill_(share * self.lr)
            return self._replayed(self.record)
        groups = [group for one in self.whole for group in one.param_groups]
        for group in groups:
            group["lr"] = share * self.lr
        if scaler is not None:
            for one in self.whole:
                scaler.unscale_(one)
        gradients = [parameter.grad for group in groups for parameter in group["params"]]
        present = [gradient for gradient in gradients if gradient is not None]
        if self.rows is not None:
            present += self.rows.gather()
        if self.clip_norm > 0:
            clip(present, self.clip_norm)
        if self.rows is not None:
            self.rows.step(share)
        for one in self.whole:
            one.step() if scaler is None else scaler.step(one)
        if scaler is not None:
            scaler.update()

    def _replayed(self, record: Recorder) -> None:
        """Clip and step, recorded when the same gradients come again: AdamW's state then lies where it will lie."""
        parameters = [parameter for group in self.dense.param_groups for parameter in group["params"]]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        places = tuple(gradient.data_ptr() for gradient in gradients)

        def work() -> None:
            if self.clip_norm > 0:
                clip(gradients, self.clip_norm)
            self.dense.step()

        if places not in self.replays:
            self.replays[places] = None
            return work()
        replay = self.replays[places]
        if replay is None:
            replay = self.replays[places] = record(work, tried=True)
        replay()

    def settle(self) -> None:
        """Make the weights what they are after the last step; between steps some rows may be behind."""
        if self.rows is not None:
            self.rows.settle()

    def release(self) -> None:
        """Leave the model as it was before: weights alone."""
        self.replays.clear()
        if self.rows is not None:
            self.rows.release()

    def state_dict(self) -> dict[str, Any]:
        rows, tables = (one.state_dict() if one is not None else None for one in (self.rows, self.tables))
        return {"dense": self.dense.state_dict(), "rows": rows, "tables": tables}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.dense.load_state_dict(state["dense"])
        self.replays.clear()
        for group in self.dense.param_groups:  # of whoever saved them, which may have recorded steps or not
            group["lr"], group["capturable"] = self.lr if self.rate is None else self.rate, self._on_device
        for parameter, own in self.dense.state.items():
            own["step"] = own["step"].to(parameter.device if self._on_device or self.dense.defaults["fused"] else "cpu")
        if self.tables is not None:
            self.tables.load_state_dict(state["tables"])
        if self.rows is not None:
            self.rows.load_state_dict(state["rows"])


def clip(gradients: list[Tensor], norm: float) -> None:
    """Scale gradients in place so that their common norm is at most `norm`, as torch.nn.utils.clip_grad_norm_ does."""
    if not gradients:
        return
    total = nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, torch.clamp(norm / (total + 1e-6), max=1.0))  # pyright: ignore[reportPrivateImportUsage]


def groups_of(model: nn.Module, config: TrainConfig, apart: set[int]) -> Iterator[dict[str, Any]]:
    """Embedding tables, matrices and the rest: biases and norms are never decayed. Parameters `apart` are left out."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if id(parameter) not in apart:
            decay = config.embedding_decay if id(parameter) in embeddings else config.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault(decay, []).append(parameter)
    for decay, parameters in groups.items():
        yield {"params": parameters, "weight_decay": decay}
