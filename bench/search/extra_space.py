"""What a sweep searches beyond a model's own space: `--search SECTION.KEY=RANGE`, such as scoring networks or negative rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import yaml

from .. import registry
from ..config import OWN_DATA, TrainConfig
from ..contract import Choice, Range, Real, SearchSpace, Whole
from ..errors import UserError, unknown_name
from ..yaml_text import load_yaml


def further_spaces(texts: Sequence[str], models: tuple[str, ...]) -> dict[str, SearchSpace]:
    """Model -> the settings to search beside those of its own space, as the model's section knows them.

    A range is a list of values (`mlp,dot`), `low..high` (whole numbers if both are) or `low..high:log`. The sections `train` and
    `data` are for every model; of data, only how training negatives are drawn, which changes nobody's examples.

    Raises:
        UserError: not of that form, no such section or key, or the model's default lies outside.
    """
    found: dict[str, dict[str, Range]] = {model: {} for model in models}
    for text in texts:
        path, equals, range_text = text.partition("=")
        section, dot, key = path.partition(".")
        if not (equals and dot and key and range_text):
            raise UserError(
                f"--search {text}: write SECTION.KEY=RANGE, for example hstu.head=mlp,dot or data.negative_rate=0.1..1:log"
            )
        if section not in ("data", "train", *models):
            raise unknown_name("section in --search", section, ("data", "train", *models))
        known = _keys(section)
        if key not in known:
            raise unknown_name(f"key of {section} in --search", key, known)
        for model in models if section in ("data", "train") else (section,):
            found[model][key if section == model else path] = _range(range_text, text)
    return dict(found)


def _keys(section: str) -> list[str]:
    if section == "data":
        return list(OWN_DATA)
    config = TrainConfig if section == "train" else registry.info(section).config
    return [field.name for field in dataclasses.fields(config)]


def _range(text: str, whole: str) -> Range:
    bounds, colon, scale = text.partition(":")
    low, dots, high = bounds.partition("..")
    if not dots:
        return Choice(tuple(load_yaml(value, f"--search {whole}") for value in text.split(",")))
    ends = [_number(end, whole) for end in (low, high)]
    if colon and scale != "log":
        raise UserError(f"--search {whole}: after the colon of a range stands log, not {scale}")
    if not ends[0] < ends[1] or (colon and ends[0] <= 0):
        raise UserError(f"--search {whole}: a range goes from a smaller to a larger number, above 0 for log")
    if not colon and all(isinstance(end, int) for end in ends):
        return Whole(*ends)
    return Real(float(ends[0]), float(ends[1]), log=bool(colon))


def _number(text: str, whole: str) -> Any:
    try:
        return int(text) if text.strip().isdecimal() else float(text)
    except ValueError:
        raise UserError(f"--search {whole}: {text!r} is not a number; a range is low..high") from None


def outside(space: SearchSpace, defaults: dict[str, Any]) -> str | None:
    """The first setting whose default its range leaves out; the first trial has the defaults."""
    for name, searched in space.items():
        value = defaults[name]
        inside = value in searched.values if isinstance(searched, Choice) else searched.low <= value <= searched.high
        if not inside:
            return name
    return None


def shown_range(model: str, name: str, searched: Range) -> str:
    """The text from which a setting's range was read."""
    path = name if name.startswith(("train.", "data.")) else f"{model}.{name}"
    if isinstance(searched, Choice):
        values = yaml.safe_dump(list(searched.values), default_flow_style=True, width=10**6).strip()[1:-1].replace(" ", "")
        return f"{path}={values}"
    log = ":log" if isinstance(searched, Real) and searched.log else ""
    return f"{path}={searched.low}..{searched.high}{log}"
