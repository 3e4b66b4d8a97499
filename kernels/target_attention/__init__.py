"""Attention of a candidate over its user's past events as DIN does it (Zhou et al. 2018, section 4.3), over jagged rows.

`activation_unit` scores each event with a small network of ReLU; `event_layer` is the first layer of such a network alone, for
other activations; `weighted_sum` adds the events up. On a CPU they are compiled loops that keep an example in the caches (`cpu`);
the unit is a program for GPUs too (`gpu`). Elsewhere, and without a compiler, they are made of torch's parts.
"""

from .events import Events, Layers
from .interface import activation_unit, event_layer, weighted_sum

__all__ = ["Events", "Layers", "activation_unit", "event_layer", "weighted_sum"]
