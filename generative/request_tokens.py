"""One segment a request: the user's fields, the events that the request sees, its candidates; HSTU's released ranking code.

    [field of the user] ... [event] [event] ... [candidate] [candidate] ...

Each token before the candidates sees all that stand before it; a candidate sees all tokens before the candidates, and itself. As
a segment belongs to one request, its tokens may be told how far from the end they stand and how long before the request they
were. Events and tokens of users are computed once for each request that sees them: data.supervision=dense saves nothing here
unless requests share their past.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec, SequenceBatch
from ..kernels.layers.embedding import FieldEmbeddings
from .config import SequenceConfig
from .tokens import CandidateTokens, InterleavedTokens, TokenLayout, TokenLinear, Tokens

LONGEST = 2048
"""Row of the last bucket of times, from 2048^2 minutes (8 years) on; the fields of the user stand there too."""


def minute_buckets(gap_ms: Tensor) -> Tensor:
    """int64 milliseconds -> floor(sqrt(minutes)), from 0 to LONGEST."""
    squares = torch.arange(1, LONGEST + 1, device=gap_ms.device).square()
    return torch.bucketize(gap_ms, 60_000 * squares, right=True)


class Grouped(NamedTuple):
    """The examples of a batch by request."""

    of_target: Tensor
    """int64 [n]: the request of each example, 0 .. R - 1."""
    example: Tensor
    """int64 [R]: one example of each."""
    rank: Tensor
    """int64 [n]: examples of the same request before each."""
    size: Tensor
    """int64 [R]"""


def by_request(batch: SequenceBatch) -> Grouped:
    """Examples are of one request if they are of one segment, see the same events and look back from the same moment."""
    target, count = batch.target, len(batch.target)
    segment = torch.searchsorted(batch.offsets, target, right=True)
    asked = torch.zeros_like(target) if batch.query_time is None else batch.query_time[target]
    keys = torch.stack([segment, batch.lo[target], batch.hi[target], asked], dim=1)
    found, of_target = torch.unique(keys, dim=0, return_inverse=True)
    size = torch.bincount(of_target, minlength=len(found))
    order = of_target.argsort(stable=True)
    first = size.cumsum(0) - size
    rank = torch.empty_like(target).index_copy_(0, order, torch.arange(count, device=target.device) - first[of_target[order]])
    return Grouped(of_target, order[first] if count else order, rank, size)


class RequestTokens(CandidateTokens):
    """In each request's segment the user's fields, then the events that it sees, then its candidates."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        users = config.users(spec)
        self.width = config.width
        self.user_names = tuple(field.name for field in users)
        self.user_embeddings = FieldEmbeddings(users, config.embedding_dim)
        self.user_tokens = nn.ModuleList(TokenLinear(config.embedding_dim, config) for _ in users)
        self.least, self.timed = config.context_min_events, config.time_embedding == "sqrt-minutes"
        self.places = len(users) + spec.history_length + 1

    def forward(self, batch: SequenceBatch) -> Tokens:
        items, target, device = self.items(batch), batch.target, batch.lo.device
        known = torch.cat([items, self.requests(batch)], dim=1)
        requests = by_request(batch)
        asking = target[requests.example]
        lo, hi, fields = batch.lo[asking], batch.hi[asking], len(self.user_names)
        # Event by event of each request, then token by token of its segment.
        past = hi - lo
        of_past = torch.repeat_interleave(torch.arange(len(past), device=device), past)
        back = past.cumsum(0)[of_past] - torch.arange(len(of_past), device=device)  # 1 for the latest
        event = hi[of_past] - back
        before = fields + past
        offsets = nn.functional.pad((before + requests.size).cumsum(0), (1, 0))
        begin, end = offsets[:-1], offsets[:-1] + before

        at_user = (begin.unsqueeze(1) + torch.arange(fields, device=device)).flatten()
        at_past, readout = end[of_past] - back, end[requests.of_target] + requests.rank
        at = torch.cat([at_user, at_past, readout])
        parts = [self.of_users(batch, asking, past), self.past_tokens(known, batch, event), self.asking_tokens(known, target)]
        request = torch.cat([torch.arange(len(past), device=device).repeat_interleave(fields), of_past, requests.of_target])
        order = torch.empty_like(at).index_copy_(0, at, torch.arange(len(at), device=device))
        in_order = lambda *values: torch.cat(values)[order]  # noqa: E731
        segment = request[order]
        visible_end = torch.minimum(torch.arange(len(at), device=device), end[segment])
        time = query_time = minutes = None
        if batch.time is not None and batch.query_time is not None:
            now = batch.query_time[asking]
            # A field of the user was there before the first event.
            earliest = torch.where(past > 0, batch.time[lo.clamp(max=len(batch.lo) - 1)], now)[request[: len(at_user)]]
            time = in_order(earliest, batch.time[event], batch.time[target])
            query_time = in_order(earliest, batch.time[event], batch.query_time[target])
            if self.timed:
                longest = torch.full_like(at_user, LONGEST)
                minutes = in_order(longest, minute_buckets(now[of_past] - batch.time[event]), torch.zeros_like(target))
        user_places = torch.arange(fields, device=device).repeat(len(past))
        return Tokens(
            x=torch.cat(parts).index_select(0, order),
            offsets=offsets,
            lo=begin[segment],
            hi=visible_end,
            position=visible_end - begin[segment],
            time=time,
            query_time=query_time,
            kind=in_order(torch.zeros_like(at_user), torch.ones_like(at_past), torch.zeros_like(target)),
            readout=readout,
            candidate=self.for_head(items, batch),
            clock=self.clock(batch),
            place=in_order(user_places, back + fields, torch.full_like(target, fields)),
            minutes=minutes,
        )

    def of_users(self, batch: SequenceBatch, asking: Tensor, past: Tensor) -> Tensor:
        """[R * fields, width]: the fields of the user of each request, one token each; `past` [R]: events that it sees."""
        if not self.user_names:
            return torch.zeros(0, self.width, device=asking.device)
        vectors = self.user_embeddings(batch.fields, self.user_names).index_select(0, asking)
        vectors = vectors * (past >= self.least).unsqueeze(1).unsqueeze(2)
        tokens = [layer(vectors[:, at]) for at, layer in enumerate(self.user_tokens)]
        return torch.stack(tokens, dim=1).flatten(0, 1)


def make_tokens(config: SequenceConfig, spec: DataSpec) -> TokenLayout:
    """The layout that a config names."""
    if config.layout == "request":
        return RequestTokens(config, spec)
    return (InterleavedTokens if config.layout == "interleaved" else CandidateTokens)(config, spec)
