"""A model of your own beside two of the package, on the table in own_table/, without a change of the package.

python examples/own_model.py

or, from the shell: rankbench run --models lr,din,examples/own_model.py --dataset examples/own_table/clicks.yaml
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import rankbench
from rankbench.bench.contract import (
    SHARED_SPACE,
    DataSpec,
    IdentityConfig,
    ModelInfo,
    PointwiseBatch,
    Ranker,
    Size,
)
from rankbench.kernels.layers.embedding import FieldEmbeddings

TABLE = Path(__file__).parent / "own_table" / "clicks.yaml"
RESULTS = Path("results/local/own-model")


@dataclass(frozen=True)
class Config(IdentityConfig):
    """Its settings; `--set liked-items.embedding_dim=32` changes one."""

    embedding_dim: Size = 16


class LikedItems(Ranker):
    """Logit = bias + a weight for each field of the example + <candidate, mean of the visible past items that were liked>."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        fields = (*spec.user_fields(config.user_id), *spec.item, *spec.context)
        self.names = tuple(field.name for field in fields)
        self.weights = FieldEmbeddings(fields, dim=1)
        self.items = FieldEmbeddings(spec.item[:1], dim=config.embedding_dim)
        self.bias = nn.Parameter(torch.logit(torch.tensor(spec.positive_rate)))

    def forward(self, batch: PointwiseBatch) -> Tensor:
        known = self.weights(batch.fields, self.names).sum(dim=(1, 2))
        candidate = self.items.lookup("item", batch.fields["item"])
        return self.bias + known + (candidate * self.liked(batch)).sum(dim=1)

    def liked(self, batch: PointwiseBatch) -> Tensor:
        """[n, embedding_dim]; zeros where nothing was liked."""
        past, length = batch.history, batch.history.offsets.diff()
        row = torch.repeat_interleave(torch.arange(len(batch), device=length.device), length)
        vectors = self.items.lookup("item", past.fields["item"]) * past.label.unsqueeze(1)
        total = vectors.new_zeros(len(batch), vectors.shape[1]).index_add(0, row, vectors)
        count = past.label.new_zeros(len(batch)).index_add(0, row, past.label)
        return total / count.clamp(min=1).unsqueeze(1)


INFO = ModelInfo(
    name="liked-items",
    family="classical",
    view="pointwise",
    config=Config,
    build=LikedItems,
    summary="weights of all fields, and the candidate's product with the mean of the items that were liked",
    paper="none",
    code="own",
    space={name: SHARED_SPACE[name] for name in ("train.lr", "train.embedding_decay", "embedding_dim", "user_id")},
)


def main() -> None:
    """Train what is missing, then print the board."""
    name = rankbench.register(__file__)
    rankbench.run(["lr", "din", name], TABLE, seeds=2, settings=["train.epochs=3"], results=RESULTS, device="cpu")
    for row in rankbench.board(RESULTS, TABLE).rows:
        auc = row.quality["auc"]
        print(f"{row.label:12} AUC {auc.point:.4f} [{auc.low:.4f}, {auc.high:.4f}]")


if __name__ == "__main__":
    main()
