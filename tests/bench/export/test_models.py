"""Every model of the registry as a package scores as it does itself, or is listed in the docs as one that cannot be exported;
those that serve by default also as machine code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rankbench.bench import registry
from rankbench.bench.commands.speed.serve import SERVED
from rankbench.bench.config import Experiment
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.errors import UserError
from rankbench.bench.export import package
from rankbench.bench.export.equal import TOLERANCE, largest_difference
from rankbench.bench.export.programs import CANDIDATES, REMEMBER, SCORES, Program, example_model, trace
from rankbench.bench.records.weights import Header
from rankbench.kernels.linear import LIBRARY
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
    found = written_and_read(tmp_path, programs, Header.of(Experiment(name, data.config), 0, data), "exported")
    assert largest_difference(model, found, info, data) <= TOLERANCE
    assert found.remembers == (REMEMBER in programs) == (CANDIDATES in programs)


@pytest.mark.slow
@pytest.mark.skipif(bool(reason := LIBRARY.why_unavailable()), reason=reason or "")
@pytest.mark.parametrize("name", SERVED.split(","))
def test_a_compiled_package_scores_as_its_model(name: str, data: RankingData, tmp_path: Path) -> None:
    info = registry.info(name)
    model = example_model(info, data.spec)
    programs = trace(model, info, data)
    found = written_and_read(tmp_path, programs, Header.of(Experiment(name, data.config), 0, data), "compiled")
    assert largest_difference(model, found, info, data) <= TOLERANCE
    assert found.remembers == (REMEMBER in programs)


def written_and_read(folder: Path, programs: Mapping[str, Program], header: Header, kind: package.Kind) -> package.PackagedRanker:
    path = folder / "model.pt2"
    package.write(path, package.to_bytes(programs, header, kind))
    return package.load(path, package.read_header(path))


def test_a_package_of_other_weights_is_told_apart(data: RankingData) -> None:
    info = registry.info("lr")
    model = example_model(info, data.spec)
    found = package.ranker_of({SCORES: trace(model, info, data)[SCORES]})
    assert largest_difference(model, found, info, data) <= TOLERANCE
    assert largest_difference(example_model(info, data.spec, seed=4), found, info, data) > TOLERANCE
