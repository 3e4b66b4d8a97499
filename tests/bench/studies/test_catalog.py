"""Every registered study is a set of valid, distinct experiments that can be read and drawn."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from rankbench.bench.analysis import study as study_file
from rankbench.bench.analysis.statements import Headline, of_kind
from rankbench.bench.analysis.study_statements import Held, PartOfStudy
from rankbench.bench.config import LogDefaults, Settings
from rankbench.bench.errors import UserError
from rankbench.bench.records.rounded import rounded
from rankbench.bench.reporting.words import sentences
from rankbench.bench.studies import catalog, output
from rankbench.bench.studies.points import Point, Scope, Size, cells
from support.studies import report, scope

SIZES: tuple[Size, ...] = ("small", "full")


def test_a_wrong_name_is_told_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown study 'negativ'; did you mean 'negatives'"):
        catalog.find("negativ")


@pytest.mark.parametrize("name", catalog.STUDIES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("positive_only", [False, True])
def test_points_are_valid_experiments(name: str, size: Size, positive_only: bool) -> None:
    study = catalog.find(name)
    assert study.name == name
    points = study.grid(scope(study.models[size], size, positive_only))
    same: dict[tuple[str, ...], list[Point]] = {}
    labels = {point.label for point in points}
    for point in points:
        assert {part.rate_of for part in point.parts} <= {"", *labels}
        planned = [cells(point, candidate, Settings(), 1) for candidate in point.candidates]
        hashes = [tuple(cell.experiment.hash for cell in parts) for parts in planned]
        assert len(set(hashes)) == len(point.candidates) and all(len(set(one)) == len(point.parts) for one in hashes)
        for cell in (cell for parts in planned for cell in parts):
            assert cell.experiment.data.resolved(LogDefaults("global-time", 0, positive_only))
        same.setdefault(hashes[0], []).append(point)
    for shared in same.values():
        assert len({point.series for point in shared}) == len(shared), "two points of a series are one experiment"
    known = set(points)
    for one, other in study.pairs(points):
        assert {one, other} <= known and one != other
    # A curve over sizes needs the right learning rate at each of them even where it is small.
    assert size == "full" or name == "scaling" or all(len(point.candidates) == 1 for point in points)


@pytest.mark.parametrize(("name", "model"), [("heads", "din"), ("ablation", "llama")])
def test_models_that_a_study_cannot_ask_about_are_refused(name: str, model: str) -> None:
    with pytest.raises(UserError, match=model):
        catalog.find(name).grid(Scope((model,)))


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Visible texts with their boxes, without the lines that lead to them and tick labels beyond the ends of an axis."""
    figure.canvas.draw()
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer = figure.canvas.get_renderer()
    beyond = [
        label
        for axes in figure.axes
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not min(ends) <= tick.get_loc() <= max(ends)
        for label in (tick.label1, tick.label2)
    ]
    found = [text for text in figure.findobj(Text, include_self=False) if text.get_text() and text.get_visible()]
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in found if text not in beyond]


def check_texts(title: str, figure: Figure) -> None:
    """None is cut off or on another."""
    found = texts(figure)
    for text, box in found:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, (title, text)
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, (title, text)
    for (one, first), (other, second) in combinations(found, 2):
        assert not first.overlaps(second), (title, one, other)


def test_a_series_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"no series of the study scaling is called '\* dat'; it has: din depth; din width"):
        catalog.find("scaling").grid(Scope(("din",), series=("din depth", "* dat")))


def test_patterns_choose_series_with_what_they_are_compared_with() -> None:
    def asked(name: str, *series: str) -> dict[str, int]:
        points = catalog.find(name).grid(Scope(("din", "hstu") if name == "scaling" else ("hstu",), series=series))
        return {series: sum(point.series == series for point in points) for series in {point.series for point in points}}

    assert asked("scaling", "* data") == {"din data": 3, "hstu data": 3}
    assert asked("scaling", "din depth", "* depth") == {"din depth": 3, "hstu depth": 3}
    uniform = asked("negatives", "hstu, uniform")
    assert uniform.pop("hstu, exposed") == 1 and list(uniform) == ["hstu, uniform"]
    # The MLP over interleaved tokens is the reference of late states, and itself stands against DIN.
    late = asked("heads", "hstu, late")
    assert (late.pop("din"), late.pop("hstu, interleaved"), list(late)) == (1, 1, ["hstu, late"])


REFERENCES = (("heads", "din"), ("behaviours", "lr"), ("domains", "lr"))
"""Series of what others are compared with, or stand beside."""


@pytest.mark.long
@pytest.mark.parametrize("name", catalog.STUDIES)
def test_a_part_is_told_and_drawn(name: str, tmp_path: Path) -> None:
    study = catalog.find(name)
    models = study.models["small"]
    for at, series in enumerate(dict.fromkeys(point.series for point in study.grid(scope(models)))):
        if (name, series) in REFERENCES:
            continue  # the reference alone: there is nothing to show
        made = report(study, scope(models, series=(series,)), tmp_path / str(at), seeds=1, users=12)
        assert made.statements[0] == PartOfStudy((series,))
        own = {one.point.label for one in made.finding.measurements if one.point.series == series}
        assert own == {point.label for point in study.grid(scope(models)) if point.series == series}
        figures = study.figures(made.finding)
        assert figures, series
        for title, figure in figures.items():
            check_texts(f"{series}: {title}", figure)


@pytest.mark.long
@pytest.mark.parametrize("name", catalog.STUDIES)
def test_a_finding_is_told_and_drawn(name: str, tmp_path: Path) -> None:
    study = catalog.find(name)
    made = report(study, scope(study.models["small"]), tmp_path, seeds=2, users=12)
    told = " ".join(sentences(made.statements))
    for series in made.finding.series:
        assert series in told or len(made.finding.series[series]) == 1, series
    assert of_kind(made.statements, Held) and of_kind(made.statements, Headline)
    content = study_file.to_json(output.to_record(made, ()))
    (tmp_path / "study.json").write_text(content)
    again = study_file.load(tmp_path / "study.json")
    assert study_file.to_json(again) == content and again.statements == rounded(made.statements)
    figures = study.figures(made.finding)
    assert figures
    for title, figure in figures.items():
        check_texts(title, figure)
