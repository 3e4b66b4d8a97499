"""docs/reference/models.md: every model's card, generated from the registry, so that it cannot say what the code does not."""

from __future__ import annotations

import dataclasses

from ... import registry
from ...contract import BATCH_SETTINGS, BATCHES, SHARED_SPACE, Choice, DataSpec, Field, ModelInfo, Range
from ...data.segments import longest_segment
from ...evaluation.evaluator import parameter_counts
from ..board_files import markdown_table
from . import fields

USERS = ITEMS = 10_000
HISTORY = 50


def _head() -> str:
    shared = "\n".join(f"- `{name}`: {_range(values)}" for name, values in SHARED_SPACE.items())
    batches = f"- {' or '.join(f'`{name}` ({view})' for view, name in BATCH_SETTINGS.items())}: {_range(BATCHES)}"
    return f"""\
# Models

Generated from the registry by `rankbench ls models --markdown`; a test holds it up to date. Parameters are embedding + dense,
at default settings, for a data set of {USERS:,} users, {ITEMS:,} items, one item field and a history of {HISTORY} events.
"Checked by" names what is checked beyond the contract tests, which every model passes: no leak, no dependence on batch mates
or on the order of candidates, no time information where it is switched off, nothing learnt from shuffled labels.

Tuning searches the same settings of every model that is trained by gradients and has them, and in the same ranges:

{shared}
{batches}

Beside these it searches the model's depth and width and at most four settings of its own: the column "searched".
"""


def page() -> str:
    """The whole page."""
    cards = [registry.info(name) for name in registry.MODELS]
    table = [["model", "family", "parameters", "paper", "code", "checked by"], *(_row(card) for card in cards)]
    return "\n".join([_head(), *markdown_table(table), "", *(line for card in cards for line in _section(card))]).rstrip() + "\n"


def _row(card: ModelInfo) -> list[str]:
    embedding, dense = parameter_counts(card.build(card.config(), _spec()))
    return [
        f"[{card.name}](#{card.name})",
        card.family + (", core" if registry.MODELS[card.name].core else ""),
        f"{embedding:,} + {dense:,}",
        card.paper,
        card.code,
        card.checked or "-",
    ]


def _spec() -> DataSpec:
    return DataSpec(
        user=(Field("user", USERS + 2),),
        item=(Field("item", ITEMS + 2), Field("genres", 20, multi=True)),
        context=tuple(Field(name, size, derived=True) for name, size in (("hour", 26), ("weekday", 9), ("since_last", 74))),
        action=Field("action", 7),
        history_length=HISTORY,
        longest_segment=longest_segment(HISTORY),
        time="request",
        gap_buckets=72,
        positive_rate=0.5,
    )


def _section(card: ModelInfo) -> list[str]:
    lines = [f"## {card.name}", "", f"{card.summary[0].upper()}{card.summary[1:]}."]
    if card.family != "floor":
        lines += ["", f"Default settings: {card.defaults}."]
    if card.differs:
        lines += ["", "Differs from the paper or its authors' code:", "", *(f"- {point}" for point in card.differs)]
    settings = dataclasses.fields(card.config)
    if settings:
        texts, values = fields.texts(card.config), fields.values(card.config)
        table = [["setting", "default", "values", "searched", "what it does"]]
        for field in settings:
            searched = _range(card.space[field.name]) if field.name in card.space else ""
            default = f"`{fields.shown(field.default)}`"
            table.append([f"`{field.name}`", default, values[field.name], searched, texts.get(field.name, "")])
        lines += ["", *markdown_table(table)]
    return [*lines, ""]


def _range(values: Range) -> str:
    if isinstance(values, Choice):
        return ", ".join("-".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values.values)
    return f"{values.low} to {values.high}" + (" (log)" if getattr(values, "log", False) else "")
