"""Random rows for every test here."""

from support.row_fixtures import make_batch, make_spec, rows_of

__all__ = ["make_batch", "make_spec", "rows_of"]
