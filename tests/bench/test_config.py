"""Settings: read, converted, refused with the nearest name, and hashed into an identity."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench import identity, registry
from rankbench.bench.config import DataConfig, Experiment, LogDefaults, Settings, TrainConfig, Tuning, read_settings, resolve
from rankbench.bench.contract import ModelInfo
from rankbench.bench.errors import UserError
from rankbench.bench.typed import from_dict

MODELS = ("din", "hstu")


@dataclass(frozen=True)
class Config:
    """Every kind of field that a model's config may have."""

    width: int = 64
    dropout: float = 0.1
    hidden: tuple[int, ...] = (200, 80)
    kind: Literal["both", "none"] = "both"
    bias: bool = True
    name: str | None = None


def test_absent_keys_keep_their_defaults() -> None:
    assert from_dict(Config, {"width": 8}, "din") == Config(width=8)
    assert from_dict(Config, {"width": 8}, "din", Config(dropout=0.5)) == Config(width=8, dropout=0.5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"dropout": 1}, Config(dropout=1.0)),
        ({"hidden": [8, 4]}, Config(hidden=(8, 4))),
        ({"hidden": []}, Config(hidden=())),
        ({"name": None}, Config()),
        ({"name": "x"}, Config(name="x")),
        ({"bias": False}, Config(bias=False)),
    ],
)
def test_plain_values_become_the_declared_types(values: dict[str, object], expected: Config) -> None:
    result = from_dict(Config, values, "din")
    assert result == expected
    assert [type(getattr(result, f.name)) for f in dataclasses.fields(Config)] == [
        type(getattr(expected, f.name)) for f in dataclasses.fields(Config)
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 8}, r"unknown key in din 'widht'; did you mean 'width'\?"),
        ({"width": 8.0}, "din.width must be a whole number, not 8.0"),
        ({"width": True}, "din.width must be a whole number, not True"),
        ({"dropout": True}, "din.dropout must be a number, not True"),
        ({"dropout": "much"}, "din.dropout must be a number, not 'much'"),
        ({"hidden": 8}, r"din.hidden must be a list such as \[200, 80\], not 8"),
        ({"hidden": [8, "x"]}, r"din.hidden\[1\] must be a whole number, not 'x'"),
        ({"kind": "bth"}, r"unknown value of din.kind 'bth'; did you mean 'both'\?"),
        ({"name": 3}, "din.name must be text, not 3"),
        ({"bias": 1}, "din.bias must be true or false, not 1"),
    ],
)
def test_wrong_values_are_named_with_their_place(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_dict(Config, values, "din")


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (TrainConfig, {"lr": 0}, "here.lr must be above 0"),
        (TrainConfig, {"lr": float("nan")}, "here.lr must be a finite number, not nan"),
        (TrainConfig, {"lr": float("inf")}, "here.lr must be a finite number, not inf"),
        (TrainConfig, {"epochs": 0}, "here.epochs must be at least 1"),
        (TrainConfig, {"clip_norm": -1.0}, "here.clip_norm must be at least 0"),
        (DataConfig, {"history_length": 0}, "here.history_length must be at least 1"),
        (DataConfig, {"unknown_rate": 1.0}, "here.unknown_rate must be below 1"),
        (DataConfig, {"train_share": 0.0}, "here.train_share must be above 0"),
        (DataConfig, {"train_share": 1.5}, "here.train_share must be at most 1"),
        (DataConfig, {"feedback_delay": float("inf")}, "here.feedback_delay must be a finite number"),
        (DataConfig, {"request_window": -1}, "here.request_window must be at least 0"),
    ],
)
def test_values_out_of_range_are_refused(section: type, values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_dict(section, values, "here")


def test_assignments_go_on_top_and_leave_the_original_alone() -> None:
    settings = Settings(train={"lr": 0.1}, models={"din": {"dropout": 0.3}})
    changed = settings.changed(["train.lr=1e-3", "data.time=none", "din.hidden=[8, 4]", "hstu.train.epochs=2"], MODELS)
    assert changed.train == {"lr": 1e-3} and changed.data == {"time": "none"}
    assert changed.models == {"din": {"dropout": 0.3, "hidden": [8, 4]}, "hstu": {"train.epochs": 2}}
    assert settings == Settings(train={"lr": 0.1}, models={"din": {"dropout": 0.3}})


def test_what_is_set_for_all_models_stands_above_a_files_section_of_one() -> None:
    """As `--config tuned --set train.lr=1` is meant; what is set for one model stands above both, in any order."""
    tuning = {name: Tuning(f"a@b/{name}", 1, 1.0, "auc", 0.5, False) for name in ("din", "hstu")}
    settings = Settings(models={"din": {"train.lr": 2, "dropout": 0.1}, "hstu": {"data.negative_rate": 3}}, tuning=tuning)
    changed = settings.changed(["din.train.epochs=4", "hstu.train.lr=5", "train.lr=1"], MODELS)
    assert changed.train == {"lr": 1} and not changed.tuning
    assert changed.models == {
        "din": {"dropout": 0.1, "train.epochs": 4},
        "hstu": {"data.negative_rate": 3, "train.lr": 5},
    }
    resampled = settings.changed(["data.negative_rate=1"], MODELS)
    assert resampled.models["hstu"] == {} and resampled.tuning.keys() == {"din"}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.lr", "write section.key=value"),
        ("lr=1", "write section.key=value"),
        ("=1", "write section.key=value"),
        ("trian.lr=1", r"unknown section in --set 'trian'; did you mean 'train'\?"),
    ],
)
def test_a_wrong_assignment_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Settings().changed([assignment], MODELS)


