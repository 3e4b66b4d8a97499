"""The page of kernels says of every implementation what it is, where it runs and who uses it."""

from rankbench.bench.implementations import OPERATIONS
from rankbench.bench.reporting.reference.kernels import page


def test_every_implementation_has_a_line_that_says_what_it_is() -> None:
    lines = [line for line in page().splitlines() if line.startswith("| `") or line.startswith("|  |")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [cell[2].strip("`") for cell in cells] == [one.name for _, found in sorted(OPERATIONS.items()) for one in found]
    assert all(all(cell[2:]) for cell in cells)
    assert {cell[0].strip("`"): cell[1] for cell in cells if cell[0]}.keys() == OPERATIONS.keys() and all(
        cell[1] for cell in cells if cell[0]
    )
