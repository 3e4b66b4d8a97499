"""DLRM-v3: the whole of HSTU's released ranking model (meta-recsys/generative-recommenders, modules/dlrm_hstu.py).

    segment of a request: [field of the user] ... [event] ... [candidate] ...
    event, candidate      sqrt(D) (tower(item, context) + tower(bits of what was done; a learned vector for a candidate))
    field of the user     sqrt(D) (W_field e + b_field)
    x <- dropout(x + position, counted back from the end + time until the request, by the square root of minutes)
    x <- layers of `stu`
    state = LN(W [x, sine and cosine of hour and weekday]);  logit = MLP(state * tower(item))

A tower is a linear layer, x * sigmoid(LN(x)), a linear layer and a LayerNorm. Every part is a switch of `stu`, most of them of
every generative model; what is set here is that code's choice.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.contract import Choice, ModelInfo, Rate
from . import stu
from .config import DIVISOR, GENERATIVE_SPACE, ActionEncoding, Clock, HeadKind, Layout, TimeEmbedding, TokenNetwork, TokenStart


@dataclass(frozen=True)
class Config(stu.Config):
    """The released ranking code's choices, at a size for public data."""

    dropout: Rate = 0.1
    input_dropout: Rate | None = 0.2
    layout: Layout = "request"
    action_encoding: ActionEncoding = "bits"
    token_start: TokenStart = "scaled"
    token_network: TokenNetwork = "mlp"
    clock: Clock = "state"
    time_embedding: TimeEmbedding = "sqrt-minutes"
    head: HeadKind = "towers"


INFO = ModelInfo(
    name="dlrm-v3",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=stu.build,
    summary="HSTU's released ranking model: user fields as tokens, action bits, time to the request, two towers, STU layers",
    paper="Zhai et al. 2024, arXiv:2402.17152, as in the released ranking code",
    code="own",
    checked="its layers as those of `stu`, against numbers of the authors' own; the whole model, from ids to logits, against its "
    "equations token by token in float64, to 1e-6; no numbers of the authors' whole model were at hand",
    train={"batch_events": 512},
    differs=(
        "the divisor is the largest number of visible tokens; the released code divides by the longest sequence of the batch, so "
        "that a score depends on its batch mates",
        "every training example is a candidate, and the candidates of a request share a segment; there the last ten events of a "
        "user are the only candidates, of one request (`--protocol dlrm-v3-last-10`)",
        "a candidate's hour, weekday and position in time are those of its own request; there all ten have the time of the last "
        "event before them",
        "logged context fields stand in the token of their event, and so does the time since the event before; the released code "
        "has no such fields",
        "the user's id is a token only with `user_id=embedding`, as for every model here; there it always is",
        "tokens of user fields hold nothing below `context_min_events` events that the request sees; the released code counts "
        "candidates too, has 20 for MovieLens and 0 for KuaiRand, and 0 is the default here",
        "the label of a past event is one more bit of its action; a combination of actions that training never had shows the "
        "label's bit alone, there its bits",
        "fields are embedded in 16 numbers each and side by side; the released code has one table as wide as the model for the "
        "item, and a second tower for further fields of items",
        "tables of positions and times have as many rows as can be reached, 2,049 of times; there 8,192 and, in PyTorch, as many "
        "times as the width, by a slip",
        "positions start with a spread of 1/sqrt(D) and times with .02; there both are uniform within 1/sqrt of their rows",
        "of a history longer than the limit the latest events are kept; the released code keeps the oldest",
        "nothing is remembered of a past: its tokens know the request",
        "further labels have a binary cross-entropy of weight 1 each; there .2, and watch time may be regressed",
        "off here as there: `head_norm` (group norm), `stochastic_depth`; absent: L2 norm of the state, layers that see the last "
        "events alone, an attention window",
        "AdamW for all parameters in single precision, unless `train.table_optimizer=rowwise-adagrad`; the released code has "
        "row-wise Adagrad for tables, Adam with betas of .95 and .999 for the rest (.9 and .999 here), and bfloat16",
    ),
    defaults="two layers of width 64 and two heads as for every backbone here; the released ranking code has 5 layers of width "
    "512 and 4 heads, tables of width 512, hidden layers of 256 and 512 units. Dropouts are its own",
    space={
        # Another layout would have no request to count from.
        **{name: values for name, values in GENERATIVE_SPACE.items() if name != "layout"},
        "time_embedding": Choice(("none", "sqrt-minutes")),
        "divisor": DIVISOR,
    },
)
