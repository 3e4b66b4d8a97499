"""Every model of the registry as a package scores as it does itself, or is listed in the docs as one that cannot be exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankbench.bench import registry
from rankbench.bench.config import Experiment
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.errors import UserError
from rankbench.bench.export import package
from rankbench.bench.export.equal import TOLERANCE, largest_difference
from rankbench.bench.export.programs import CANDIDATES, REMEMBER, SCORES, example_model, trace
from rankbench.bench.records.weights import Header
from support.logs import make_data

pytestmark = pytest.mark.long

DOCS = Path(__file__).resolve().parents[3] / "docs" / "howto" / "serving.md"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", users=25, longest=300)


@pytest.mark.parametrize("name", list(registry.MODELS))
def test_a_package_scores_as_its_model(name: str, data: RankingData, tmp_path: Path) -> None:
    info = registry.info(name)
    model = example_model(info, data.spec)
    listed = DOCS.read_text().partition("cannot be exported")[2].partition("\n## ")[0]
    try:
        programs = trace(model, info, data)
    except UserError as error:
        start = f"{name} cannot be exported: "
        assert str(error).startswith(start) and f"\n| {name} | {str(error).removeprefix(start)} |\n" in listed
        return
    assert f"\n| {name} | " not in listed, "it can be exported by now: take it off the list"
    path = tmp_path / "model.pt2"
    package.write(path, package.to_bytes(programs, Header.of(Experiment(name, data.config), 0, data), "exported"))
    found = package.load(path, package.read_header(path))
    assert largest_difference(model, found, info, data) <= TOLERANCE
    assert found.remembers == (REMEMBER in programs) == (CANDIDATES in programs)


def test_a_package_of_other_weights_is_told_apart(data: RankingData) -> None:
    info = registry.info("lr")
    model = example_model(info, data.spec)
    found = package.ranker_of({SCORES: trace(model, info, data)[SCORES]})
    assert largest_difference(model, found, info, data) <= TOLERANCE
    assert largest_difference(example_model(info, data.spec, seed=4), found, info, data) > TOLERANCE
