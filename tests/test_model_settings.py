"""Every setting of every model changes it."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch

from rankbench.bench import identity, registry
from rankbench.bench.config import DataConfig, Experiment, TrainConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from support.logs import make_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=50, longest=200)


def alternatives(kind: Any, value: Any) -> list[Any]:
    """Other values of a setting, by its type."""
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(kind) is Literal:
        return [one for one in get_args(kind) if one != value]
    if kind is bool:
        return [not value]
    if kind is int:
        return [1 if value != 1 else 2, value * 2]
    if kind is float:
        return [value / 2 or 0.3]
    return [tuple(2 * size for size in value) or (8,)] if get_origin(kind) is tuple else []


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in registry.MODELS if registry.info(name).fit == "gradient"])
def test_a_setting_that_changes_nothing_is_refused_or_known_to_be_inert(name: str, data: RankingData) -> None:
    """Else somebody reads a difference between two runs that are the same model. Settings of free text are left out."""
    info = registry.info(name)
    batches = make_batches(data, info.view, "train", 64, 128)
    batch = batches.assemble(batches.plans(0)[0], None)
    usual, hints = info.config(), get_type_hints(info.config, include_extras=True)
    spec = dataclasses.replace(data.spec, domain="page")  # some settings are about domains

    def fingerprint(config: Any) -> tuple[Any, ...]:
        torch.manual_seed(0)
        model = info.build(config, spec).train()
        torch.manual_seed(1)
        out, auxiliary = model(batch).detach(), model.auxiliary_loss()
        shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        return shapes, out.tolist(), None if auxiliary is None else float(auxiliary.detach())

    def differs(field: str, value: Any) -> bool:
        try:
            config = dataclasses.replace(usual, **{field: value})
            default, actual = (Experiment(name, data.config, TrainConfig(), params).as_dict() for params in (usual, config))
            return bool(identity.ignored(default, actual)) or fingerprint(config) != expected
        except ValueError:
            return True

    expected = fingerprint(usual)
    tried = {field.name: alternatives(hints[field.name], getattr(usual, field.name)) for field in dataclasses.fields(usual)}
    idle = [field for field, values in tried.items() if values and not any(differs(field, value) for value in values)]
    assert not idle, f"{name} has settings that do nothing: {', '.join(idle)}"
