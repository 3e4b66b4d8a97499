"""A guess as the YAML file that it proposes: each key with the reason for it, open ones without a value."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ...errors import UserError
from .guesses import Guess, guess
from .tables import patterns_of


@dataclass(frozen=True)
class Proposal:
    """A YAML file, and what is to be said of it."""

    text: str
    guessed: tuple[str, ...]
    """What was told by names and values, and may be wrong."""
    open: tuple[str, ...]
    """What nobody but the owner can say; the file cannot be read before it is."""
    left_out: tuple[str, ...] = ()
    """Files of a folder that are of no use, and why."""


class _Lines:
    """The lines of the file as they come."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.guessed: list[str] = []
        self.open: list[str] = []

    def key(self, key: str, value: object, reason: str = "", said: bool = False) -> None:
        """A line of the file; `said`: its reason is worth being printed."""
        self.lines.append(f"{key}: {_plain(value)}" + (f"  # {reason}" if reason else ""))
        if said:
            self.guessed.append(f"{key}: {_plain(value)}" + (f" ({reason})" if reason else ""))

    def ask(self, key: str, question: str, suggestions: Sequence[str] = ()) -> None:
        """A key without a value, which is an error until it has one."""
        self.lines += [f"# {question}", *(f"# {key}: {one}" for one in suggestions), f"{key}:"]
        self.open.append(f"{key}: {question}")

    def note(self, text: str) -> None:
        self.lines.append(f"# {text}")


def propose(files: Sequence[Path], target: Path) -> Proposal:
    """The YAML file `target` that might describe `files`.

    Raises:
        UserError: a file that cannot be read, or that is neither events nor about their users or items.
    """
    found = guess(files)
    lines = _Lines()
    lines.note("Proposed from the first rows of the files: read every line, and see docs/howto/own-data.md for all keys.")
    _files(found, target, lines)
    _roles(found, lines)
    _time(found, lines)
    _labels(found, lines)
    _sides(found, target, lines)
    if found.unused:
        lines.note(f"Not used: {', '.join(found.unused)}.")
        lines.note("What is known when an item is shown belongs under context_features: [...]; what came of it under labels.")
    left_out = tuple(f"{', '.join(patterns_of(one.paths, None, target))}: {one.why}" for one in found.left_out)
    for one in left_out:
        lines.note(f"Left out: {one}.")
    return Proposal("\n".join(lines.lines) + "\n", tuple(lines.guessed), tuple(lines.open), left_out)


def write_proposal(proposal: Proposal, target: Path, force: bool) -> None:
    """Write the file.

    Raises:
        UserError: it is there already and `force` is false, or cannot be written.
    """
    try:
        with target.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(proposal.text)
    except FileExistsError:
        raise UserError(f"{target} is there already: write --force to replace it, or name another by --to") from None
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror}") from None


def _files(found: Guess, target: Path, lines: _Lines) -> None:
    folder = found.table.folder
    plain = {role: _one(patterns_of(paths, folder, target)) for role, paths in found.parts.items()}
    if "" in plain:
        reason = "" if folder is None else f"{_counted(found.parts[''])} with the columns {', '.join(found.table.columns[:8])}"
        lines.key("events", plain[""], reason, said=folder is not None)
    else:
        # Named after the file of training rows, the data set would be called `train`.
        if folder is None:
            name = re.sub(r"[^\w.-]+", "-", target.absolute().parent.name, flags=re.ASCII)[:100] or "data"
            lines.key("name", name, "of the folder")
        lines.key("events", plain, "by the names of the files", said=True)
    sample = found.events
    if not sample.header:
        lines.key("header", False, "the first row is data: columns are named by position, from 1", said=True)
    if sample.delimiter:
        lines.key("delimiter", sample.delimiter)
    if not all(one.quoted for one in (sample, *(side.sample for side in found.sides))):
        lines.key("quoted", False, "quotation marks are ordinary characters", said=True)
    if found.decimal_comma:
        lines.key("decimal", ",", "numbers such as 3,5", said=True)


def _roles(found: Guess, lines: _Lines) -> None:
    columns = dict(found.columns)
    frame = found.events.frame
    missing = [role for role in ("user", "item", "time") if role in columns and columns[role] is None]
    named = {role: columns[role] for role in ("user", "item", "time", "request") if columns.get(role)}
    known = {role: name if found.events.header else int(str(name)) for role, name in named.items()}
    if missing:
        shown = "; ".join(f"{name}: {', '.join(map(str, frame[name].dropna().unique()[:3]))}" for name in frame.columns[:12])
        asked = ", ".join(f"{role}: ..." for role in missing)
        have = "".join(f", {role}: {name}" for role, name in known.items())
        question = f"Which columns are {' and '.join(missing)}? First values of each: {shown}"[:400]
        lines.ask("columns", question, [f"{{{asked}{have}}}"])
    elif any(role != name for role, name in known.items()):
        lines.key("columns", known, "" if found.events.header else "by their values", said=not found.events.header)
    if found.impressions is not None:
        column, sign = found.impressions
        number = column if found.events.header else int(column)
        reason = f"an entry such as {frame[column].dropna().iloc[0].split()[0]} is an item and what came of it"
        lines.key("impressions", {"column": number, "outcome": sign}, reason, said=True)
    if found.clicked is not None:
        lines.key("impressions", dict(zip(("column", "clicked"), found.clicked, strict=True)), "by their names", said=True)
    if found.split is not None:
        if set(found.split_words) <= {"train", "valid", "test", "history"}:
            lines.key("split", found.split)
        else:
            question = f"Which of {', '.join(found.split_words)} in column {found.split} is for training, validation and test?"
            lines.ask("split", question, [f"{{column: {found.split}, train: ..., valid: ..., test: ...}}"])
    if found.domain is not None:
        values = ", ".join(map(str, frame[found.domain].value_counts().index[:6]))
        lines.key(
            "domain", found.domain, f"is it a part of the service, known when an item is shown? values: {values}", said=True
        )


