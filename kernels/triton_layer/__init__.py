"""A whole layer of HSTU for GPUs, around the programs of `hstu_attention.triton`.

Forward, two products with all that stands around them: `project` normalises the rows that it reads and applies SiLU to what it
writes, `output` computes gate, norm and mask of dropout while it reads, and adds bias and skip connection (`products`). Kept for
the backward pass are x, the projection before its SiLU and what attention gave, 6 D numbers a token, and two numbers a norm. The
backward pass computes the rest again row by row (`rows`); its four products are torch's, which reads each factor once more and in
return sums gradients of weights over all tokens at the speed of the vendor's library.

In mixed precision (autocast) products, what is kept and attention are in the smaller type; x, y, norms and sums as x is, or
float32.
"""

from .function import layer, takes, why_unavailable

__all__ = ["layer", "takes", "why_unavailable"]
