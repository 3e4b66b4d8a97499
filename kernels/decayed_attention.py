"""Attention without a softmax whose weights decay: what a token reads costs the same, however much it sees.

    out_i = sum over j in [lo_i, hi_i) of  exp(-rate (a_i - b_j)) (q_i . k_j) v_j  +  exp(-rate (a_i - c_i)) (q_i . s_i) v_i

with clocks a of queries and b of keys, positions or times. s and c are the key and the clock under which a token sees itself. A
decayed sum of k_j v_j^T over all keys before a place is a state of fixed size (Sun et al. 2023, arXiv:2307.08621, section 2.3):
keys come in chunks, each chunk takes the state on, and a token reads the state before the chunk in which its bound lies and the
keys of that chunk one by one. A window, hi and lo, is the difference of two such readings.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .dispatch import Implementation, choose, register
from .hstu_attention.plan import AttentionPlan, once_a_plan

CHUNK = 16
"""Keys in a chunk, and readings in a row."""

Clock = Literal["position", "time"]
"""position: the plan's. time: seconds of its times."""


class DecayedInputs(NamedTuple):
    """What an implementation is given; see `decayed_attention`."""

    q: Tensor
    k: Tensor
    v: Tensor
    own: Tensor
    plan: AttentionPlan
    clock: Clock
    rate: Tensor | None


def decayed_attention(
    q: Tensor, k: Tensor, v: Tensor, own: Tensor, plan: AttentionPlan, clock: Clock = "position", rate: Tensor | None = None
) -> Tensor:
    """What each token reads.

    Args:
        q: [T, H, d], of a plan with tokens that ask nothing the others alone: [T - past, H, d].
        k: [T, H, d]. v: [T, H, dv].
        own: as q, the keys under which tokens see themselves.
        plan: no key that a token sees has a clock above the token's.
        rate: [R], not negative, by position or second; R divides H, and heads have the rates in turn. None: nothing decays.

    Returns:
        [T, H, dv] of the tokens that ask, differentiable in all tensors.
    """
    return choose("decayed_attention", q.device, q.dtype).run(DecayedInputs(q, k, v, own, plan, clock, rate))


class Chunks(NamedTuple):
    """N chunks of keys, none across the ends of a segment, and M rows of readings of one chunk each."""

    key: Tensor
    """int64 [N, CHUNK]: tokens."""
    real: Tensor
    """bool [N, CHUNK]: the chunk has so many tokens."""
    segment: Tensor
    """int64 [N]"""
    steps: list[Tensor]
    """int64: the first chunks of all segments, then the second ones, ...; longer segments first."""
    place: Tensor
    """int64 [N]: where a chunk stands among all steps."""
    chunk: Tensor
    """int64 [M]"""
    query: Tensor
    """int64 [M, CHUNK]: which of the tokens that ask."""
    last: Tensor
    """int64 [M, CHUNK]: the place in the chunk of the last key that a reading takes."""
    reader: Tensor
    """int64 [R]: the tokens that ask, of all readings."""
    at: Tensor
    """int64 [R]: the readings' places among M * CHUNK."""
    plus: Tensor
    """int64 [M, CHUNK]: 1 of readings up to hi, -1 of those up to lo, else 0."""


