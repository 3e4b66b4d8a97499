"""What `rankbench data check` found, as lines for a terminal and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..data.dataset import RankingData
from ..inspection.finding import LIMITS, LOOKED_FOR, Fault
from .board_files import markdown_table


def to_lines(faults: Sequence[Fault]) -> Iterator[str]:
    """A line a fault with what to do below it, and what was not found."""
    for fault in faults:
        yield f"{fault.severity}: {fault.kind}: {fault.what}"
        yield f"  what to do: {fault.todo}"
    quiet = [kind for kind in LOOKED_FOR if kind not in {fault.kind for fault in faults}]
    if quiet:
        yield f"nothing found: {', '.join(quiet)}"
    yield verdict(faults)


def verdict(faults: Sequence[Fault]) -> str:
    """How many there are of each severity."""
    serious = sum(fault.severity == "serious" for fault in faults)
    return f"{serious} serious, {len(faults) - serious} to look at"


def to_markdown(data: RankingData, faults: Sequence[Fault], command: str) -> str:
    """The page: what was found with what to do, what was looked for, and what no check can find."""
    log, split = data.log, data.split
    found = {kind: [fault for fault in faults if fault.kind == kind] for kind in LOOKED_FOR}
    rows = [["", "looked for", "found"]]
    for kind, said in LOOKED_FOR.items():
        words = ", ".join(dict.fromkeys(fault.severity for fault in found[kind])) or "-"
        rows.append([kind, said, f"**{words}**" if "serious" in words else words])
    parts = [
        f"# {log.meta.name}: what was looked for in it, and found",
        f"{log.meta.events:,} rows of {log.meta.users:,} users and {log.meta.items:,} items, split {split.name}: "
        f"{verdict(faults)}. Serious: results on this log would mislead. To look at: right for some logs; whoever knows this one "
        "can tell.",
        *(f"## {fault.kind}: {fault.severity}\n\n{fault.what}\n\nWhat to do: {fault.todo}" for fault in faults),
        "## What was looked for",
        "\n".join(markdown_table(rows)),
        "## What no check can find",
        "\n".join(f"- {line}" for line in LIMITS),
        f"Content hash {log.meta.content_hash[:12]}. Made by `{command}`.",
    ]
    return "\n\n".join(parts) + "\n"
