"""`python -m rankbench` is the command `rankbench`."""

from .bench.cli import process

process()
