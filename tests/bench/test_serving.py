"""Serving: weights give back the model, and candidates score alike in a batch, one by one, or after a remembered past."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rankbench.bench import registry
from rankbench.bench.cli import main
from rankbench.bench.config import Experiment
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.requests import request_at, request_of
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError
from rankbench.bench.records import weights
from rankbench.bench.serving import Scorer
from support.logs import make_data, with_config
from support.tables import click_table

CPU = torch.device("cpu")
SEQUENCE = [name for name in registry.MODELS if registry.info(name).view == "sequence"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", users=25, longest=300)


def scorer(name: str, data: RankingData, **params: object) -> Scorer:
    info = registry.info(name)
    torch.manual_seed(3)
    model = info.build(info.config(**params), data.spec)
    with torch.no_grad():  # weights that matter: fresh ones are too small for wrong histories to show
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return Scorer(model.eval(), info, data, data.logit_correction, CPU)


CASES = [
    *((name, {}) for name in SEQUENCE),
    *(("hstu", {"layout": layout, "head": head}) for layout in ("candidate", "late") for head in ("target-attention", "dot")),
    ("hstu", {"head": "target-attention", "divisor": "own"}),
    ("hstu", {"actions": False, "rope": True}),
    ("llama", {"relative_bias": "both", "alibi": True}),
    ("gpt", {"absolute_position": True, "layout": "candidate"}),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "params"), CASES, ids=[f"{name}-{'-'.join(map(str, params.values()))}" for name, params in CASES]
)
@pytest.mark.parametrize("time", ["none", "request"])
def test_batched_one_by_one_and_with_a_remembered_past_are_the_same(
    name: str, params: dict, time: str, data: RankingData
) -> None:
    serving = scorer(name, with_config(data, time=time), **params)
    items = np.array([3, 0, 7, -1, 5])
    events = serving.data.split.examples("test")
    spread = 0.0
    for event in events[np.linspace(0, len(events) - 1, 5).astype(int)].tolist():
        request = request_of(serving.data, event)
        whole = serving.logits(request, items, remember=False)[:, 0]
        cached = serving.logits(request, items)[:, 0]
        alone = [serving.logits(request, items[[at]])[0, 0] for at in range(len(items))]
        again = serving.logits(request, items[::-1].copy())[::-1, 0]
        for other in (cached, alone, again):
            np.testing.assert_allclose(other, whole, atol=1e-5, rtol=1e-5)
        spread = max(spread, float(np.ptp(whole)))
    assert spread > 1e-3, "candidates differ"
    assert serving.memories or all(request_of(serving.data, int(event)).hi == 0 for event in events[:1])


def test_a_remembered_past_serves_later_requests_until_the_user_does_something(data: RankingData) -> None:
    serving = scorer("hstu", data)
    user = str(data.log.dictionary("user")[np.diff(data.log.user_offsets).argmax()])
    code = int(np.diff(data.log.user_offsets).argmax())
    end = int(data.log.time[data.log.user_offsets[code + 1] - 1])
    scores = [serving.score(user, ["i1", "i2"], end + wait).probability for wait in (1, 60_000, 86_400_000)]
    assert len(serving.memories) == 1 and not np.allclose(scores[0], scores[2])
    fresh = scorer("hstu", data)
    np.testing.assert_allclose(fresh.score(user, ["i1", "i2"], end + 86_400_000).probability, scores[2], atol=1e-6)
    serving.score(user, ["i1"], end)  # before the last event
    assert len(serving.memories) == 2


@pytest.mark.parametrize("view", ["pointwise", "sequence"])
def test_a_request_by_raw_ids_is_that_of_the_event(view: str, data: RankingData) -> None:
    """A test event asked for again by user, time and context as strings."""
    serving = scorer("din" if view == "pointwise" else "hstu", data)
    log = data.log
    pages = log.dictionary("feature.page")
    for event in data.split.examples("test")[::11].tolist():
        user = str(log.dictionary("user")[log.user_of(np.array([event]))[0]])
        page = str(pages[np.asarray(log.feature("page"))[event]])
        asked = request_at(data, user, int(log.time[event]), {"page": page})
        meant = request_of(data, event)
        assert (asked.user, asked.lo, asked.hi, asked.start) == (meant.user, meant.lo, meant.hi, meant.start)
        items = np.array([int(log.item[event]), 1])
        np.testing.assert_allclose(serving.logits(asked, items), serving.logits(meant, items), atol=1e-6)


def test_unknown_users_and_items_are_scored_as_unknown(data: RankingData) -> None:
    serving = scorer("din", data)
    found = serving.score("nobody", ["i1", "what", "which"], 1_700_000_000_000, {"page": "never seen"})
    assert found.request.user == -1 and found.request.hi == found.request.lo
    assert found.known.tolist() == [True, False, False]
    assert found.probability[1, 0] == pytest.approx(found.probability[2, 0], abs=1e-7)
    assert found.probability[0, 0] != found.probability[1, 0]
    with pytest.raises(UserError, match="user 'nobody' is not in tiny: say when"):
        serving.score("nobody", ["i1"])
    with pytest.raises(UserError, match=r"context field of tiny 'pages'; did you mean 'page'"):
        serving.score("u1", ["i1"], None, {"pages": "home"})


def test_the_correction_for_sampling_is_applied(data: RankingData) -> None:
    sampled = with_config(data, negative_rate=0.25)
    with_it = scorer("din", sampled)
    without = copy.copy(with_it)
    without.logit_correction = 0.0
    user = str(data.log.dictionary("user")[0])
    odds = [s.score(user, ["i1"]).probability[0, 0] for s in (with_it, without)]
    odds = [p / (1 - p) for p in odds]
    assert odds[0] / odds[1] == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("name", list(registry.MODELS))
def test_every_model_comes_back_from_its_weights(name: str, data: RankingData, tmp_path: Path) -> None:
    serving = scorer(name, data)
    header = weights.Header.of(Experiment(name, data.config, params=serving.info.config()), 0, data)
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights.to_bytes(serving.model, header))
    state, read = weights.read(path)
    assert read == header and read.split_hash == data.split.hash
    torch.manual_seed(99)
    other = serving.info.build(serving.info.config(), data.spec)
    weights.restore(other, state, path, CPU)
    for key, value in serving.model.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=0, atol=0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The YAML of a small table, and results of two models on it."""
    folder = tmp_path_factory.mktemp("predict")
    table = click_table(folder)
    results = folder / "results"
    run = ["run", "--models", "hstu,ctr", "--seeds", "1", "--set", "train.epochs=1", "--quiet", "--jobs", "1"]
    assert main([*run, "--dataset", str(table), "--results", str(results)]) == 0
    return table, results


