"""From events to tokens: which token stands for what, what it sees, and where a candidate's score is read.

- `interleaved` (Zhai et al. 2024): an event is two tokens, the item and then what the user did with it. The score of an
  example is read at its item token, which sees the tokens of its visible events and itself, never its own action token. The
  action token carries its item too, so that seeing an interval (and itself) is enough even where events of one request do not
  see each other.
- `candidate` (GenRank, MTGR): an event is one token that knows item and action; an example to score is a token of its own,
  with a mask in place of the action. It sees the tokens of its visible events and itself; nothing sees it.
- `late`: as `candidate`, but the token to score knows the request and not the item: one state for all candidates.
- `request` (HSTU's released ranking code): as `candidate`, with a segment for each request; see request_tokens.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import UNKNOWN, DataSpec, Field, SequenceBatch
from ..kernels.layers.embedding import FieldEmbeddings
from ..kernels.linear import Linear
from ._tower import Tower
from .config import READS_CANDIDATE, SequenceConfig
from .outcomes import ActionBits

CLOCK = {"hour": 24, "weekday": 7}
"""Fields of the time of a request -> how many there are until they begin again."""


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
    kind: Tensor
    """int64 [T]: 0 for tokens without outcome (items, candidates, requests), 1 for those that carry one."""
    readout: Tensor
    """int64 [n]: the token at which each example is scored."""
    candidate: Tensor | None
    """[n, width]: each example's item as the head sees it; None if the head does not."""
    clock: Tensor | None = None
    """[n, 2 for each field of CLOCK]: when each example's request is, if the state is told."""
    place: Tensor | None = None
    """int64 [T]: rows of the table of absolute positions, where they are not `position`."""
    minutes: Tensor | None = None
    """int64 [T]: rows of the table of times until the request; None if there is none."""


class TokenLayout(nn.Module):
    """Embeddings that all layouts share; a layout defines `forward(batch) -> Tokens`."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        dim = config.embedding_dim
        items = spec.item_identity if config.item_fields == "none" else spec.item
        self.clock_names = tuple(f.name for f in spec.context if f.name in CLOCK and config.clock == "state")
        users = () if config.layout == "request" else config.users(spec)
        context = tuple(f for f in spec.context if f.name not in self.clock_names) if config.user_context else ()
        request = (*users, *context)
        self.sum_items = config.item_fields == "sum"
        self.item_names, self.request_names = tuple(f.name for f in items), tuple(f.name for f in request)
        self.item_size = dim if self.sum_items else dim * len(items)
        self.summed_users = len(users) if config.user_fields == "sum" else 0
        self.request_size = dim * (len(request) - max(self.summed_users - 1, 0))
        self.embeddings = FieldEmbeddings((*items, *request), dim)
        self.outcome_size = dim if config.actions else 0
        if config.actions and config.action_encoding == "bits":
            self.outcomes = ActionBits(spec)
            self.outcome_size = self.outcomes.size
        elif config.actions:
            self.outcomes = FieldEmbeddings((Field("action", spec.action.size), Field("label", UNKNOWN + 3)), dim)
        self.actions = config.actions
        self.places = config.tokens_per_event * spec.longest_segment
        """Rows of the table of absolute positions."""
        self.candidate: nn.Module | None = None
        if config.head == "towers":
            self.candidate = Tower(self.item_size, config.head_hidden, config.width)
        elif config.head in READS_CANDIDATE:
            self.candidate = Linear(self.item_size, config.width)

    def items(self, batch: SequenceBatch) -> Tensor:
        """[E, item_size]"""
        vectors = self.embeddings(batch.fields, self.item_names)
        return vectors.sum(1) if self.sum_items else vectors.flatten(1)

    def requests(self, batch: SequenceBatch) -> Tensor:
        """[E, request_size]: user and context fields."""
        if not self.request_names:
            return _nothing(batch)
        vectors = self.embeddings(batch.fields, self.request_names)
        if self.summed_users:
            users, context = vectors.split([self.summed_users, vectors.shape[1] - self.summed_users], dim=1)
            vectors = torch.cat([users.sum(1, keepdim=True), context], dim=1)
        return vectors.flatten(1)

    def outcome(self, batch: SequenceBatch, seen: Tensor) -> Tensor:
        """[seen, outcome_size], no columns without actions. The sum of action and label vectors, or both as bits: the label is
        known even where the action was never seen in training."""
        if not self.actions:
            return _nothing(batch)[seen]
        if isinstance(self.outcomes, ActionBits):
            return self.outcomes(batch.action[seen], batch.past_label[seen])
        label = batch.past_label[seen].long() + UNKNOWN + 1
        return self.outcomes.lookup("action", batch.action[seen]) + self.outcomes.lookup("label", label)

    def for_head(self, items: Tensor, batch: SequenceBatch) -> Tensor | None:
        """The candidates' vectors, if the head reads them."""
        return None if self.candidate is None else self.candidate(items.index_select(0, batch.target))

    def clock(self, batch: SequenceBatch) -> Tensor | None:
        """Sine and cosine of hour and weekday of the examples' requests, if the state is told of them."""
        turns = []
        for name in self.clock_names:
            ids = batch.fields[name]
            assert isinstance(ids, Tensor), "hour and weekday have one value a row"
            turns.append((ids[batch.target] - UNKNOWN - 1) * (2 * math.pi / CLOCK[name]))
        return torch.cat([torch.stack([turn.sin(), turn.cos()], dim=1) for turn in turns], dim=1) if turns else None