@once_a_plan
def chunks(plan: AttentionPlan) -> Chunks:
    """The layout of a batch, shared by all layers."""
    device = plan.lo.device
    lengths = plan.offsets.diff()
    per_segment = (lengths + CHUNK - 1) // CHUNK
    first = per_segment.cumsum(0) - per_segment
    segments = torch.arange(len(lengths), device=device)
    segment = torch.repeat_interleave(segments, per_segment)
    index = torch.arange(len(segment), device=device) - first[segment]
    slot = torch.arange(CHUNK, device=device)
    key = (plan.offsets[:-1][segment] + index * CHUNK).unsqueeze(1) + slot
    real = key < plan.offsets[1:][segment].unsqueeze(1)
    order = torch.argsort(index * (len(lengths) + 1) + torch.argsort(torch.argsort(-per_segment, stable=True))[segment])
    steps = list(order.split(torch.bincount(index).tolist()))

    asks = torch.arange(plan.past, len(plan.lo), device=device)
    owner = torch.bucketize(asks, plan.offsets[1:], right=True)
    start = plan.offsets[:-1][owner]
    readers, ends, signs = [], [], []
    for bound, sign in ((plan.hi[asks], 1), (plan.lo[asks], -1)):
        some = ((plan.hi[asks] > plan.lo[asks]) & (bound > start)).nonzero().squeeze(1)
        readers.append(some)
        ends.append((bound - start)[some] - 1)
        signs.append(torch.full_like(some, sign))
    reader, last, signed = torch.cat(readers), torch.cat(ends), torch.cat(signs)
    chunk = first[owner[reader]] + last // CHUNK
    by_chunk = torch.argsort(chunk, stable=True)
    counts = torch.bincount(chunk, minlength=len(segment))
    rows = (counts + CHUNK - 1) // CHUNK
    rank = torch.arange(len(reader), device=device) - (counts.cumsum(0) - counts)[chunk[by_chunk]]
    at = torch.empty_like(by_chunk)
    at[by_chunk] = (rows.cumsum(0) - rows)[chunk[by_chunk]] * CHUNK + rank
    of_row = torch.repeat_interleave(torch.arange(len(segment), device=device), rows)
    query = torch.zeros(len(of_row) * CHUNK, dtype=torch.long, device=device).index_copy(0, at, reader)
    plus = torch.zeros_like(query).index_copy(0, at, signed).view(-1, CHUNK)
    ends_at = torch.zeros_like(query).index_copy(0, at, last % CHUNK).view(-1, CHUNK)
    return Chunks(
        key=key.clamp(max=len(plan.lo) - 1),
        real=real,
        segment=segment,
        steps=steps,
        place=torch.argsort(order),
        chunk=of_row,
        query=query.view(-1, CHUNK),
        last=ends_at,
        reader=reader,
        at=at,
        plus=plus,
    )


class Gaps(NamedTuple):
    """By how much clocks differ, none below zero, positions or seconds; and what a chunk has, as numbers."""

    real: Tensor
    """[N, CHUNK]: 1 of a key, 0 of padding."""
    plus: Tensor
    """[M, CHUNK], as in `Chunks`."""
    sign: Tensor
    """[M, CHUNK, CHUNK]: `plus` of a reading where it takes a key, else 0."""

    within: Tensor
    """[N, CHUNK]: from a key to the latest clock of its chunk and those before it."""
    step: Tensor
    """[N]: to there from the latest clock before the chunk."""
    local: Tensor
    """[M, CHUNK, CHUNK]: from a key of the row's chunk to a reading."""
    back: Tensor
    """[M, CHUNK]: from the latest clock before the row's chunk to a reading."""
    own: Tensor | None
    """[T - past]: from when a token sees itself; None: 0."""


@once_a_plan
def gaps(plan: AttentionPlan, clock: Clock, dtype: torch.dtype) -> Gaps:
    """Of the keys and readings of `chunks`. Differences are taken of whole numbers, so that none is lost in large ones."""
    made = chunks(plan)
    asked, known, own = plan.position, plan.position, None
    if clock == "time":
        assert plan.query_time is not None and plan.key_time is not None
        asked, known = plan.query_time, plan.key_time
        own = None if plan.own_time is None else (plan.query_time - plan.own_time)[plan.past :]
    at_key, at_query = known[made.key], asked[plan.past :][made.query]
    # Latest clocks so far, segment by segment: the place of a segment counts more than any clock.
    highest = torch.where(made.real, at_key, at_key[:, :1]).amax(1)
    lift = made.segment * (highest.max() - known.min() + 1)
    latest = (highest + lift).cummax(0).values - lift
    before = torch.where(made.segment == made.segment.roll(1), latest.roll(1), latest)

    def as_gap(difference: Tensor) -> Tensor:
        gap = difference.clamp(min=0).to(dtype)
        return gap / 1000 if clock == "time" else gap

    taken = torch.arange(CHUNK, device=known.device) <= made.last.unsqueeze(2)
    return Gaps(
        real=made.real.to(dtype),
        plus=made.plus.to(dtype),
        sign=(taken * made.plus.unsqueeze(2)).to(dtype),
        within=as_gap(latest.unsqueeze(1) - at_key),
        step=as_gap(latest - before),
        local=as_gap(at_query.unsqueeze(2) - at_key[made.chunk].unsqueeze(1)),
        back=as_gap(at_query - before[made.chunk].unsqueeze(1)),
        own=None if own is None else as_gap(own),
    )


