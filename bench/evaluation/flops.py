"""How much arithmetic a model does for an example: a cost that depends neither on the machine nor on what runs beside it.

Counted are products of matrices (two operations a multiply-add), as torch's own counter does, and in attention the pairs of
tokens that see each other: q . k and A v of each; where attention is a recurrence, what goes into its states and is read there.
Element-wise work, sorting and table lookups are not. Padding of attention is not counted, because not every implementation pads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ...kernels import dispatch
from ...kernels.decayed_attention import DecayedInputs, chunks
from ...kernels.hstu_attention.plan import AttentionPlan, Inputs
from ...kernels.padded_attention import PaddedInputs
from ...kernels.segments import SegmentReading, Segments
from ..config import Experiment
from ..contract import ModelInfo
from ..data.batches import make_batches
from ..data.dataset import RankingData

_BATCHES = 8


def flops_per_example(experiment: Experiment, info: ModelInfo, data: RankingData) -> float:
    """Of a forward pass over training batches, spread over the epoch, for each of their examples.

    Counted on the CPU with a model of its own: weights do not matter, and not every device lets torch look on.
    """
    if info.fit == "counts":
        return 0.0
    with torch.random.fork_rng([]):
        model = info.build(experiment.params, data.spec).eval()
    train = experiment.train
    batches = make_batches(data, info.view, "train", train.batch_size, train.batch_events)
    plans = batches.plans(None)
    chosen = [plans[at] for at in sorted({round(at * (len(plans) - 1) / (_BATCHES - 1)) for at in range(_BATCHES)})]
    pairs, examples = _Pairs(), 0
    counter = FlopCounterMode(display=False)
    torch_alone = {name: "torch" for name in dispatch.OPERATIONS if "torch" in dispatch.names(name)}
    with (
        torch.no_grad(),
        dispatch.unwatched(),
        dispatch.forced(torch_alone),
        dispatch.replaced("hstu_attention", pairs.attention),
        dispatch.replaced("bias_mixing", pairs.mixing),
        dispatch.replaced("padded_attention", pairs.reading),
        dispatch.replaced("segment_attention", pairs.reading_segments),
        dispatch.replaced("segment_product", pairs.turning),
        dispatch.replaced("decayed_attention", pairs.decayed),
        counter,
    ):
        for plan in chosen:
            batch = batches.assemble(plan, None)
            model(batch)
            examples += len(batch)
    return (counter.get_total_flops() + pairs.flops) / examples


class _Pairs:
    """In place of attention: counts what it would do and gives what has its shape."""

    def __init__(self) -> None:
        self.flops = 0

    def attention(self, inputs: Inputs) -> Tensor:
        self.flops += 2 * pairs_of(inputs.plan) * (inputs.q.shape[1] * inputs.q.shape[2] + inputs.v.shape[1] * inputs.v.shape[2])
        return inputs.v

    def reading(self, inputs: PaddedInputs) -> Tensor:
        q, k, v = inputs.q, inputs.k, inputs.v
        pairs = int(inputs.visible.expand(len(q), q.shape[1], k.shape[1]).sum())
        self.flops += 2 * pairs * (q.shape[2] * q.shape[3] + v.shape[2] * v.shape[3])
        return q.new_zeros(*q.shape[:3], v.shape[3])

    def reading_segments(self, inputs: SegmentReading) -> Tensor:
        """Of queries [n, N, D]; of tokens that ask [T, D] an example has as many queries as tokens."""
        q, tokens = inputs.q, inputs.segments.offsets.diff().unsqueeze(1)
        place = torch.arange(q.shape[1] if q.dim() == 3 else inputs.segments.longest)
        asks = torch.ones_like(place) if q.dim() == 3 else place < tokens
        seen = (tokens - place).clamp(min=0) if inputs.behind else tokens
        self.flops += 4 * q.shape[-1] * int((asks * seen).sum())
        return torch.zeros_like(q)

    def turning(self, x: Tensor, matrix: Tensor, _: Segments) -> Tensor:
        self.flops += 2 * x.numel() * matrix.shape[2]
        return x.new_zeros(len(x), matrix.shape[2])

    def decayed(self, inputs: DecayedInputs) -> Tensor:
        """Keys that are read one by one; each key that goes into a state, and each reading of one."""
        q, v, made = inputs.q, inputs.v, chunks(inputs.plan)
        one_by_one = len(q) + int(((made.last + 1) * made.plus.abs()).sum())
        states = int(made.real.sum()) + len(made.at) if len(made.steps) > 1 else 0
        self.flops += 2 * q.shape[1] * (one_by_one * (q.shape[2] + v.shape[2]) + states * q.shape[2] * v.shape[2])
        return v[inputs.plan.past :]

    def mixing(self, v: Tensor, plan: AttentionPlan, *_: Tensor | None) -> Tensor:
        self.flops += 2 * pairs_of(plan) * v.shape[1] * v.shape[2]
        return v


def pairs_of(plan: AttentionPlan) -> int:
    """Of a token and one that it sees, itself included."""
    token = torch.arange(len(plan.lo))
    inside = (plan.lo <= token) & (token < plan.hi)
    return int((plan.hi - plan.lo + (~inside).long()).sum())