class TokenLinear(Linear):
    """Fields side by side -> a token [n, width], started as `token_start` says."""

    def __init__(self, inputs: int, config: SequenceConfig) -> None:
        super().__init__(inputs, config.width)
        self.scale = 1.0
        if config.token_start == "scaled":
            self.scale = config.width**0.5
            # A number of a token is then spread as one of an embedding is.
            nn.init.normal_(self.weight, std=inputs**-0.5)
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs] -> [n, width]"""
        token = super().forward(x)
        return token if self.scale == 1 else token * self.scale


class TokenTowers(nn.Module):
    """Parts of what a token holds, each through a network of its own, added up and scaled as `token_start` says: [n, width]."""

    def __init__(self, sizes: Sequence[int], config: SequenceConfig) -> None:
        super().__init__()
        self.sizes = tuple(size for size in sizes if size)
        self.towers = nn.ModuleList(Tower(size, config.head_hidden, config.width) for size in self.sizes)
        self.scale = config.width**0.5 if config.token_start == "scaled" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """[n, sum of sizes] -> [n, width]"""
        parts = x.split(self.sizes, dim=1)
        token = torch.stack([tower(part) for tower, part in zip(self.towers, parts, strict=True)]).sum(0)
        return token if self.scale == 1 else token * self.scale


def token_network(sizes: Sequence[int], config: SequenceConfig) -> nn.Module:
    """[n, sum of sizes] -> tokens [n, width], as `token_network` says."""
    return TokenTowers(sizes, config) if config.token_network == "mlp" else TokenLinear(sum(sizes), config)


def _nothing(batch: SequenceBatch) -> Tensor:
    return torch.zeros(len(batch.lo), 0, device=batch.lo.device)


class InterleavedTokens(TokenLayout):
    """Item and action tokens in turn; without actions, item tokens alone."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.item_token = token_network([self.item_size + self.request_size], config)
        self.action_token = token_network([self.item_size + self.outcome_size], config) if config.actions else None

    def forward(self, batch: SequenceBatch) -> Tokens:
        items, device = self.items(batch), batch.lo.device
        x = self.item_token(torch.cat([items, self.requests(batch)], dim=1))
        seen = batch.seen() if self.action_token is not None else batch.lo[:0]
        # start[e] is the item token of event e; an observed event's action token follows it. start[E] = T.
        per_event = torch.ones_like(batch.lo)
        if self.action_token is not None:
            per_event = per_event + batch.observed.long()
            actions = self.action_token(torch.cat([items.index_select(0, seen), self.outcome(batch, seen)], dim=1))
            x = torch.cat([x, actions])
        start = nn.functional.pad(per_event.cumsum(0), (1, 0))
        at_item, at_action = start[:-1], start[seen] + 1
        order = torch.empty(len(x), dtype=torch.long, device=device)
        order[torch.cat([at_item, at_action])] = torch.arange(len(order), device=device)
        event = torch.cat([torch.arange(len(items), device=device), seen])[order]
        kind = (order >= len(items)).long()

        offsets = start[batch.offsets]
        segment_start = torch.repeat_interleave(offsets[:-1], offsets.diff(), output_size=len(order))
        hi = start[batch.hi][event]
        return Tokens(
            x=x.index_select(0, order),
            offsets=offsets,
            lo=start[batch.lo][event],
            hi=hi,
            position=hi - segment_start + kind,
            time=None if batch.time is None else batch.time[event],
            query_time=None if batch.query_time is None else batch.query_time[event],
            kind=kind,
            readout=at_item[batch.target],
            candidate=self.for_head(items, batch),
            clock=self.clock(batch),
        )


