"""What the harness and the models agree on: fields, batches, the ranker, its card. The only file of bench/ that models import.

Both batch types are cut from the same examples. An *example* is one event whose label is to be predicted; it may see the
events [lo, hi) of the same user, where `hi` is the first event that is not strictly earlier than the example's request.
Ids: 0 is padding (never an input of a real value), 1 is unknown (not seen in training), 2.. were seen in training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import torch
from annotated_types import Ge, Gt, Le, Lt, MinLen
from torch import Tensor, nn

PADDING, UNKNOWN = 0, 1

TimeInformation = Literal["none", "history", "request"]
Size = Annotated[int, Ge(1)]
"""Of a setting: a width, a depth, a number of heads."""
Count = Annotated[int, Ge(0)]
"""Of a setting: how many, maybe none."""
Sizes = Annotated[tuple[Size, ...], MinLen(1)]
"""Of a setting: widths of layers, one at least."""
Rate = Annotated[float, Ge(0), Lt(1)]
"""Of a setting: a share that is dropped or hidden."""
Share = Annotated[float, Gt(0), Le(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]

Family = Literal["floor", "classical", "unified", "generative"]
UserId = Literal["none", "embedding"]
ITEM, ITEM_CODES = "item", "item_codes"
"""Names of the fields that say which item it is: its id, and its semantic id, where items have one."""


@dataclass(frozen=True)
class Field:
    """One categorical input. A multi-valued field (genres) arrives as Jagged ids, any other as one id per row."""

    name: str
    size: int
    """Rows of its embedding table, padding and unknown included."""
    multi: bool = False
    derived: bool = False
    """Made from the time of a request, and not logged: past events have none of it."""


@dataclass(frozen=True)
class DataSpec:
    """All that a model may know about the data when it is built."""

    user: tuple[Field, ...]
    """The user id (named `user`, first) and the user's side information."""
    item: tuple[Field, ...]
    """The item id (named `item`, first), the item's side information, and its semantic id (named `item_codes`, last) where items
    have one: see `data.item_id`. Candidates and past events share these tables."""
    context: tuple[Field, ...]
    """Known at the request: logged fields (tab), then derived ones (hour) if time information is `request`."""
    action: Field
    """What the user did at a past event (stars, bit mask of feedback). Never known for the example itself."""
    history_length: int
    """L: an example sees at most the L latest visible events."""
    longest_segment: int
    """Events that a segment of a sequence holds at most before the request of any of its events: positions count up to it."""
    time: TimeInformation
    gap_buckets: int
    """Rows of a table over time gaps (bucket 0 .. gap_buckets - 1), kernels.time_buckets; meaningless if time is `none`."""
    positive_rate: float
    """Share of positive labels among training examples; used to start the output bias at the base rate."""
    further_rates: tuple[float, ...] = ()
    """The same of the K further labels, which a ranker may predict as well."""
    action_bits: tuple[tuple[int, ...], ...] = ()
    """Of each id of `action`: which single things it is made of, by numbers from 0."""
    domain: str = ""
    """The logged context field that says to which market, page or product line an event belongs; empty if there is none."""

    def user_fields(self, user_id: UserId) -> tuple[Field, ...]:
        """What a model is told of who asks: side information, behind the id if that is to be embedded."""
        return self.user if user_id == "embedding" else self.user[1:]

    @property
    def item_identity(self) -> tuple[Field, ...]:
        """What says which item it is, side information aside."""
        return tuple(field for field in self.item if field.name in (ITEM, ITEM_CODES))

    @property
    def rates(self) -> tuple[float, ...]:
        """Of the main label, then of the further ones."""
        return (self.positive_rate, *self.further_rates)


class Jagged(NamedTuple):
    """Rows of different lengths, end to end: row r is values[offsets[r]:offsets[r + 1]]."""

    values: Tensor
    offsets: Tensor

    @property
    def lengths(self) -> Tensor:
        return self.offsets[1:] - self.offsets[:-1]


Ids = Tensor | Jagged
"""Ids of one field for n rows: int64 [n], or Jagged with n rows for a multi-valued field."""

B = TypeVar("B")