def test_settings_come_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("data: {dataset: simulator}\ntrain:\n  lr: 1e-3\ndin: {dropout: 0.2}\n")
    assert read_settings(path, MODELS) == Settings({"dataset": "simulator"}, {"lr": 1e-3}, {"din": {"dropout": 0.2}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", "cannot be read"),
        ("train: {lr: 1, lr: 2}", "the key 'lr' is there twice"),
        ("train: {lr: 1}\ntrain: {}", "the key 'train' is there twice"),
        ("- train", "must hold sections"),
        ("train: 3", "must hold sections"),
        ("", "must hold sections"),
        ("dinn: {}", r"unknown section in .*my.yaml 'dinn'; did you mean 'din'\?"),
    ],
)
def test_a_wrong_config_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_settings(path, MODELS)
    assert "\n" not in str(caught.value)


TUNED = "tuning: {study: a@b/din, trials: 20, seconds: 9.5, metric: auc, value: 0.7, cut: false}\n"


def test_settings_that_a_sweep_found_know_the_sweep(tmp_path: Path) -> None:
    path = tmp_path / "din.yaml"
    path.write_text(TUNED + "din: {dropout: 0.2}\n")
    settings = read_settings(path, MODELS)
    assert settings == Settings(models={"din": {"dropout": 0.2}}, tuning={"din": Tuning("a@b/din", 20, 9.5, "auc", 0.7, False)})
    assert not settings.changed(["din.dropout=0.1"], MODELS).tuning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TUNED, "the section of one model, which the sweep tuned, alone"),
        (TUNED + "din: {}\nhstu: {}", "the section of one model, which the sweep tuned, alone"),
        (TUNED + "din: {}\ntrain: {lr: 1}", "the section of one model, which the sweep tuned, alone"),
        ("tuning: {study: x, trials: 3}\ndin: {}", "tuning lacks seconds, metric, value, cut"),
        (TUNED.replace("20", "many") + "din: {}", "tuning.trials must be a whole number, not 'many'"),
    ],
)
def test_a_broken_tuned_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "din.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_settings(tmp_path / "din.yaml", MODELS)


