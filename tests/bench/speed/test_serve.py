"""The benchmark of serving: requests by names, both ways with the past, lower precision held against fp32, a record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rankbench.bench import cli
from rankbench.bench.config import DataConfig, Settings
from rankbench.bench.data.asked import AskedOf
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.requests import request_at, request_of
from rankbench.bench.data.source_names import SourceNames
from rankbench.bench.errors import UserError
from rankbench.bench.speed import serve
from support.cache import own_cache
from support.logs import make_data
from support.shell import refused
from support.tables import click_table

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", users=25, longest=300)


def test_events_asked_for_by_names_are_their_own_requests(data: RankingData) -> None:
    names, known = AskedOf(data), SourceNames(data)
    for event in data.split.examples("test")[::37].tolist():
        asked, meant = names.request(event), request_of(data, event)
        found = request_at(data, asked.user, asked.time, asked.context, known)
        assert (found.user, found.time, found.lo, found.hi) == (meant.user, meant.time, meant.lo, meant.hi)
        assert all(torch.equal(found.context[name], ids) for name, ids in meant.context.items())
        assert len(names.past(event)) == meant.hi - int(data.log.user_offsets[meant.user])


def test_every_request_sees_a_full_history_and_asks_for_the_logged_item_first(data: RankingData) -> None:
    requests = serve.traffic(data, 5)
    assert requests.asked and all(len(names) == 5 for names in requests.candidates)
    assert all(names[0] == one.item for one, names in zip(requests.asked, requests.candidates, strict=True))
    for one in requests.asked:
        found = request_at(data, one.user, one.time, one.context)
        assert found.hi - found.lo == data.config.history_length


def test_histories_that_nobody_has_are_refused(tmp_path: Path) -> None:
    short = make_data(tmp_path / "tiny", DataConfig("tiny", history_length=500))
    with pytest.raises(UserError, match="no test request of tiny sees 500 past events"):
        serve.traffic(short, 5)


@pytest.mark.parametrize("model", ["din", "hstu", "onetrans"])
def test_a_model_in_int8_is_nearly_the_same_and_has_int8_in_it(model: str, data: RankingData) -> None:
    requests = serve.traffic(data, 5)
    scorer = serve.scorer_of(model, data, Settings(), CPU)
    with torch.no_grad():  # fresh weights are so small that nothing would show
        for parameter in scorer.model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    found = scorer.in_precision("int8")
    assert found.int8_share is not None and 0 < found.int8_share <= 1
    ours, theirs = (
        one.score(requests.asked[0].user, list(requests.candidates[0]), requests.asked[0].time).probability
        for one in (found, scorer)
    )
    assert 0 < np.abs(ours - theirs).max() < 0.1


def test_a_kept_past_is_never_computed_again_however_many_requests_there_are(
    data: RankingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings().changed(["hstu.width=8", "hstu.layers=1", "hstu.heads=1"], ("hstu",))
    requests, scorer = serve.traffic(data, 5, 4), serve.scorer_of("hstu", data, settings, CPU)
    scorer.remembered = 2
    (kept,) = (one for one in serve.contenders(scorer, {("eager", "fp32"): scorer}, requests, (5,)) if one.row.past == "kept")
    assert len(requests.asked) > 2
    monkeypatch.setattr(scorer.model, "remember", lambda past: pytest.fail("its past was there"))
    for at in range(len(requests.asked) + 1):
        kept.ask(at)


@pytest.mark.long
def test_the_command_measures_both_pasts_and_keeps_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    size = ["--history", "5", "--candidates", "1,3", "--seconds", "1", "--rounds", "1", "--load", "0.5"]
    command = ["speed", "serve", "--models", "din,hstu", "--dataset", str(click_table(tmp_path)), "--precision", "fp32,bf16"]
    assert cli.main([*command, *size, "--device", "cpu"]) == 0
    (path,) = (tmp_path / "results/local").glob("serving-clicks-5-cpu-1-candidates=1,3+load=0.5+models=din,hstu+*.json")
    record = json.loads(path.read_text())
    rows = {(row["model"], row["precision"], row["past"], row["candidates"]): row for row in record["rows"]}
    pasts = {("din", "computed"), ("hstu", "computed"), ("hstu", "kept")}
    assert set(rows) == {
        (model, precision, past, size) for model, past in pasts for precision in ("fp32", "bf16") for size in (1, 3)
    }
    assert all(len(row["closed"]) == len(row["open"]) == 1 and row["closed"][0]["per_second"] > 0 for row in rows.values())
    assert rows["din", "fp32", "computed", 1]["difference"] is None
    assert 0 <= rows["din", "bf16", "computed", 1]["difference"] < 0.1
    out = capsys.readouterr().out
    assert "| hstu | eager | fp32 | 1 | 5 (" in out and "at 50%" in out


@pytest.mark.long
def test_packages_are_made_before_and_measured_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    size = ["--history", "5", "--candidates", "1,3", "--seconds", "0.05", "--rounds", "1", "--load", "none"]
    command = ["speed", "serve", "--models", "lr", "--dataset", str(click_table(tmp_path)), "--device", "cpu", *size]
    assert cli.main([*command, "--form", "exported", "--prepare"]) == 0
    (made,) = own_cache(tmp_path).rglob("*.pt2")
    before = made.stat().st_mtime_ns
    assert cli.main([*command, "--form", "eager,exported"]) == 0
    assert made.stat().st_mtime_ns == before, "what was prepared is used"
    (path,) = (tmp_path / "results/local").glob("serving-clicks-5-cpu-1-*form=eager,exported*.json")
    record = json.loads(path.read_text())
    rows = {(row["form"], row["candidates"]): row for row in record["rows"]}
    assert set(rows) == {(form, size) for form in ("eager", "exported") for size in (1, 3)}
    assert rows["exported", 1]["difference"] < 1e-5 and rows["exported", 1]["open"] == [[]]


def test_the_short_table_has_a_line_for_a_way_and_a_column_for_a_length(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a record that is committed."""
    record = Path(__file__).resolve().parents[3] / "results/speed/serving-simulated-50-cpu-1-load=0.8.json"
    assert cli.main(["speed", "serve", "--costs", str(record)]) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith("| past | 50 events: 1 / 100 / 1,000 candidates |")
    assert len(lines) == len({(row["model"], row["past"]) for row in json.loads(record.read_text())["rows"]})
    assert all(line.count(" / ") == 2 for line in lines)


def test_a_file_that_is_no_record_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "record.json"
    for text in ("{", "[]", '{"rows": []}', '{"rows": [{"model": "din"}]}'):
        path.write_text(text)
        assert str(path) in refused(capsys, "speed", "serve", "--costs", str(path))


def test_wrong_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "above 0 and below 1" in refused(capsys, "speed", "serve", "--load", "1.2")
    assert "must be of eager, exported, compiled" in refused(capsys, "speed", "serve", "--form", "onnx")
    assert "say which with --form" in refused(capsys, "speed", "serve", "--prepare")
    assert "makes no use of --form" in refused(capsys, "speed", "serve", "--costs", "r.json", "--form", "exported")
    assert "a number of seconds above 0" in refused(capsys, "speed", "serve", "--seconds", "0")
    assert "must be of fp32, bf16, int8" in refused(capsys, "speed", "serve", "--precision", "fp8")
    assert "makes no use of --models" in refused(capsys, "speed", "serve", "--weights", "w", "--models", "din")
    assert "settings of models alone" in refused(capsys, "speed", "serve", "--set", "data.history_length=3")