def mapped(batch: B, change: Callable[[Tensor], Tensor]) -> B:
    """The same batch with what `change` makes of each of its tensors, always in the same order."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Jagged):
        return Jagged(change(batch.values), change(batch.offsets))  # type: ignore[return-value]
    if isinstance(batch, dict):
        return {key: mapped(entry, change) for key, entry in batch.items()}  # type: ignore[return-value]
    if is_dataclass(batch) and not isinstance(batch, type):
        return type(batch)(**{f.name: mapped(getattr(batch, f.name), change) for f in fields(batch)})
    return batch


def to_device(batch: B, device: torch.device) -> B:
    """The same batch with every tensor on `device`."""
    return mapped(batch, lambda tensor: tensor.to(device, non_blocking=True))


@dataclass(frozen=True)
class History:
    """The visible past of n examples, jagged: example r sees the T tokens offsets[r]:offsets[r + 1], oldest first."""

    offsets: Tensor
    """int64 [n + 1]"""
    fields: dict[str, Ids]
    """Item fields and logged context fields of the past events, T rows each."""
    action: Tensor
    """int64 [T]"""
    label: Tensor
    """float32 [T]: the past outcome of the label that is predicted."""
    gap: Tensor | None
    """int64 [T]: bucket of the time between the past event and the request (time `request`) or the latest visible
    event (time `history`); None if time is `none`."""


@dataclass(frozen=True)
class PointwiseBatch:
    """n examples as rows, each with its own copy of the visible past."""

    example: Tensor
    """int64 [n]: position of the event in the event log; the identity of an example."""
    label: Tensor
    """float32 [n], 0 or 1"""
    fields: dict[str, Ids]
    """User, item and context fields of the examples, n rows each."""
    history: History
    further: Tensor | None = None
    """float32 [n, K]: further labels; None if there are none."""
    key: Tensor = field(kw_only=True)
    """int64 [n]: hash of who, what and when, which does not depend on any other event of the log, as `example` does. For what
    is to be the same for an example in whatever log and batch it stands: folds, draws."""
    weight: Tensor | None = None
    """float32 [n]: 1 for an example, 0 for what fills a padded batch up; None: all are examples."""
    real: int | None = None
    """How many of the n are examples; None: all."""

    def __len__(self) -> int:
        """Examples, without what fills the batch up."""
        return len(self.example) if self.real is None else self.real


@dataclass(frozen=True)
class SequenceBatch:
    """Segments of users' event sequences, packed end to end: E events in S segments, n of the events are examples.

    The visible past of event e is [lo[e], hi[e]) within the packed events, always inside its own segment.
    """

    offsets: Tensor
    """int64 [S + 1]: segment s holds events offsets[s]:offsets[s + 1], in time order."""
    fields: dict[str, Ids]
    """User, item and context fields of every event, E rows each."""
    action: Tensor
    """int64 [E]; padding where not observed."""
    past_label: Tensor
    """float32 [E]: outcome of an observed event; 0 where not observed."""
    observed: Tensor
    """bool [E]: some later event of the batch may see this one. An unobserved event's outcome is not in the batch."""
    lo: Tensor
    """int64 [E]"""
    hi: Tensor
    """int64 [E]"""
    time: Tensor | None
    """int64 [E], milliseconds: when the event happened (as a key). None if time information is `none`."""
    query_time: Tensor | None
    """int64 [E], milliseconds: from when event e looks back: its own time (time `request`) or the time of the latest
    event it sees (time `history`)."""
    target: Tensor
    """int64 [n]: which of the E events are the examples to score."""
    example: Tensor
    """int64 [n]: position of the examples in the event log."""
    label: Tensor
    """float32 [n], 0 or 1"""
    further: Tensor | None = None
    """float32 [n, K]: further labels; None if there are none."""
    seen_at: Tensor | None = None
    """int64 [O]: which of the E events are observed, where that is known beforehand; asking `observed` makes the host wait."""
    weight: Tensor | None = None
    """float32 [n]: 1 for an example, 0 for what fills a padded batch up; None: all are examples."""
    real: int | None = None
    """How many of the n are examples; None: all."""

    def seen(self) -> Tensor:
        """int64 [O]: the observed events."""
        return self.observed.nonzero().squeeze(1) if self.seen_at is None else self.seen_at

    def __len__(self) -> int:
        """Examples, without what fills the batch up."""
        return len(self.example) if self.real is None else self.real


class Ranker(nn.Module):
    """A model of the harness: batch -> logits [n], in the order of batch.example.

    Where the data have K further labels, a model may give [n, 1 + K] instead, the main label first.

    A model with `fit="counts"` in its card is not trained by gradients: the trainer calls `observe` on every training
    batch once, then `finish`; once through time (`train.order`), so for each window in turn. Its state lives in buffers, so that
    checkpoints work as for any other model.
    """

    def forward(self, batch: Any) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define forward(batch) -> logits [n]")

    def remember(self, past: Any) -> Any:
        """What can be computed of a user's past alone, once for all candidates; None if nothing can.

        Args:
            past: a batch of one segment whose events are all observed, without examples.
        """
        return None

    def forward_after(self, memory: Any, seen_from: int, batch: Any) -> Tensor:
        """The logits of `forward` for candidates of one request, from what `remember` gave.

        Args:
            seen_from: events of the remembered past that lie before those that the request sees.
            batch: the candidates alone, one segment in which nothing is seen.
        """
        raise TypeError(f"{type(self).__name__} remembers nothing")

    def auxiliary_loss(self) -> Tensor | None:
        """A scalar that the trainer adds to the mean loss of the label, weighted by the model; None if there is none.

        Asked for once after each forward in training mode. What it draws at random comes from torch's generators, which
        a checkpoint restores. It is no part of the training loss that is reported.
        """
        return None

    def stack(self) -> Sequence[nn.Module]:
        """Those through which data pass one after the other, where most of the memory and work is: they are recomputed and
        sharded one by one. Empty if it has none."""
        return ()

    def moving_shape(self) -> str:
        """Why two batches of equal shape may take different operations or sizes, as the model is set; empty if they never do, so
        that a step can be recorded and replayed. Asked where the card says `takes_padding`."""
        return ""

    def observe(self, batch: Any) -> None:
        raise TypeError(f"{type(self).__name__} is fitted by gradients, not by counts")

    def finish(self) -> None:
        """Learn from all that was observed: called after the last `observe`, and, once through time, after that of each window,
        while what was observed before still counts."""


