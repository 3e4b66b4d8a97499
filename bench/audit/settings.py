"""Whether a record's settings are whole, its own, and called what they are."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import Experiment, Settings, resolve
from ..data.dataset import RankingData, resolved
from ..errors import UserError
from ..identity import config_hash, difference, earlier
from ..runs.cell import resolved_for
from .finding import Said, shown
from .runs import Run, plain

_OF_DATA = ("split", "request_window", "negatives", "negative_rate", "test_negatives")
"""Data settings whose default is the data set's own. Of training it is the monitor alone."""


def about_settings(run: Run) -> Iterator[Said]:
    """What the config says of itself and of the identity, and `changed` of all settings whose default no data set decides."""
    record = run.record
    identity, config = record.identity, record.config
    named = (config["model"], config["data"]["dataset"])
    if named != (identity.model, identity.dataset):
        yield "wrong", f"its config is of {named[0]} on {named[1]}, its identity of {identity.model} on {identity.dataset}"
    if config["data"]["split"] != identity.split:
        yield "wrong", f"its config has the split {config['data']['split']}, its identity {identity.split}"
    if run.info is None:
        yield "note", f"the model {identity.model} is not in the registry here, so that its settings were not checked"
        return
    if run.info.family != identity.family:
        yield "wrong", f"{identity.model} is {run.info.family}, not {identity.family}"
    try:
        experiment = run.experiment()
    except UserError as error:
        yield "wrong", str(error)
        return
    itself = plain(earlier(experiment.as_dict()))
    if lacking := sorted(itself["params"].keys() - config["params"].keys()):
        yield "wrong", f"its config lacks {', '.join(f'params.{key}' for key in lacking)}"
        return
    for key, value in _apart(plain(config), itself).items():
        yield "wrong", f"its config does not resolve to itself: {key} is read as {shown(value)}"
    for section, key, value in (("data", "split", experiment.data.split), ("train", "monitor", experiment.train.monitor)):
        if value == "default":
            yield "wrong", f"config.{section}.{key} is still `default`; a record has what that means for its data"
    if (computed := config_hash(config)) != identity.config_hash:
        yield "wrong", f"its config has the hash {computed}, not {identity.config_hash}"
    if record.precision != experiment.train.precision:
        yield "wrong", f"it ran in {record.precision}, but config.train.precision is {experiment.train.precision}"
    yield from _about_changed(run, experiment)


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys under which the second has another value than the first, inert ones too."""
    found: dict[str, Any] = {}
    for key, value in other.items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": apart for inner, apart in _apart(one.get(key, {}), value).items()}
        elif key not in one or one[key] != value:
            found[key] = value
    return found


def about_data_settings(run: Run, data: RankingData) -> Iterator[Said]:
    """What `changed` says of the settings whose default the data decide."""
    if run.info is not None:
        with contextlib.suppress(UserError):  # said by about_settings
            yield from _about_changed(run, run.experiment(), data)


def _about_changed(run: Run, experiment: Experiment, data: RankingData | None = None) -> Iterator[Said]:
    """Whether `changed` is the difference from the model's defaults."""
    info = run.info
    assert info is not None, "asked of known models alone"
    default = resolve(info, Settings(data={"dataset": experiment.data.dataset}))
    if data is not None:
        default = resolved_for(default, resolved(default.data, data.log), data)
    else:
        own = {key: getattr(experiment.data, key) for key in _OF_DATA}
        train = dataclasses.replace(default.train, monitor=experiment.train.monitor)
        default = dataclasses.replace(default, data=dataclasses.replace(default.data, **own), train=train)
    expected = plain(difference(default.as_dict(), experiment.as_dict()))
    said = plain(run.record.changed)
    decided = {"train.monitor", *(f"data.{key}" for key in _OF_DATA)}
    for key in sorted(expected.keys() | said.keys()):
        if (data is not None) != (key in decided):
            continue
        if key not in said:
            yield "wrong", f"{key} is {shown(expected[key])}, which is not the default, but `changed` does not name it"
        elif key not in expected:
            yield "wrong", f"`changed` names {key}, which is the default or has no effect"
        elif expected[key] != said[key]:
            yield "wrong", f"`changed` says {key} is {shown(said[key])}, its config {shown(expected[key])}"
