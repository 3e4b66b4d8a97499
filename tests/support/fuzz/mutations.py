"""Inputs that are nearly right: what a crash, a wrong program or a hostile contributor makes of a good file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import yaml

Mutate = Callable[[bytes, random.Random], bytes]

PIECES = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b",,,,", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b": ",
    b"&a *a", b"nan", b"-inf", b"1e400", b"-1", b"0", b"null", b"9" * 40, b"2026-02-30", b"01.02.2026", b"../../x", b"[/red]",
    b"<script>", b"!!python/object:os.system x", b"=1+1", b"\xc3\x28", "ä€😀".encode(), b"x" * 300,
)  # fmt: skip
"""What is put into bytes."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, 10**40, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("nan"), [], [None], ["a", "a"],
    [[]], [0.1] * 3, {}, {"x": 1}, {"": None}, {1: 2}, "", " ", "x", "x" * 300, "../../x", "/", "[/red]", "nan", "1e400", "ä€😀",
    "\x00", "\n", "2026-02-30", "true", "[1", "{a", "*", "&a",
)  # fmt: skip
"""What takes the place of a value in a tree."""


def of_bytes(good: bytes, rng: random.Random) -> bytes:
    """One to four edits: cut, doubled, exchanged, flipped or put in between."""
    text = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        length = rng.choice((1, 1, 2, 5, 20, len(text) // 2))
        match rng.randrange(6):
            case 0:
                del text[at : at + length]
            case 1:
                text[at:at] = text[at : at + length]
            case 2:
                text[at:at] = rng.choice(PIECES)
            case 3:
                text[at : at + length] = rng.choice(PIECES)
            case 4 if text:
                text[at % len(text)] ^= 1 << rng.randrange(8)
            case _:
                del text[at:]
    return bytes(text)


def of_json(good: bytes, rng: random.Random) -> bytes:
    """A value of the tree exchanged, left out, renamed or moved; sometimes bytes instead."""
    if rng.random() < 0.2:
        return of_bytes(good, rng)
    return json.dumps(_of_tree(json.loads(good), rng)).encode()


def of_yaml(good: bytes, rng: random.Random) -> bytes:
    """As `of_json`."""
    if rng.random() < 0.3:
        return of_bytes(good, rng)
    return yaml.safe_dump(_of_tree(yaml.safe_load(good), rng), allow_unicode=True).encode("utf-8", "replace")


def _of_tree(tree: Any, rng: random.Random) -> Any:
    for _ in range(rng.randint(1, 3)):
        places = list(_places(tree))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        match rng.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(("x", f"{key}s", "", str(key).upper()))] = holder.pop(key)
            case 2:
                holder[key] = rng.choice(places)[0]  # in itself, perhaps: replaced below
            case 3:
                holder[key] = [holder[key]]
            case _:
                holder[key] = rng.choice(VALUES)
        tree = _without_circles(tree)
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += [(tree, key), *_places(value)]
    return found


def _without_circles(tree: Any, above: tuple[int, ...] = ()) -> Any:
    if id(tree) in above:
        return "itself"
    if isinstance(tree, dict):
        return {key: _without_circles(value, (*above, id(tree))) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_circles(value, (*above, id(tree))) for value in tree]
    return tree


def of_words(good: bytes, rng: random.Random) -> bytes:
    """A setting as it is written behind an option: letters of it, or another value."""
    name, _, value = good.decode().partition("=")
    value = str(rng.choice(VALUES)) if rng.random() < 0.6 else of_bytes(value.encode(), rng).decode("utf-8", "replace")
    if rng.random() < 0.2:
        name = of_bytes(name.encode(), rng).decode("utf-8", "replace")
    return f"{name}={value}".encode("utf-8", "replace")
