"""docs/reference/protocols.md: what `--protocol NAME` follows."""

from __future__ import annotations

from ...protocols import PROTOCOLS, Protocol
from ..board_files import markdown_table


def page() -> str:
    """The whole page."""
    return f"""\
# Protocols of others

Generated from the code by `rankbench ls protocols --markdown`; a test holds it up to date.

`--protocol NAME` of `run`, `sweep` and `study` follows somebody else's way to split, ask and score, so that your numbers may
stand beside theirs: it names the data set, sets what is listed here, and `run` prints their score below the board: a metric
with the intervals of [all metrics](../ideas/intervals.md), or what it took to reach a quality ([once through
time](../howto/stream.md)). It is no setting of its own: records hold what it sets, and `rankbench board --protocol NAME` finds
the runs that followed it. What it sets cannot be changed, except where its table says so.

{"".join(_section(protocol) for protocol in PROTOCOLS.values())}"""


def _section(protocol: Protocol) -> str:
    rows = [[f"`{key}`", _values(protocol, key), protocol.why[key]] for key in protocol.settings]
    table = "\n".join(markdown_table([["setting", "value", "why"], *rows]))
    differs = "".join(f"- {line}\n" for line in protocol.differs)
    sets = ", ".join(f"`{name}`" for name in protocol.datasets)
    return f"""\
## {protocol.name}

{protocol.summary}. Followed by {protocol.followed_by}. Data sets: {sets}.

{table}
{_targets(protocol)}
Where it is not theirs to the letter:

{differs}"""


def _values(protocol: Protocol, key: str) -> str:
    """What it sets a key to, and on which data sets to something else."""
    others = {name: own[key] for name, own in protocol.own.items() if key in own}
    return "; ".join([f"`{_value(protocol.settings[key])}`", *(f"on {name} `{_value(value)}`" for name, value in others.items())])


def _value(value: object) -> str:
    """As one writes it behind --set."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _targets(protocol: Protocol) -> str:
    if not protocol.targets:
        return ""
    rows = [[f"`{name}`", f"{target.auc:g}", target.why] for name, target in protocol.targets.items()]
    return "\n" + "\n".join(markdown_table([["data set", "AUC to reach", "why"], *rows])) + "\n"
