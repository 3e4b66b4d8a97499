"""Why runs of before do not count: what is said when the data of a place are no longer those that they saw."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..data.content import ContentFacts
from ..errors import UserError
from .schema import Identity
from .store import Store, place_name, safe_name

_NAMES = {
    "converter": "version of the converter",
    "label": "label rule",
    "labels": "further labels",
    "actions": "actions",
    "features": "features",
    "utc_offset_hours": "utc_offset_hours",
}
"""Field of ContentFacts -> how it is called."""


def about_change(store: Store, identities: list[Identity], facts: ContentFacts) -> list[str]:
    """One line where cells start over because their data changed; none if they never ran, or ran on these data.

    Args:
        identities: of cells on one data set and split, at least one.
        facts: of the data as they are now.
    """
    now = identities[0]
    try:
        earlier = store.records(now.dataset, now.split)
    except UserError:  # a broken record is named where records are read for their results
        return []
    if any(record.identity.content_hash == now.content_hash for record in earlier):
        return []
    if earlier:
        what = what_changed(max(earlier, key=lambda record: record.finished).data.content, facts)
        runs = store.runs / place_name(now.dataset, now.split)
        changed = f"the data changed since the last run ({what})"
        return [f"{now.dataset}: {changed}: its cells start over; the earlier runs stay in {runs}"]
    left = [path for identity in identities for path in _left(store, identity)]
    changed = "the data changed since a run was interrupted"
    return [f"{now.dataset}: {changed}: it starts over; its checkpoint stays in {left[0].parent}"] if left else []


def _left(store: Store, identity: Identity) -> list[Path]:
    """Checkpoints of the same settings and seed on other data."""
    own = store.checkpoint_path(identity)
    found = own.parents[1].glob(f"{safe_name(identity.config_hash)}-*/{own.name}")
    return sorted(path for path in found if path != own)


def what_changed(before: ContentFacts, now: ContentFacts) -> str:
    """In one line, what makes the content of data another one."""
    changes = []
    for field in dataclasses.fields(ContentFacts):
        old, new = _shown(getattr(before, field.name)), _shown(getattr(now, field.name))
        if old != new:
            changes.append(f"{_NAMES.get(field.name, field.name)} {old!r} is now {new!r}")
    return "; ".join(changes) or "its rows hold other values"


def _shown(value: object, between: str = ", ") -> str:
    """A value of ContentFacts in few words."""
    if isinstance(value, tuple):
        return between.join(_shown(part, " ") for part in value) or "none"
    if dataclasses.is_dataclass(value):
        parts = [str(part) for part in dataclasses.astuple(value)]  # type: ignore[arg-type]
        return " ".join(part for part in parts if part.strip())
    return str(value)
