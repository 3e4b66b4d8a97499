"""Each planted fault is found, with what to do about it, and a clean log has none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from rankbench.bench.cli import main
from rankbench.bench.config import DataConfig
from rankbench.bench.data import columns
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.schema import Feature, RawLog
from rankbench.bench.data.sources.simulator import SimulatorConfig, simulate
from rankbench.bench.inspection.features import alone
from rankbench.bench.inspection.finding import LOOKED_FOR, Fault
from rankbench.bench.inspection.inspect import inspect
from rankbench.bench.reporting.inspection_page import to_lines, to_markdown
from support.logs import make_data

RAW = simulate(SimulatorConfig(events=12_000, users=150, items=200, categories=10), "shop")
TABLE = RAW.events
assert isinstance(TABLE, pd.DataFrame)
END = float(TABLE["time"].quantile(0.9))
"""About where the test begins."""
RNG = np.random.default_rng(0)
N = len(TABLE)


def data_of(raw: RawLog, folder: Path) -> RankingData:
    return prepare_log(write_log(raw, folder / "log"), DataConfig("shop"))


def found(raw: RawLog, folder: Path) -> list[Fault]:
    return list(inspect(data_of(raw, folder)))


def with_rows(events: pd.DataFrame, **schema: object) -> RawLog:
    return dataclasses.replace(RAW, events=events.reset_index(drop=True), schema=dataclasses.replace(RAW.schema, **schema))


def with_context(name: str, values: np.ndarray, kind: str = "category") -> RawLog:
    return with_rows(TABLE.assign(**{name: values}), context_features=(Feature(name, kind),))  # type: ignore[arg-type]


def with_item_number(values: pd.Series) -> RawLog:
    assert RAW.items is not None
    features = (*RAW.schema.item_features, Feature("sold", "number"))
    schema = dataclasses.replace(RAW.schema, item_features=features)
    return dataclasses.replace(RAW, items=RAW.items.assign(sold=values.reindex(RAW.items.index).fillna(0)), schema=schema)


def outcome() -> RawLog:
    """Play time, which is an outcome, as a context feature; sometimes wrong."""
    told = np.where(RNG.random(N) < 0.98, TABLE["click"], 1 - TABLE["click"])
    return with_context("play_time", told * 10 + RNG.random(N), "number")


def cut_requests() -> RawLog:
    """A split that was drawn row by row."""
    role = np.array(["train", "valid", "test"])[RNG.choice(3, N, p=[0.8, 0.1, 0.1])]
    events = TABLE.assign(request=(TABLE["time"] // 600).astype(str), role=role)
    return dataclasses.replace(with_rows(events, request_ids=True, roles=True), default_split="declared")


def backfilled() -> RawLog:
    """A value that is there in the last tenth alone."""
    device = np.where(TABLE["time"] < END, "", RNG.choice(["phone", "tablet"], N))
    return with_context("device", device)


def labelled(change: Callable[[pd.DataFrame], np.ndarray]) -> RawLog:
    return with_rows(TABLE.assign(click=change(TABLE)))


FAULTS: dict[str, tuple[str, str, str, Callable[[], RawLog]]] = {
    "rows of 1970": (
        "time", "serious", "12 of .* rows lie before 1990 or after 2050, one at 1970-01-01",
        lambda: with_rows(
            TABLE.assign(
                time=pd.to_datetime(TABLE["time"].where(TABLE.index % 1000 > 0, 0), unit="s").dt.strftime("%Y-%m-%d %H:%M:%S")
            ),
            time_unit="datetime",
        ),
    ),
    "a log of minutes": (
        "time", "serious", "lie within 4[0-9].* minutes",
        lambda: with_rows(TABLE.assign(time=1_704_067_200_000 + (TABLE["time"] - TABLE["time"].min())), time_unit="ms"),
    ),
    "dates without hours": (
        "ties", "look", "All times are whole days", lambda: with_rows(TABLE.assign(time=TABLE["time"] // 86_400 * 86_400)),
    ),
    "one time a user": (
        "ties", "serious", "have a single time",
        lambda: with_rows(TABLE.assign(time=TABLE.groupby("user")["time"].transform("first"))),
    ),
    "rows that stand twice": ("repeats", "look", "equal to another one", lambda: with_rows(pd.concat([TABLE, TABLE[:500]]))),
    "outcomes that contradict": (
        "repeats", "serious", "a different outcome",
        lambda: with_rows(pd.concat([TABLE, TABLE[:500].assign(click=1 - TABLE["click"][:500])])),
    ),
    "events logged again": (
        "repeats", "look", "within 10 seconds", lambda: with_rows(pd.concat([TABLE, TABLE[:900].assign(time=TABLE["time"] + 2)])),
    ),
    "an outcome among the features": ("leak", "serious", "context feature play_time alone tells the label", outcome),
    "items that tell the label": (
        "leak", "serious", "The item's id alone",
        lambda: labelled(lambda rows: (rows["item"].str.removeprefix("i").astype(int) % 2).to_numpy()),
    ),
    "a count of the whole log": (
        "future", "serious", "item feature sold is a count of rows of the whole log",
        lambda: with_item_number(TABLE.groupby("item").size()),
    ),
    "clicks of the whole log": (
        "future", "serious", "item feature sold is a count of positive rows",
        lambda: with_item_number(TABLE[TABLE["click"] == 1].groupby("item").size()),
    ),
    "a value that is filled in later": ("future", "look", "device is missing in 100% of training", backfilled),
    "a split row by row": ("both sides", "serious", "The source's own split cuts through", cut_requests),
    "a page on both sides": (
        "both sides", "look", "within a minute of a row of the same user",
        lambda: dataclasses.replace(RAW, default_split="leave-one-out"),
    ),
    "a base rate that doubles": (
        "drift", "serious", "The base rate is",
        lambda: labelled(lambda rows: (RNG.random(N) < np.where(rows["time"] < END, 0.2, 0.6)).astype(int)),
    ),
    "a feature that changes": (
        "drift", "look", "context feature version has other values",
        lambda: with_context("version", np.where(TABLE["time"] < END, "1", RNG.choice(["1", "2"], N))),
    ),
    "users of one label": (
        "one label", "serious", "have a single label",
        lambda: labelled(lambda rows: (rows["user"].str.removeprefix("u").astype(int) % 3 == 0).astype(int).to_numpy()),
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    kind, severity, said, plant = FAULTS[fault]
    faults = found(plant(), tmp_path)
    told = pd.Series([f"{one.kind}: {one.severity}: {one.what}" for one in faults], dtype="str")
    assert told.str.contains(f"^{kind}: {severity}: .*{said}").any(), told.tolist()
    assert all(one.todo for one in faults)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_clean_log_has_no_fault(seed: int, tmp_path: Path) -> None:
    # A number and a category that tell nothing, one of each owner that tells a little.
    config = SimulatorConfig(events=12_000, users=150, items=200, categories=10, seed=seed)
    raw = simulate(config, "shop")
    assert isinstance(raw.events, pd.DataFrame) and raw.items is not None
    rng = np.random.default_rng(seed)
    events = raw.events.assign(page=rng.choice(["a", "b"], N), price=rng.normal(size=N))
    items = raw.items.assign(weight=rng.normal(size=len(raw.items)))
    schema = dataclasses.replace(
        raw.schema,
        context_features=(Feature("page"), Feature("price", "number")),
        item_features=(*raw.schema.item_features, Feature("weight", "number")),
    )
    assert found(dataclasses.replace(raw, events=events, items=items, schema=schema), tmp_path) == []


@pytest.mark.long
def test_rows_that_the_log_says_were_shown_together_are_no_ties(tmp_path: Path) -> None:
    events = TABLE.assign(time=TABLE["time"] // 86_400 * 86_400)

    def ties(requests: pd.Series, folder: Path) -> list[str]:
        named = with_rows(events.assign(request=requests.astype(str)), request_ids=True)
        return [one.what for one in found(named, folder) if one.kind == "ties"]

    assert ties(events["time"], tmp_path / "pages") == []
    assert len(ties(pd.Series(range(len(events))), tmp_path / "rows")) == 1, (
        "each row a request of its own: nothing else orders them"
    )


def test_a_column_is_judged_on_rows_that_it_was_not_learned_on() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 2000)

    def by_label(codes: np.ndarray, rows: slice) -> np.ndarray:
        return np.stack([np.bincount(codes[rows][label[rows] == value], minlength=2000) for value in (0, 1)])

    def judged(codes: np.ndarray) -> float:
        return alone(by_label(codes, slice(1000)), by_label(codes, slice(1000, None)))

    assert judged(np.arange(2000)) == 0.5  # every row a value of its own
    assert judged(label) == 1.0
    codes = rng.integers(0, 50, 2000)
    rows, positive = by_label(codes, slice(1000)).sum(0), by_label(codes, slice(1000))[1]
    score = (positive + 2 * label[:1000].mean()) / (rows + 2)
    assert judged(codes) == pytest.approx(roc_auc_score(label[1000:], score[codes[1000:]]), abs=1e-12)
    assert np.isnan(alone(np.zeros((2, 3), dtype=int), np.ones((2, 3), dtype=int)))


@pytest.mark.long
@pytest.mark.parametrize("fault", ["one time a user", "a count of the whole log", "a split row by row", "a feature that changes"])
def test_blocks_change_nothing(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(FAULTS[fault][3](), tmp_path)
    whole = inspect(data)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 700)
    assert whole == inspect(data) and whole


def test_text_and_page_name_every_kind_and_what_to_do(tmp_path: Path) -> None:
    fault = Fault("leak", "serious", "It tells.", "Leave it out.")
    lines = list(to_lines([fault]))
    assert lines[:2] == ["serious: leak: It tells.", "  what to do: Leave it out."]
    assert "leak" not in lines[2] and lines[3] == "1 serious, 0 to look at"
    page = to_markdown(make_data(tmp_path / "log"), [fault], "rankbench data check shop.yaml")
    assert all(said in page for said in LOOKED_FOR.values()) and "What to do: Leave it out." in page and "| **serious** |" in page


@pytest.mark.long
@pytest.mark.usefixtures("own_folders")
def test_the_exit_code_says_whether_something_serious_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TABLE.rename(columns={"click": "label"}).to_csv("clean.csv", index=False)
    TABLE.assign(label=TABLE["click"], play=TABLE["click"]).to_csv("leaky.csv", index=False)
    Path("clean.yaml").write_text("events: clean.csv\nlabel: label\n")
    Path("leaky.yaml").write_text("events: leaky.csv\nlabel: label\ncontext_features: [play]\n")
    Path("unit.yaml").write_text("events: clean.csv\nlabel: label\ntime_unit: ms\n")
    assert main(["data", "check", "clean.yaml"]) == 0
    assert main(["data", "check", "leaky.yaml", "--to", "page.md"]) == 1
    assert "play alone tells the label" in Path("page.md").read_text()
    assert main(["data", "check", "unit.yaml"]) == 2  # it cannot even be converted
    assert "January 1970" in capsys.readouterr().err
