"""Parsers whose errors are one line, and which refuse whatever would do nothing."""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """The parser of the program, of a command or of one verb of a command.

    A command is a module with `HELP`, `EXAMPLES` (lines that work as they stand, once the files that they name exist),
    `add(parser)` and, unless its verbs are modules, `run(args)`. It is imported when it is called, so that the program answers
    at once.
    """

    def __init__(self, *, module: str | None = None, examples: Sequence[str] = (), **keywords: Any) -> None:
        """Without options yet.

        Args:
            module: full name of the command's module.
            examples: shown below the help; a module has its own.
        """
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **keywords)
        self.module = module
        self.verbs: argparse._SubParsersAction[Parser] | None = None
        self._show(examples)

    def add_verbs(self, dest: str, required: bool = True) -> argparse._SubParsersAction[Parser]:
        """What the next word may be, each with a parser of its own."""
        self.verbs = self.add_subparsers(dest=dest, required=required, metavar=dest.upper(), parser_class=Parser)
        return self.verbs

    def add_modules(self, dest: str, package: str, summaries: Mapping[str, str]) -> None:
        """Verbs that are modules of a package, by their names."""
        verbs = self.add_verbs(dest)
        for name, summary in summaries.items():
            verbs.add_parser(name, help=summary, module=f"{package}.{name}")

    def load(self) -> None:
        """Give a command its options."""
        if self.module is None:
            return
        command, self.module = importlib.import_module(self.module), None
        self.description = command.HELP
        self._show(command.EXAMPLES)
        command.add(self)
        if hasattr(command, "run"):
            self.set_defaults(run=command.run)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """All of them are known: what is left over is an error here, where the options are that it may have meant."""
        self.load()
        args = sys.argv[1:] if args is None else list(args)
        self._refuse_misplaced(args)
        given = self._given(args)
        result, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        result.given = given | getattr(result, "given", frozenset())
        return result, unknown

    def error(self, message: str) -> NoReturn:
        """One line with the nearest name that exists, and exit code 2."""
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        option = re.search(r"unrecognized arguments: (--\w[\w-]*)", message)
        near: list[str] = []
        if choice:
            near = difflib.get_close_matches(choice[1], re.findall(r"[\w-]+", choice[2]), n=1)
        elif option:
            near = difflib.get_close_matches(option[1], sorted(self._option_string_actions), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        self.exit(2, f"rankbench: error: {' '.join(message.split())}{hint} (see {self.prog} --help)\n")

    def _show(self, examples: Sequence[str]) -> None:
        self.epilog = "examples:\n" + "\n".join(f"  {line}" for line in examples) if examples else None

    def _given(self, args: list[str]) -> frozenset[str]:
        """The options of this parser that stand in the command line, each once unless it collects values."""
        given: list[str] = []
        for text in args[: args.index("--")] if "--" in args else args:
            action = self._option_string_actions.get(text.partition("=")[0])
            if action is None:
                continue
            if action.option_strings[0] in given and not isinstance(action, argparse._AppendAction):
                self.error(f"argument {'/'.join(action.option_strings)}: given twice, and only one can count")
            given.append(action.option_strings[0])
        return frozenset(given)

    def _refuse_misplaced(self, args: list[str]) -> None:
        """An option before the word whose option it is would be taken for that word's value."""
        first = args[0].partition("=")[0] if args else ""
        if self.verbs is not None and first.startswith("-") and first not in self._option_string_actions:
            self.error(f"unrecognized arguments: {first}; what belongs to a {self.verbs.metavar} comes after it")


class Assign(argparse._AppendAction):
    """KEY=VALUE, any number of them, each key once."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        key, equals, _ = values.partition("=")
        if equals and any(other.partition("=")[0] == key for other in getattr(namespace, self.dest)):
            parser.error(f"argument {option_string}: {key} is given twice, and only one can count")
        super().__call__(parser, namespace, values, option_string)
