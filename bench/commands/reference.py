"""docs/reference/commands.md: every command with its options and examples, as its parser has them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator

from .. import commands
from . import COMMANDS
from .parser import Parser

PACKAGE = commands.__name__


def commands_page() -> str:
    """The whole page."""
    program = Parser(prog="rankbench", description="")
    program.add_modules("command", PACKAGE, COMMANDS)
    assert program.verbs is not None
    lines = [
        "# Commands",
        "",
        "Generated from the code by `rankbench ls commands --markdown`; a test holds it up to date. What commands are for:",
        "[commands at a glance](../start/commands.md). Exit codes: 0 done, 1 a run or a check failed, 2 wrong usage or input,",
        "130 interrupted.",
        "",
    ]
    for name, parser in program.verbs.choices.items():
        lines += _section(parser, f"{PACKAGE}.{name}", COMMANDS[name])
    return "\n".join(lines).rstrip() + "\n"


def _section(parser: Parser, module: str, summary: str, depth: int = 2) -> Iterator[str]:
    parser.load()
    yield from (f"{'#' * depth} {parser.prog}", "", (parser.description or f"{summary}.").strip(), "")
    options = [action for action in parser._actions if action is not parser.verbs and "--help" not in action.option_strings]
    if options:
        yield from ("| option | what it does |", "|---|---|", *map(_row, options), "")
    if depth == 2 and (examples := importlib.import_module(module).EXAMPLES):
        yield from ("```sh", *examples, "```", "")
    for name, verb in (parser.verbs.choices if parser.verbs is not None else {}).items():
        yield from _section(verb, f"{module}.{name}", name, depth + 1)


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    return f"| `{name}{value if action.option_strings else ''}` | {(action.help or '').replace('|', chr(92) + '|')} |"
