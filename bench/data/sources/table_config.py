"""The keys of the YAML file that describes your own table. docs/data.md explains each; table_description.py checks them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from .equivalence import MARGIN
from .schema import ROLE_WORDS, TimeUnit


@dataclass(frozen=True)
class Columns:
    """Names of the three columns without which there is no event, and of one that may be there."""

    user: str = "user"
    item: str = "item"
    time: str = "time"
    request: str = ""
    """Rows of one user with the same value were shown together. Left out: requests follow from request_window."""

    def named(self) -> dict[str, str]:
        """Role -> column, of those that there are."""
        return {role: column for role, column in vars(self).items() if column}


@dataclass(frozen=True)
class SplitColumn:
    """A column that says which rows are for training, validation and test."""

    column: Annotated[str, MinLen(1)]
    train: tuple[str, ...] = ("train",)
    valid: tuple[str, ...] = ("valid",)
    test: tuple[str, ...] = ("test",)
    history: tuple[str, ...] = ("history",)
    """Of rows that are no examples, and that later examples of their user see."""

    def words(self) -> Iterator[tuple[str, str]]:
        """Each value of the column and the role that it stands for."""
        for role in ROLE_WORDS[1:]:
            yield from ((word, role) for word in getattr(self, role))


@dataclass(frozen=True)
class Impressions:
    """A column whose cells list all items that were shown at once: each entry becomes a row, the cell a request."""

    column: Annotated[str, MinLen(1)]
    separator: Annotated[str, MinLen(1)] = " "
    """Between the entries of a cell of text."""
    outcome: str = ""
    """The sign between an item and what came of it, as `-` in `N1-0`; the last one of an entry counts. Empty: items alone."""
    clicked: str = ""
    """The column whose cells list those of the items that were clicked."""


@dataclass(frozen=True)
class Behaviours:
    """A column that says what kind of behaviour a row is, and which kinds are asked for."""

    column: Annotated[str, MinLen(1)]
    examples: Annotated[tuple[str, ...], MinLen(1)]
    """Rows of these are examples; they are seen in later histories, too."""
    history: tuple[str, ...] | None = None
    """Rows of these are seen in histories alone; None: all that are no examples. Rows of any other are left out."""


@dataclass(frozen=True)
class TableConfig:
    """The keys of the YAML file; `events` is required, and `label` unless there are impression lists."""

    events: tuple[str, ...] = ()
    """One file, folder or pattern, or a list of them, whose rows are joined; relative to the YAML file. Or one of these for each
    of train, valid, test and history."""
    label: str = ""
    labels: dict = field(default_factory=dict)
    name: str = ""
    """Left out: the name of the YAML file."""
    columns: dict = field(default_factory=dict)
    header: bool = True
    """False: text files have no header, and columns are named by position, from 1."""
    delimiter: str = ""
    """Between the fields of text files; `"\\t"` for tabs. Empty: a tab in .tsv, a comma elsewhere."""
    quoted: bool = True
    """False: quotation marks in text files are ordinary characters."""
    decimal: Literal[".", ","] = "."
    time_unit: TimeUnit | None = None
    """None: datetime where there is a time_format, else s."""
    time_format: str = ""
    time_zone: str = "UTC"
    time_origin: Literal["1970", "relative"] = "1970"
    utc_offset_hours: float | None = None
    request_window: float = 0.0
    split: dict = field(default_factory=dict)
    impressions: dict = field(default_factory=dict)
    behaviours: dict = field(default_factory=dict)
    action: tuple[str, ...] = ()
    domain: dict = field(default_factory=dict)
    users: tuple[str, ...] = ()
    user_key: str = ""
    items: tuple[str, ...] = ()
    item_key: str = ""
    user_features: list = field(default_factory=list)
    item_features: list = field(default_factory=list)
    context_features: list = field(default_factory=list)
    default_split: str = ""
    """Empty: declared where the source says what is test, else global-time."""
    margin: Annotated[float, Ge(0)] = MARGIN
    """Up to which difference of a metric two models count as equivalent."""
    licence: str = "not stated"
    citation: str = "none"