def test_a_config_file_must_exist_and_be_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_settings(tmp_path / "my.yaml", MODELS)
    (tmp_path / "my.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_settings(tmp_path / "my.yaml", MODELS)


def test_the_user_goes_before_the_card_and_the_card_before_the_defaults() -> None:
    settings = Settings({"time": "none"}, {"epochs": 3, "lr": 0.5}, {"din": {"width": 8, "train.lr": 0.25}, "hstu": {"width": 9}})
    experiment = resolve(card("din", {"lr": 0.1, "patience": 7}), settings)
    assert experiment.train == TrainConfig(lr=0.25, epochs=3, patience=7)
    assert experiment.params == Config(width=8) and experiment.data == DataConfig(time="none")


def card(name: str, train: dict[str, float], view: str = "pointwise") -> ModelInfo:
    return dataclasses.replace(registry.info(name), config=Config, train=train, view=view, space={})  # type: ignore[arg-type]


def test_a_shared_setting_reaches_those_models_that_read_it() -> None:
    settings = Settings(train={"batch_size": 7, "batch_events": 9})
    assert resolve(card("din", {}), settings).train == TrainConfig(batch_size=7)
    assert resolve(card("hstu", {}, "sequence"), settings).train == TrainConfig(batch_events=9)
    assert resolve(registry.info("ctr"), Settings(train={"lr": 0.5, "refit": True})).train == TrainConfig(refit=True)
    with pytest.raises(UserError, match="unknown key in train"):
        resolve(registry.info("ctr"), Settings(train={"rate": 0.5}))


def experiment(**train: float) -> Experiment:
    return Experiment("din", DataConfig(), TrainConfig(**train), Config())  # type: ignore[arg-type]


def test_the_hash_is_that_of_every_setting() -> None:
    base = experiment()
    assert len(base.hash) == 12 and base.hash == experiment().hash
    others = [
        dataclasses.replace(base, model="hstu"),
        dataclasses.replace(base, data=DataConfig(history_length=49)),
        dataclasses.replace(base, train=TrainConfig(weight_decay=1e-9)),
        dataclasses.replace(base, params=Config(hidden=(80, 200))),
        dataclasses.replace(base, params=Config(name="")),
    ]
    assert len({one.hash for one in (base, *others)}) == 1 + len(others)


LOG = LogDefaults("leave-one-out", 3600.0, positive_only=False)


def hashed(**data: object) -> str:
    return dataclasses.replace(experiment(), data=DataConfig(**data).resolved(LOG)).hash  # type: ignore[arg-type]


def test_a_resolved_experiment_holds_every_setting_and_no_default() -> None:
    data = DataConfig().resolved(LOG)
    held = dataclasses.replace(experiment(), data=data).as_dict()
    assert {section: held[section].keys() for section in ("data", "train", "params")} == {
        "data": {f.name for f in dataclasses.fields(DataConfig)},
        "train": {f.name for f in dataclasses.fields(TrainConfig)},
        "params": {f.name for f in dataclasses.fields(Config)},
    }
    assert "default" not in held["data"].values()
    assert {key: held["data"][key] for key in ("split", "request_window", "negatives", "negative_rate")} == {
        "split": "leave-one-out", "request_window": 3600.0, "negatives": "exposed", "negative_rate": 1.0,
    }  # fmt: skip
    assert data.resolved(LOG) == data


def test_what_is_inert_makes_no_other_experiment_and_no_change() -> None:
    assert hashed() == hashed(repeats=True) == hashed(exclude_future_positives=True) == hashed(test_negative_rate=5)
    assert hashed() == hashed(split="leave-one-out") == hashed(negatives="exposed", negative_rate=1.0)
    assert len({hashed(negatives="uniform"), hashed(negatives="uniform", repeats=True), hashed(train_share=0.5), hashed()}) == 4
    assert len({hashed(test_negatives="uniform", test_negative_rate=rate) for rate in (5, 20)}) == 2
    usual = experiment()
    often = dataclasses.replace(usual, train=TrainConfig(checkpoint_seconds=1.0))
    assert identity.config_hash(resolved(usual)) == identity.config_hash(resolved(often))
    assert identity.difference(resolved(usual), resolved(often)) == {}


def resolved(one: Experiment) -> dict[str, Any]:
    return dataclasses.replace(one, data=one.data.resolved(LOG)).as_dict()


def test_every_inert_setting_exists() -> None:
    """A setting that was renamed would come back into every hash."""
    params = {f.name for name in registry.MODELS for f in dataclasses.fields(registry.info(name).config)}
    known = {"data": {f.name for f in dataclasses.fields(DataConfig)}, "train": {f.name for f in dataclasses.fields(TrainConfig)}}
    assert all(key in (known | {"params": params})[section] for section, key in identity.INERT)


def test_the_hash_does_not_depend_on_the_process() -> None:
    code = "from rankbench.bench.config import Experiment; print(Experiment('din').hash)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == Experiment("din").hash


@given(st.floats(min_value=1e-12, max_value=10), st.integers(1, 10**9))
def test_an_experiment_survives_json(lr: float, epochs: int) -> None:
    """What a record keeps is enough to build the experiment again, hash and all."""
    original = experiment(lr=lr, epochs=epochs)
    stored = json.loads(json.dumps(original.as_dict()))
    rebuilt = Experiment(
        stored["model"],
        from_dict(DataConfig, stored["data"], "data"),
        from_dict(TrainConfig, stored["train"], "train"),
        from_dict(Config, stored["params"], "din"),
    )
    assert rebuilt == original and rebuilt.hash == original.hash


def test_settings_of_items_make_another_experiment_only_where_they_do_something() -> None:
    assert hashed(code_levels=5, code_size=8, code_method="rq-vae", code_source="events", backoff_events=3) == hashed()
    for how in ("none", "codes", "both", "backoff"):
        assert hashed(item_id=how) != hashed()
    assert hashed(held_out_items=0.1) != hashed()
    assert hashed(item_id="codes", backoff_events=3) == hashed(item_id="codes")
    assert len({hashed(item_id="backoff", backoff_events=events) for events in (3, 4)}) == 2
    assert len({hashed(item_id="codes", code_levels=levels) for levels in (2, 3, 4)}) == 3
