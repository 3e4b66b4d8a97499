"""Lines along an axis: names that never meet, marks where they belong, looks that can be told apart."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from rankbench.bench.reporting.figures import save
from rankbench.bench.reporting.figures.curves import DASHES, SHADES, Line, Mark, curves, looks

pytestmark = pytest.mark.long


def line(name: str, family: str | None, end: float, places: tuple[float | str, ...] = (1, 10, 100), dashed: bool = False) -> Line:
    return Line(name, family, tuple(Mark(x, end, end - 0.05, end + 0.05, (end, end - 0.01)) for x in places), dashed)


def draw(*lines: Line) -> Figure:
    return curves("a title", "about it", "axis", "quality", {"": lines})


def names(figure: Figure) -> list[Annotation]:
    return [text for axes in figure.axes for text in axes.texts if isinstance(text, Annotation)]


@pytest.mark.parametrize("ends", [[0.7] * 9, [0.7, 0.7001, 0.71, 0.9, 0.9, 0.9, 0.9, 0.2, 0.2]])
def test_names_at_the_ends_stand_apart_in_the_order_of_their_lines(ends: list[float]) -> None:
    lines = [line(f"m{at}", "classical" if at % 2 else "generative", end) for at, end in enumerate(ends)]
    figure = draw(*lines)
    figure.canvas.draw()
    boxes = {text.get_text(): Text.get_window_extent(text) for text in names(figure)}
    assert boxes.keys() == {one.name for one in lines}
    for one, other in combinations(boxes.values(), 2):
        assert not one.overlaps(other)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 and box.x1 <= figure.bbox.x1 for box in boxes.values())
    heights = [boxes[f"m{at}"].y0 for at in sorted(range(len(ends)), key=lambda at: ends[at])]
    assert all(low < high or ends.count(0.7) > 1 for low, high in pairwise(heights))


def test_members_of_a_family_can_be_told_apart_without_colour() -> None:
    many = [line(f"m{at}", "generative", 0.7) for at in range(len(SHADES))]
    found = looks([*many, line("m0", "generative", 0.7, dashed=True)])
    assert len(found) == len(many) and len({one.colour for one in found.values()}) == len(many)
    assert len({(one.marker, str(one.dash)) for one in found.values()}) == len(many) and len(DASHES) >= 4


def test_words_are_placed_in_their_order_and_near_numbers_share_a_name() -> None:
    words = draw(line("m", "classical", 0.7, ("none", "history", "request"))).axes[0]
    assert [label.get_text() for label in words.get_xticklabels()] == ["none", "history", "request"]
    numbers = draw(line("m", "classical", 0.7, (0.081, 0.81, 1, 4, 200))).axes[0]
    assert {label.get_text() for label in numbers.get_xticklabels()} == {"0.081", "1", "4", "200"}


def test_a_dashed_variant_is_not_named_twice_and_explained(tmp_path: Path) -> None:
    after, before = line("exposed", None, 0.7), line("exposed", None, 0.6, dashed=True)

    def made() -> Figure:
        return curves(
            "a title", "about it", "axis", "quality", {"din": [after, before], "hstu": [after]}, variant=("before", "after")
        )

    figure = made()
    assert [text.get_text() for text in names(figure)] == ["exposed", "exposed"], "once a panel"
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"before", "after"}
    written = [[path.read_bytes() for path in save(made(), tmp_path / name)] for name in ("one", "two")]
    assert written[0] == written[1]
