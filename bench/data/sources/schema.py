"""What every data source delivers: raw tables as pandas frames, and which of their columns mean what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

from ..steps.declared import Step
from .equivalence import MARGIN
from .values import Decimal

TimeUnit = Literal["s", "ms", "us", "ns", "day", "datetime"]

ALL_POSITIVE = "all"
"""A label rule: every example is a positive, nothing was logged that the user did not want; what is history alone is none."""


@dataclass(frozen=True)
class Feature:
    """One column of side information."""

    column: str
    """The column's name, which is also the field's: not user, item, time, request, role, label, action, hour, weekday or
    since_last."""
    kind: Literal["category", "multi", "number"] = "category"
    """`category`: one value a row. `multi`: several values, in a list column of parquet or JSON lines, or in one string.
    `number`: cut into 16 bins at quantiles of training."""
    separator: str = " "
    """Stands between the values of a multi-valued string. No value of a list may hold it."""


@dataclass(frozen=True)
class Label:
    """A further outcome of an event, which several-label models can learn beside the main one (`data.labels`)."""

    name: str
    rule: str
    """As Schema.label, except ALL_POSITIVE."""


@dataclass(frozen=True)
class Domain:
    """The context feature that says to which part of a service an event belongs: a market, a page, a product line."""

    column: str
    meaning: str = ""
    """What its values are, in a few words, for people."""


ROLE_WORDS = ("", "train", "valid", "test", "history")
"""What the column `role` of an event table may say, and its codes 0 to 4. Empty: the row is an example, and splits decide which.
history: no example; later examples of its user see it."""
HISTORY = ROLE_WORDS.index("history")


@dataclass(frozen=True)
class Schema:
    """Which columns of the event, user and item tables mean what."""

    label: str
    """Column of the event table with 0 / 1, a rule over one column, such as `rating >= 4`, or ALL_POSITIVE."""
    action: tuple[str, ...]
    """Columns of the event table that say what the user did; their combination is the action of a past event."""
    user_features: tuple[Feature, ...] = ()
    item_features: tuple[Feature, ...] = ()
    context_features: tuple[Feature, ...] = ()
    """Known at the time of the request, logged with the event. An outcome of the event is never context."""
    time_unit: TimeUnit = "s"
    """Of the column `time`, counted from 1970 (UTC); `datetime`: dates, in the form of time_format."""
    time_format: str = ""
    """Of dates, as for strptime; empty: ISO 8601."""
    time_zone: str = "UTC"
    """Of dates that name none, by its IANA name."""
    calendar: bool = False
    """Times are those of a calendar: one before 1990 or after 2050 shows that the unit is wrong."""
    utc_offset_hours: float | None = None
    """Hour of the day and weekday are taken with this offset; None: that of time_zone, daylight saving aside."""
    decimal: Decimal = "."
    """The decimal sign of numbers in text."""
    labels: tuple[Label, ...] = ()
    request_ids: bool = False
    """The event table has a column `request`: rows of one user with the same value were shown together."""
    request_at_time: bool = False
    """Values of `request` tell apart what was shown at one moment alone: at another time they name another request."""
    roles: bool = False
    """The event table has a column `role`, each value one of ROLE_WORDS."""
    domain: Domain | None = None
    """One of context_features."""
    request_window: float = 0.0
    """Seconds within which a user's events count as one request unless settings say otherwise; 0: equal timestamps alone."""
    margin: float = MARGIN
    """Up to which difference of a metric two models count as equivalent on these data."""


@dataclass(frozen=True)
class SourceFile:
    """A file that was read: enough to tell later whether it was the same one."""

    name: str
    origin: str
    """`url <address>`, `data root` or `wheel <name>==<version>`; never a path of this machine."""
    sha256: str
    bytes: int


class EventBlocks(Protocol):
    """Rows of an event table that is too large to be held whole; read once."""

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Blocks of rows with the columns that the schema names, in source order; of ids as files have them."""
        ...

    def finish(self, raw: RawLog) -> RawLog:
        """The log with what is known once all blocks were read: rows that were left out."""
        ...


Repeated = Literal["refused", "equal", "first", "all"]
"""What a table of users or items may do with an id of the log that it lists more than once: nothing; say the same each time; say
anything, and the first row counts; add a value, of features of kind multi alone, of which each counts once, in order of their
numbers, then those that are none, in order of text."""

Within = Literal["same", "least"]
"""Which value an id has of a feature that stands in every one of its events: the one that all of them have, those aside where it
is missing; the smallest, texts by code point. No value depends on time, which would carry the future into the past."""


class SideTable(Protocol):
    """A table of users or items that is too large to be held whole; may be read more than once."""

    @property
    def repeated(self) -> Repeated: ...

    @property
    def where(self) -> str:
        """For messages: what lists the ids."""
        ...

    @property
    def ids(self) -> str:
        """For messages: the ids."""
        ...

    def __iter__(self) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
        """Some rows at a time: their ids as files have them, and the columns that the schema names."""
        ...

    def check(self) -> None:
        """Refuse at once what can be seen at once.

        Raises:
            UserError: a file is missing, unreadable or lacks a column.
        """
        ...


@dataclass(frozen=True)
class RawLog:
    """A data set as it was published, before cleaning, sorting and encoding."""

    name: str
    events: pd.DataFrame | EventBlocks
    """Columns user, item, time and those that the schema names, in source order."""
    users: pd.DataFrame | SideTable | None
    """Columns of schema.user_features; of a frame the index is the user id as string, unique."""
    items: pd.DataFrame | SideTable | None
    """Likewise."""
    schema: Schema
    files: tuple[SourceFile, ...]
    licence: str
    citation: str
    default_split: str = "global-time"
    bayes_auc: float | None = None
    """Best reachable AUC, known for simulated data only."""
    where: str = ""
    """The first file of events, for messages."""
    named: Mapping[str, str] = field(default_factory=dict)
    """Role -> the column of the files that has it, for messages."""
    within: Mapping[str, Within] = field(default_factory=dict)
    """Those features of users and items that stand in the event table rather than in users or items."""
    left_out: int = 0
    """Rows that the source or its description leaves out, such as those of behaviours that are not asked for."""
    notes: tuple[str, ...] = field(default=())
    """One line each; shown by `data describe`."""
    steps: tuple[Step, ...] = ()
    """What leaves rows out once the log is converted, in its order."""
    variant_of: str = ""
    """The data set whose rows these are before the steps: they are converted once for all of its variants."""


@dataclass(frozen=True)
class DataRoots:
    """Where data may lie and where it may be kept."""

    root: Path | None
    """`--data-root` or RANKBENCH_DATA: a folder with one sub-folder per data set, laid out as published."""
    cache: Path
    """Downloads and converted event logs; RANKBENCH_CACHE, else ~/.cache/rankbench."""