@pytest.mark.long
def test_the_command_shows_candidates_best_first(trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    table, results = trained
    common = ["--dataset", str(table), "--user", "u1", "--top", "3"]
    assert main(["predict", "hstu", *common, "--results", str(results)]) == 0
    first, header, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("# hstu on") and header == "rank\titem\tprobability" and len(lines) == 3
    shown = [float(line.split("\t")[2]) for line in lines]
    assert shown == sorted(shown, reverse=True)
    (path,) = results.rglob("hstu/*/seed-0.safetensors")
    assert main(["predict", str(path), *common, "--items", *(line.split("\t")[1] for line in lines)]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "din", "--user", "u1"], "has no weights of din"),
        (["predict", "hstuu", "--user", "u1"], "did you mean 'hstu'"),
        (["predict", "none.safetensors", "--user", "u1"], "do not exist"),
        (["predict", "hstu", "--user", "u1", "--time", "soon"], "--time soon"),
        (["predict", "hstu", "--user", "u1", "--context", "tab"], "write column=value"),
        (["predict", "hstu", "--user", "stranger"], "say when the request is"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table, results = trained
    where = [] if arguments[1].endswith(".safetensors") else ["--results", str(results)]
    assert main([*arguments, "--dataset", str(table), *where]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_weights_of_other_data_or_no_weights_are_refused(trained: tuple[Path, Path], data: RankingData, tmp_path: Path) -> None:
    table, results = trained
    (path,) = results.rglob("hstu/*/seed-0.safetensors")
    state, header = weights.read(path)
    roots = DataRoots(None, tmp_path)
    other = tmp_path / "other.safetensors"
    text = json.dumps(dataclasses.asdict(dataclasses.replace(header, split_hash="0" * 64)))
    save_file(state, other, {"rankbench": text})
    with pytest.raises(UserError, match="belong to split 000000000000"):
        Scorer.load(other, roots, CPU, str(table))
    save_file(state, other)
    with pytest.raises(UserError, match="holds no weights of a Rankbench run"):
        Scorer.load(other, roots, CPU, str(table))
    other.write_bytes(b"what")
    with pytest.raises(UserError, match="cannot be read"):
        Scorer.load(other, roots, CPU, str(table))
