"""From events to tokens: which token stands for what, what it sees, and where a candidate's score is read.

Layout `interleaved` (Zhai et al. 2024): an event is two tokens, the item and then what the user did with it. The score of
an example is read at its item token, which sees the tokens of its visible events and itself, never its own action token.
The action token carries its item too, so that seeing an interval (and itself) is enough even where events of one request
do not see each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import UNKNOWN, DataSpec, Field, SequenceBatch
from ..kernels.embedding import FieldEmbeddings


@dataclass(frozen=True)
class Tokens:
    """T packed tokens and what each of them sees."""

    x: Tensor
    """[T, width]"""
    offsets: Tensor
    """int64 [S + 1]"""
    lo: Tensor
    """int64 [T]: token t sees tokens lo[t]:hi[t] and itself."""
    hi: Tensor
    """int64 [T]"""
    position: Tensor
    """int64 [T]: tokens between the start of the segment and the end of what t sees, so that events which do not see each
    other (same request, candidates) stand at the same position, whatever their order."""
    time: Tensor | None
    """int64 [T], milliseconds, as a key; None without time information."""
    query_time: Tensor | None
    """int64 [T], milliseconds, from which t looks back."""
    readout: Tensor
    """int64 [n]: the token at which each example is scored."""


class InterleavedTokens(nn.Module):
    """Embeds a SequenceBatch as item and action tokens.

    An item token is a projection of all fields known at its request (user, item, context) side by side; an action token of
    the item fields and the outcome. The outcome is the sum of action and label vectors: the label is known even where the
    action was never seen in training.
    """

    TOKENS_PER_EVENT = 2

    def __init__(self, spec: DataSpec, embedding_dim: int, width: int) -> None:
        super().__init__()
        self.item_names = tuple(field.name for field in spec.item)
        self.request_names = self.item_names + tuple(field.name for field in (*spec.user, *spec.context))
        self.embeddings = FieldEmbeddings((*spec.item, *spec.user, *spec.context), embedding_dim)
        self.outcomes = FieldEmbeddings((Field("action", spec.action.size), Field("label", UNKNOWN + 3)), embedding_dim)
        self.item_token = nn.Linear(len(self.request_names) * embedding_dim, width)
        self.action_token = nn.Linear((len(self.item_names) + 1) * embedding_dim, width)

    def forward(self, batch: SequenceBatch) -> Tokens:
        vectors = self.embeddings(batch.fields, self.request_names)
        item_vectors = vectors[:, : len(self.item_names)]
        seen = batch.observed.nonzero().squeeze(1)
        label = batch.past_label[seen].long() + UNKNOWN + 1
        outcome = self.outcomes.lookup("action", batch.action[seen]) + self.outcomes.lookup("label", label)
        items = self.item_token(vectors.flatten(1))
        actions = self.action_token(torch.cat([item_vectors[seen].flatten(1), outcome], dim=1))

        # start[e] is the item token of event e; an observed event's action token follows it. start[E] = T.
        start = nn.functional.pad((1 + batch.observed.long()).cumsum(0), (1, 0))
        at_item, at_action = start[:-1], start[seen] + 1
        order = torch.empty(len(items) + len(actions), dtype=torch.long, device=items.device)
        order[torch.cat([at_item, at_action])] = torch.arange(len(order), device=items.device)
        event = torch.cat([torch.arange(len(items), device=items.device), seen])[order]

        offsets = start[batch.offsets]
        segment_start = torch.repeat_interleave(offsets[:-1], offsets[1:] - offsets[:-1], output_size=len(order))
        hi = start[batch.hi][event]
        is_action = (order >= len(items)).long()
        return Tokens(
            x=torch.cat([items, actions]).index_select(0, order),
            offsets=offsets,
            lo=start[batch.lo][event],
            hi=hi,
            position=hi - segment_start + is_action,
            time=None if batch.time is None else batch.time[event],
            query_time=None if batch.query_time is None else batch.query_time[event],
            readout=at_item[batch.target],
        )