@dataclass(frozen=True)
class Real:
    """Any number in [low, high]; with `log`, every factor is as likely as any other."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]."""

    low: int
    high: int


@dataclass(frozen=True)
class Choice:
    """One of some values, without an order among them."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class IdentityConfig:
    """The setting that every model which is trained by gradients has, whatever its family."""

    user_id: UserId = "none"
    """Whether the model knows who asks. none: the id of the user is no input; what it knows of a user is the history and the side
    information. embedding: a vector (or a weight) for each user of the training events, and one for all others."""


Range = Real | Whole | Choice
SearchSpace = Mapping[str, Range]
"""What tuning may change and within which range: settings as the model's section knows them, `train.lr` for those of training.
A model's defaults lie inside."""

SHARED_SPACE: SearchSpace = {
    "train.lr": Real(1e-4, 1e-2, log=True),
    "train.weight_decay": Choice((0.0, 0.01, 0.1, 1.0)),
    "train.embedding_decay": Choice((0.0, 0.01, 0.1, 1.0)),
    "dropout": Real(0.0, 0.5),
    "embedding_dim": Choice((4, 8, 16, 32, 64)),
    "user_id": Choice(("none", "embedding")),
}
"""The same for every model that is trained by gradients. A model adds its depth and width, and four settings of its own at most,
so that equal budgets buy equal searches."""

BATCHES = Choice((256, 512, 1024, 2048, 4096))
"""How much a step learns from: examples of a pointwise model (`train.batch_size`), events of a sequence model
(`train.batch_events`). Searched for every model that is trained by gradients, over the same numbers."""
BATCH_SETTINGS: Mapping[str, str] = {"pointwise": "train.batch_size", "sequence": "train.batch_events"}
"""View -> which setting it is."""


@dataclass(frozen=True)
class ModelInfo:
    """A model's card in the registry."""

    name: str
    family: Family
    view: Literal["pointwise", "sequence"]
    """Which of the two batch types it reads."""
    config: type
    """Frozen dataclass of its hyper-parameters; every field has a default and a docstring."""
    build: Callable[[Any, DataSpec], Ranker]
    summary: str
    """One line for `rankbench ls models`."""
    paper: str
    """Where it was published."""
    code: str
    """Whose code runs: "own" or the library and class."""
    differs: tuple[str, ...] = ()
    """Where it departs from the paper or from the authors' code."""
    checked: str = ""
    """How its computation was checked beyond the contract tests: against what, to which precision."""
    fit: Literal["gradient", "counts"] = "gradient"
    takes_padding: bool = False
    """Batches may be filled up to one of a few shapes with what has the weight 0 (`batch.weight`): scores and gradients of the
    examples stay what they are, and the sizes of all operations follow from the batch's; see also `Ranker.moving_shape`."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """This model's own defaults among the keys of TrainConfig, e.g. {"lr": 1e-3}."""
    defaults: str = "this project's"
    """Whose settings the defaults are: of the paper or of its authors' code, on which data, and what is set otherwise here."""
    space: SearchSpace = field(default_factory=dict)
    """What tuning may change; empty for a floor, which is taken as it is. BATCHES are added to that of a model that is trained by
    gradients, so that no card can leave them out."""

    def __post_init__(self) -> None:
        if self.space and self.fit == "gradient":
            object.__setattr__(self, "space", {**self.space, BATCH_SETTINGS[self.view]: BATCHES})

    def ignores(self, key: str, supervision: str = "dense") -> str:
        """Why a setting of training changes nothing for this model; empty if it does.

        Args:
            supervision: how sequences are cut, see DataConfig.
        """
        if self.fit != "gradient" and key not in ("refit", "order"):
            return f"{self.name} learns by counting, not by gradients"
        if key == "batches" and self.view == "sequence" and supervision == "dense":
            return f"{self.name} is trained on segments of sequences, which hold whole requests"
        if key == "recompute" and self.family != "generative":
            return f"{self.name} is no stack of layers over a sequence of tokens"
        if key == "whole_step" and not self.takes_padding:
            return f"{self.name} does not take batches that are filled up to one of a few shapes"
        for view, setting in BATCH_SETTINGS.items():
            if view != self.view and setting == f"train.{key}":
                return f"{self.name} is trained on {self.view} batches; their size is {BATCH_SETTINGS[self.view]}"
        return ""