def _time(found: Guess, lines: _Lines) -> None:
    column = found.columns.get("time")
    if column is None:
        return
    time = found.time
    if time is None:
        first = ", ".join(map(str, found.events.values(column).iloc[:3]))
        lines.ask(
            "time_unit",
            f"In which unit are times such as {first}? If they count from a start of their own, add time_origin: relative",
            ["s", "ms", "us", "ns", "day"],
        )
    elif time.form is not None and len(time.form.forms) == 1:
        lines.key("time_format", time.form.forms[0], time.form.what, said=True)
    elif time.form is not None:
        lines.ask("time_format", time.form.said, [json.dumps(form) for form in time.form.forms])
    else:
        if time.unit != "s":
            lines.key("time_unit", time.unit)
        lines.guessed.append(f"times are of unit {time.unit}: from {time.first} to {time.last}; is that right?")
    if time is not None and time.unit == "datetime":
        lines.note("time_zone: Europe/Berlin  # dates that name no zone are read as UTC")


def _labels(found: Guess, lines: _Lines) -> None:
    if found.impressions or found.clicked:
        return
    if found.behaviour is not None:
        kinds = ", ".join(found.kinds)
        if found.wanted is None:
            question = f"Which of {kinds} in column {found.behaviour} is to be predicted?"
            lines.ask("label", question, [f"{found.behaviour} == {found.kinds[-1]}"])
        else:
            lines.key("label", f"{found.behaviour} == {found.wanted}", f"of {kinds}; several: in [a, b]", said=True)
            examples = [kind for kind in (found.kinds[0], found.wanted)]
            history = [kind for kind in found.kinds if kind not in examples]
            chosen = _plain({"column": found.behaviour, "examples": examples, "history": history})
            lines.note("Every row is an example now. If some are to be seen in histories alone:")
            lines.note(f"behaviours: {chosen}")
            lines.key("action", [found.behaviour])
    elif found.label_rule is not None:
        same = found.label_rule == found.label
        lines.key("label", found.label_rule, "" if same else "is this the border of a good rating?", said=True)
        if found.flags:
            lines.key("labels", {_label_name(one): one for one in found.flags}, "further outcomes", said=True)
            lines.key("action", [str(found.label), *found.flags])
    elif found.label is not None:
        first = ", ".join(map(str, found.events.values(found.label).unique()[:5]))
        lines.ask("label", f"Which values of {found.label} ({first}, ...) are positive?", [f"{found.label} >= ..."])
    else:
        columns = ", ".join(found.events.frame.columns)
        lines.ask(
            "label",
            f"Which of the columns {columns} says what came of a row? If every row is a positive, write all",
            ["all", "some_column", "some_column >= 4"],
        )


def _label_name(column: str) -> str:
    return column.removeprefix("is_")


def _sides(found: Guess, target: Path, lines: _Lines) -> None:
    for side in found.sides:
        plural, key = f"{side.owner}s", side.key if side.sample.header else int(side.key)
        lines.key(plural, _one(side.table.pattern(target)), f"its column {key} holds ids of {plural}", said=True)
        # The key is called as in the events unless it is said.
        if side.key != (found.columns.get(side.owner) or side.owner):
            lines.key(f"{side.owner}_key", key)
        if side.owner not in found.features:
            lines.ask(f"{side.owner}_features", f"Which columns of {side.sample.path.name} are of use?", ["[a, b]"])
    for owner, features in found.features.items():
        header = all(side.sample.header for side in found.sides if side.owner == owner)
        entries: list[object] = []
        for column, kind, separator in features:
            name = column if header else int(column)
            entry: dict[str, object] = {"column": name, "kind": kind}
            if separator not in (None, " "):
                entry["separator"] = separator
            entries.append(name if kind == "category" else entry)
        lines.key(f"{owner}_features", entries, "by their values", said=True)


def _one(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


def _counted(paths: Sequence[Path]) -> str:
    return "the file" if len(paths) == 1 else f"{len(paths):,} files"


def _plain(value: object) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True).strip()
    return text.removesuffix("...").strip()