class CandidateTokens(TokenLayout):
    """In each segment first the events that are seen, one token each, then one token for every example to score."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.late = config.layout == "late"
        self.event_token = token_network([self.item_size + self.request_size, self.outcome_size], config)
        if config.actions and not self.late:
            self.mask = nn.Parameter(torch.randn(self.outcome_size) * (0.1 if config.action_encoding == "bits" else 0.02))
        self.query_token = token_network([self.request_size or 1], config) if self.late else None

    def past_tokens(self, known: Tensor, batch: SequenceBatch, seen: Tensor) -> Tensor:
        """[seen, width], of what is known of all events before their outcomes."""
        return self.event_token(torch.cat([known.index_select(0, seen), self.outcome(batch, seen)], dim=1))

    def asking_tokens(self, known: Tensor, target: Tensor) -> Tensor:
        """[n, width]: the candidates, with a mask in place of the outcome."""
        masks = self.mask.expand(len(target), -1) if self.actions else known[target, :0]
        return self.event_token(torch.cat([known.index_select(0, target), masks], dim=1))

    def forward(self, batch: SequenceBatch) -> Tokens:
        items, requests, device = self.items(batch), self.requests(batch), batch.lo.device
        seen, target = batch.seen(), batch.target
        known = torch.cat([items, requests], dim=1)
        events = self.past_tokens(known, batch, seen)
        if self.query_token is not None:
            asked = requests.index_select(0, target) if self.request_names else torch.ones(len(target), 1, device=device)
            candidates = self.query_token(asked)
        else:
            candidates = self.asking_tokens(known, target)

        # What is seen is a prefix of its segment, so that intervals of events are intervals of these tokens.
        segment = torch.repeat_interleave(
            torch.arange(len(batch.offsets) - 1, device=device), batch.offsets.diff(), output_size=len(batch.lo)
        )
        seen_count = torch.zeros_like(batch.offsets[1:]).index_add_(0, segment, batch.observed.long())
        target_count = torch.zeros_like(seen_count).index_add_(0, segment[target], torch.ones_like(target))
        offsets = nn.functional.pad((seen_count + target_count).cumsum(0), (1, 0))
        shift = (offsets[:-1] - batch.offsets[:-1])[segment]  # from an event's place to the place of its token
        before = nn.functional.pad(target_count.cumsum(0), (1, 0))[:-1]
        rank = torch.arange(len(target), device=device) - before[segment[target]]
        readout = offsets[segment[target]] + seen_count[segment[target]] + rank
        order = torch.empty(len(seen) + len(target), dtype=torch.long, device=device)
        order[torch.cat([seen + shift[seen], readout])] = torch.arange(len(order), device=device)
        event = torch.cat([seen, target])[order]
        lo, hi = (batch.lo + shift)[event], (batch.hi + shift)[event]
        return Tokens(
            x=torch.cat([events, candidates]).index_select(0, order),
            offsets=offsets,
            lo=lo,
            hi=hi,
            position=hi - offsets[segment[event]],
            time=None if batch.time is None else batch.time[event],
            query_time=None if batch.query_time is None else batch.query_time[event],
            kind=(order < len(seen)).long(),
            readout=readout,
            candidate=self.for_head(items, batch),
            clock=self.clock(batch),
        )
