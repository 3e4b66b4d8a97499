"""The keys of the YAML file that describes your own table, of which docs/reference/table.md is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from .equivalence import MARGIN
from .schema import ROLE_WORDS, TimeUnit


def _shown(example: str, values: str = "", left_out: str = "") -> dict[str, str]:
    """What the reference page shows of a key beside its docstring.

    Args:
        example: the key's value as it stands in a YAML file.
        values: what it may be, where the field's type does not say it.
        left_out: what holds where the key is left out, where the default does not say it.
    """
    return {"example": example, "values": values, "left_out": left_out}


@dataclass(frozen=True)
class Columns:
    """Names of the three columns without which there is no event, and of one that may be there."""

    user: str = field(default="user", metadata=_shown("uid"))
    """The column of user ids."""
    item: str = field(default="item", metadata=_shown("sku"))
    """The column of item ids."""
    time: str = field(default="time", metadata=_shown("shown_at"))
    """The column of times, in the unit that `time_unit` names."""
    request: str = field(default="", metadata=_shown("page_view", left_out="no request column"))
    """The column of request ids: rows of one user with the same value were shown together. Left out: requests follow from
    `request_window`."""

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


_FILES = "file, folder, pattern, or a list of these"
_FEATURES = "list of column names or features"


@dataclass(frozen=True)
class TableConfig:
    """The keys of the YAML file; `events` is required, and `label` unless there are impression lists."""

    events: tuple[str, ...] = field(
        default=(), metadata=_shown('[2023.parquet, "2024-*.csv.gz"]', values=_FILES, left_out="required")
    )
    """The event table: a csv, JSON lines (either may be .gz), parquet or feather file, a folder of such files, a pattern, or a
    list of them, whose rows are joined; or one of all this for each of `train`, `valid`, `test` and `history`. Paths are relative
    to the YAML file."""
    label: str = field(
        default="",
        metadata=_shown("rating >= 4", values="column, rule, or `all`", left_out="required; `outcome` with `impressions`"),
    )
    """What a positive is: a column that holds 0 and 1 (or true and false), or a rule over one column, such as `rating >= 4` or
    `behaviour == buy` or `behaviour in [cart, buy]`. `all`: every example is a positive, and negatives are sampled."""
    labels: dict = field(
        default_factory=dict, metadata=_shown("{loved: stars >= 5}", values="name: column or rule", left_out="none")
    )
    """Further outcomes, which models of several labels learn (`data.labels`). No row may lack them."""
    name: str = field(default="", metadata=_shown("shop", left_out="the YAML file's name"))
    """The data set's name in results: letters, digits, `.`, `-` and `_`, at most 100."""
    columns: dict = field(
        default_factory=dict,
        metadata=_shown("{user: uid, item: sku, time: shown_at}", values="role: column", left_out="the names below"),
    )
    """Which columns hold the user, the item, the time and, if the log has one, the request."""
    header: bool = field(default=True, metadata=_shown("false"))
    """Whether text files have a header. Without one, columns are named by position, from 1, as in
    `columns: {user: 1, item: 2, time: 4}` and `label: 3 >= 4`."""
    delimiter: str = field(
        default="", metadata=_shown('"\\t"', values="one character", left_out="a tab in `.tsv`, a comma elsewhere")
    )
    """Stands between the fields of text files; `"\\t"` for tabs."""
    quoted: bool = field(default=True, metadata=_shown("false"))
    """Whether quotation marks in text files protect what stands between them; `false`: they are ordinary characters."""
    decimal: Literal[".", ","] = field(default=".", metadata=_shown('","'))
    """The decimal sign of numbers in text. Beside a comma, points may group the digits by three."""
    time_unit: TimeUnit | None = field(
        default=None,
        metadata=_shown("ms", values="s, ms, us, ns, day, datetime", left_out="`datetime` with a `time_format`, else `s`"),
    )
    """The unit of times that are counted from 1970-01-01 UTC; `datetime` for dates."""
    time_format: str = field(
        default="", metadata=_shown('"%d/%m/%Y %H:%M"', values="as for Python's `strptime`", left_out="ISO 8601")
    )
    """The form of dates that are not ISO 8601."""
    time_zone: str = field(default="UTC", metadata=_shown("Europe/Berlin", values="IANA name"))
    """The zone of dates that name none."""
    time_origin: Literal["1970", "relative"] = field(default="1970", metadata=_shown("relative"))
    """`1970`: times are dates, and a wrong unit is looked for. `relative`: they count from a start of their own."""
    utc_offset_hours: float | None = field(
        default=None, metadata=_shown("1", left_out="that of `time_zone` without daylight saving, at the first event")
    )
    """The offset by which the hour of the day and the weekday are taken, all the year."""
    request_window: float = field(default=0.0, metadata=_shown("600", values="seconds, from 0"))
    """Events of a user within this time are one request, where `columns` names no request; 0: equal timestamps alone.
    `data.request_window` overrides it."""
    split: dict = field(
        default_factory=dict,
        metadata=_shown("{column: fold, train: [a, b], test: [c]}", values="column, or it and its values", left_out="none"),
    )
    """The column that says which rows are for `train`, `valid`, `test` or `history`, and which of its values stand for each;
    these words themselves where nothing is named."""
    impressions: dict = field(
        default_factory=dict, metadata=_shown('{column: shown, outcome: "-"}', values="keys of a list", left_out="none")
    )
    """A column whose cells list all that was shown at once: `outcome` is the sign between an item and what came of it, or
    `clicked` the column of what was clicked, and `separator` (one space) stands between entries. Each entry becomes a row."""
    behaviours: dict = field(
        default_factory=dict,
        metadata=_shown(
            "{column: kind, examples: [view, buy], history: [cart]}",
            values="column and values",
            left_out="every row is an example",
        ),
    )
    """Which rows are examples, by the column that says what a row is, and which are seen in histories alone: all others where
    `history` is left out. Rows of any other behaviour are left out."""
    action: tuple[str, ...] = field(
        default=(),
        metadata=_shown("[stars, channel]", values="list of columns", left_out="the column of `behaviours`, else of `label`"),
    )
    """The columns whose combination says what the user did at a past event; models see it in histories."""
    domain: dict = field(
        default_factory=dict,
        metadata=_shown("{column: tab, meaning: page of the app}", values="column, or column and meaning", left_out="none"),
    )
    """A context feature that names the market or the page, as if it came first in `context_features`; `data describe` shows its
    values."""
    users: tuple[str, ...] = field(default=(), metadata=_shown("customers.csv", values=_FILES, left_out="the event table"))
    """A table with one row for each user."""
    user_key: str = field(default="", metadata=_shown("customer", values="column", left_out="the name of the user column"))
    """The column of user ids in `users`."""
    items: tuple[str, ...] = field(default=(), metadata=_shown("products.parquet", values=_FILES, left_out="the event table"))
    """A table with one row for each item."""
    item_key: str = field(default="", metadata=_shown("id", values="column", left_out="the name of the item column"))
    """The column of item ids in `items`."""
    user_features: list = field(
        default_factory=list, metadata=_shown("[segment, {column: age, kind: number}]", values=_FEATURES, left_out="none")
    )
    """Columns of `users`, or of the event table if each user has one value throughout."""
    item_features: list = field(
        default_factory=list, metadata=_shown("[brand, {column: price, kind: number}]", values=_FEATURES, left_out="none")
    )
    """Columns of `items`, or of the event table if each item has one value throughout."""
    context_features: list = field(
        default_factory=list, metadata=_shown("[device, {column: basket, kind: number}]", values=_FEATURES, left_out="none")
    )
    """Columns of the event table that are known when an item is shown; never an outcome."""
    steps: list = field(
        default_factory=list,
        metadata=_shown("[repeats, {step: k-core, users: 10}]", values="list of steps", left_out="none"),
    )
    """What leaves rows out once the table is converted, in this order: `k-core`, `repeats`, `bots`, `short-histories`,
    `sample-users`, each with its keys below."""
    default_split: str = field(
        default="",
        metadata=_shown(
            "per-user-time", values="a split", left_out="`declared` if the source says what is the test, else `global-time`"
        ),
    )
    """What `--split default` means: `global-time`, `per-user-time`, `leave-one-out`, `chrono-rank` or `declared`."""
    margin: Annotated[float, Ge(0)] = field(default=MARGIN, metadata=_shown("0.005"))
    """Up to which difference of a metric two models count as equivalent: boards call them so where the whole interval of the
    difference lies within ± this."""
    licence: str = field(default="not stated", metadata=_shown("internal"))
    """Shown by `rankbench data describe`."""
    citation: str = field(default="none", metadata=_shown("Miller 2024, Our shop"))
    """Shown by `rankbench data describe`."""
