"""YAML as settings are written in it: text keys that come once, 1e-3 a number, no references; every fault in one line."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from .errors import UserError
from .typed import text_of


class _Refused(Exception):
    """What is valid YAML, but not a setting."""

    def __init__(self, mark: yaml.Mark, fault: str) -> None:
        super().__init__(fault)
        self.mark, self.fault = mark, fault


class _Loader(yaml.SafeLoader):
    """The safe loader without what makes a file mean something else than it says."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(event.start_mark, f"the reference *{event.anchor} is not supported: write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            text = getattr(key, "value", None)
            if not isinstance(text, str):
                raise _Refused(key.start_mark, "a key is a list or a mapping, not text")
            if key.tag != "tag:yaml.org,2002:str":
                raise _Refused(key.start_mark, f"the key {text!r} is not text for YAML: write it in quotes")
            if text in first:
                raise _Refused(key.start_mark, f"the key {text!r} is there twice, first in line {first[text]}: keep one")
            first[text] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def load_yaml(text: str, where: str) -> Any:
    """The one value that a YAML text holds.

    Args:
        where: what the text is, for messages, such as `config file my.yaml`.

    Raises:
        UserError: no YAML, a key that comes twice or is not text, a reference, nesting without end; with the line.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except _Refused as refused:
        raise UserError(f"{where}, line {refused.mark.line + 1}: {refused.fault}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{where} cannot be read{line}: {' '.join((error.problem or str(error)).split())}") from None
    except RecursionError:
        raise UserError(f"{where} cannot be read: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UserError(f"{where} cannot be read: {' '.join(str(error).split())[:200]}") from None


def read_yaml(path: Path, kind: str) -> Any:
    """The value in a YAML file; `kind` names it in messages, such as `config file`.

    Raises:
        UserError: the file does not exist or cannot be read, or as `load_yaml`.
    """
    where = f"{kind} {path}"
    return load_yaml(text_of(path, lambda what: UserError(f"{where} {what}")), where)
