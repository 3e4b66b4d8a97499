"""Triton, for GPUs: blocks of queries of one segment against the keys that they see, in tiles that fill the tensor cores.

As `cpu`, the forward pass saves its inputs alone, and of a softmax each row's normaliser; logits are computed again. One program
a block and head makes the output (`forward`), another the gradients of queries and of the tables, a third those of keys and
values (`backward`). `blocks` says once a batch which tokens meet, which tiles need no mask, and which keys lie in which time
bucket of a query; `bias` adds the tables' rows to a tile and sums their gradients. `tiles` knows the sizes, and `check`
whether a card computes what it should.

Gradients of the position table are atomic additions to a few copies, whose order and last bits differ from run to run, unless
`torch.use_deterministic_algorithms(True)` was called.
"""

from .check import why_unavailable
from .function import attention, backward_pass, forward_pass
from .tiles import WIDEST_HEAD

__all__ = ["WIDEST_HEAD", "attention", "backward_pass", "forward_pass", "why_unavailable"]