def _in_chunks(inputs: DecayedInputs) -> Tensor:
    q, k, v, own, plan, clock, rate = inputs
    made, apart = chunks(plan), gaps(plan, clock, v.dtype)
    keys, values = k[made.key].transpose(1, 2), v[made.key].transpose(1, 2)
    queries = q[made.query].transpose(1, 2)
    taken = _faded(apart.sign.unsqueeze(1), apart.local.unsqueeze(1), rate)
    weights = _shared(queries @ keys[made.chunk].transpose(2, 3), taken)
    read = weights.to(v.dtype) @ values[made.chunk]
    if len(made.steps) > 1:
        kept = _faded(apart.real.view(-1, 1, CHUNK, 1), apart.within.view(-1, 1, CHUNK, 1), rate)
        added = _shared(keys, kept).transpose(2, 3).to(v.dtype) @ values
        one = apart.step.new_ones(1, 1, 1, 1)
        states = _states(added, made, _faded(one, apart.step.view(-1, 1, 1, 1), rate))
        seen = _faded(apart.plus.view(-1, 1, CHUNK, 1), apart.back.view(-1, 1, CHUNK, 1), rate)
        read = read + _shared(queries, seen).to(v.dtype) @ states[made.chunk].to(v.dtype)
    share = (q * own).sum(2)[..., None, None]
    if apart.own is not None:
        share = _shared(share, _faded(apart.own.new_ones(1, 1, 1, 1), apart.own.view(-1, 1, 1, 1), rate))
    out = share.squeeze(3) * v[plan.past :]
    return out.index_add(0, made.reader, read.transpose(1, 2).flatten(0, 1)[made.at].to(out.dtype))


def _faded(x: Tensor, gap: Tensor, rate: Tensor | None) -> Tensor:
    """x times decays over gaps [n, 1, rows, columns], for each of R rates: [n, R, rows, columns]."""
    return x if rate is None else x * torch.exp(gap * -rate.view(-1, 1, 1))


def _shared(x: Tensor, decay: Tensor) -> Tensor:
    """x [n, H, ...] times decays [n, R, ...], which heads have in turn."""
    return (x.unflatten(1, (-1, decay.shape[1])) * decay.unsqueeze(1)).flatten(1, 2)


def _states(added: Tensor, made: Chunks, decay: Tensor) -> Tensor:
    """What chunks add [N, H, d, dv], and decays [N or 1, R, 1, 1] -> the decayed sums before each chunk, of the same shape."""
    first = made.steps[0]
    state, states = torch.zeros_like(added[first]), []
    for step, following in zip(made.steps, [*made.steps[1:], first[:0]], strict=True):
        states.append(state)
        state = (_shared(state, decay if len(decay) == 1 else decay[step]) + added[step])[: len(following)]
    return torch.cat(states)[made.place]


def _literal(inputs: DecayedInputs) -> Tensor:
    """Token by token, head by head, key by key, in float64."""
    q, k, v, own, rate = (None if x is None else x.double() for x in (*inputs[:4], inputs.rate))
    assert q is not None and k is not None and v is not None and own is not None
    plan, rows = inputs.plan, []
    asked, known, at_self, unit = plan.position, plan.position, None, 1
    if inputs.clock == "time":
        assert plan.query_time is not None and plan.key_time is not None
        asked, known, at_self, unit = plan.query_time, plan.key_time, plan.own_time, 1000
    for row, i in enumerate(range(plan.past, len(plan.lo))):
        heads = []
        for h in range(q.shape[1]):
            pairs = [(k[j, h], v[j, h], int(asked[i] - known[j])) for j in range(int(plan.lo[i]), int(plan.hi[i]))]
            pairs.append((own[row, h], v[i, h], 0 if at_self is None else int(asked[i] - at_self[i])))
            total = torch.zeros(v.shape[2], dtype=torch.float64)
            for key, value, gap in pairs:
                decay = 1.0 if rate is None else torch.exp(-rate[h % len(rate)] * gap / unit)
                total = total + decay * (q[row, h] * key).sum() * value
            heads.append(total)
        rows.append(torch.stack(heads))
    return torch.stack(rows).to(inputs.v.dtype)


register(
    "decayed_attention",
    Implementation("torch", _in_chunks, what="products of chunks of 16 keys, and a state that is taken from chunk to chunk"),
    Implementation(
        "reference",
        _literal,
        automatic=False,
        what="the definition in loops and float64; tests compare with it, nothing chooses it",
    ),
    users="fuxi-linear",
)
