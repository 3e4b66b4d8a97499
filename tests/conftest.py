"""Settings of every test: one thread a process, fixed seeds, short and unhurried property tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from rankbench.bench import registry
from support.cache import own_cache

if not torch.cuda.is_available():
    # Read when Triton is first imported, by whatever module: its programs then run in the interpreter.
    os.environ["TRITON_INTERPRET"] = "1"
torch.set_num_threads(1)
registry.load_own()  # the contract of models is that of one's own, too: RANKBENCH_MODELS=mine.py pytest tests/test_models.py
settings.register_profile("local", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=20, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def one_thread_again() -> Iterator[None]:
    """Whatever a test, or the command that it calls, sets."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """A test that fails alone fails among others too."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is read from or written to the user's folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    monkeypatch.delenv("RANKBENCH_DATA", raising=False)
