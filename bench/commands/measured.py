"""What the verbs that measure speed share: options, the state of the process, and how a table is shown, kept and drawn.

Speeds are printed and kept, never judged.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .parser import Parser
from .values import positive

if TYPE_CHECKING:
    import torch

    from ..records.schema import Environment
    from ..records.store import Store


def add_rounds(parser: Parser) -> None:
    parser.add_argument(
        "--rounds", type=positive, default=3, metavar="N", help="how often each contender is measured, in turn (default: 3)"
    )


def as_in_runs(threads: int) -> None:
    """Give this process the threads and the memory, for all contenders, that a worker of `rankbench run` has."""
    import torch

    from .. import device as devices

    torch.set_num_threads(threads)
    devices.keep_freed_memory()


def writable(args: argparse.Namespace) -> Store:
    """The results folder, known to be writable before anything is measured."""
    from ..records.store import Store

    store = Store(args.results)
    store.check_writable()
    return store


def by_case(values: Iterable[tuple[str, str, list[float]]]) -> dict[str, dict[str, list[float]]]:
    """(case, contender, one value per round) as case -> contender -> values."""
    cases: dict[str, dict[str, list[float]]] = {}
    for case, contender, rounds in values:
        cases.setdefault(case, {})[contender] = rounds
    return cases


def record_name(words: Iterable[object], choices: Mapping[str, tuple[object, object]], settings: Iterable[str] = ()) -> str:
    """The name of a record: what every call says, then what this one chose other than usual.

    Measurements of different things stand beside each other; one that is made again takes the place of the former. How long and
    how often something is measured is no part of the name.

    Args:
        choices: option -> what it has, and what it has where nobody chooses. Several values are a tuple.
        settings: of `--set`.
    """
    from ..records.store import variant_name

    changed = {option: _in_name(chosen) for option, (chosen, usual) in choices.items() if chosen != usual}
    changed |= {key: value for key, _, value in (one.partition("=") for one in settings)}
    return "-".join([*map(str, words), *([variant_name(changed)] if changed else [])])


def _in_name(value: object) -> str:
    return ",".join(map(str, value or ("none",))) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class SpeedReport:
    """Where a verb's numbers go, and how they are named."""

    store: Store
    name: str
    """Of its files, without suffix."""
    device: torch.device
    said: str
    """What was measured, in words: stands above the table and the figure."""
    threads: tuple[int, ...] = ()
    """Of torch, where they are among what is compared; else those of this process."""

    @functools.cached_property
    def environment(self) -> Environment:
        """What the numbers were measured in."""
        from ..records import provenance

        return provenance.environment(self.device)

    def write(self, rows: Sequence[Any], more: Mapping[str, Any] | None = None) -> Path:
        """Keep rows (and `more`) with the environment they were measured in; returns the record's place."""
        from .. import device as devices
        from ..atomic import write_text

        record = {"environment": dataclasses.asdict(self.environment), "device": str(self.device), "said": self.said}
        record |= {"simulated": devices.is_simulated(self.device), "rows": [dataclasses.asdict(row) for row in rows]}
        path = self.store.root / f"{self.name}.json"
        write_text(path, json.dumps(record | dict(more or {}), indent=1) + "\n")
        return path

    def publish(
        self,
        rows: Sequence[Any],
        lines: Sequence[str],
        title: str,
        unit: str,
        cases: dict[str, dict[str, list[float]]],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Show a table, keep its numbers, and draw them: case -> contender -> one value per round, in `unit`."""
        from ..reporting import figures
        from ..reporting.figures import speed

        threads = ", ".join(map(str, self.threads or (self.environment.threads,)))
        where = f"{self.environment.accelerator or self.environment.cpu}, {threads} thread(s)"
        timing = speed.Timing(title, f"{where}, {self.said}; bars are the range over rounds", unit, cases)
        path = self.write(rows, {**(more or {}), "figure": dataclasses.asdict(timing)})
        print(f"{where}, {self.said}\n")
        print(*lines, sep="\n")
        paths = figures.save(speed.figure(timing), self.store.root / self.name)
        print(f"\nrecord: {path}, figure: {', '.join(map(str, paths))}")
