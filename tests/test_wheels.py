"""What a machine with a card and without network is given."""

from support.wheels import needed


def test_everything_that_is_imported_is_there_and_neither_torch_nor_what_developers_use() -> None:
    found = needed("3.12")
    assert {"optuna", "pydantic-core", "deepctr-torch", "pytest-xdist", "sqlalchemy", "mdurl"} <= found.keys()
    assert not found.keys() & {"torch", "triton", "rankbench", "ruff", "pyright", "mlflow-skinny"}
