"""Compiling at first use: found again, harmless at the same time, and a reason in one line where it cannot be done."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path
from types import ModuleType

import pytest

from rankbench.kernels import dropout, gating, hstu_layer, linear, lookup, native, recurrence
from rankbench.kernels.hstu_attention import cpu
from rankbench.kernels.target_attention import cpu as loops

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
compiles = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("RANKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "seven.cpp"
    path.write_text('#include "number.h"\nextern "C" int seven() { return NUMBER; }\n')
    (tmp_path / "number.h").write_text("#define NUMBER 7\n")
    return path


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@compiles
def test_compiled_once_and_again_after_an_edit(source: Path, own_cache: Path) -> None:
    files = (source, source.with_name("number.h"))
    assert native.build(files).seven() == 7
    (library,) = own_cache.iterdir()
    made = library.stat().st_mtime_ns
    assert native.build(files).seven() == 7 and library.stat().st_mtime_ns == made
    files[1].write_text("#define NUMBER 8\n")
    assert native.build(files).seven() == 8 and len(list(own_cache.iterdir())) == 2


@compiles
def test_two_at_once_do_not_disturb_each_other(source: Path, own_cache: Path) -> None:
    results: list[int] = []
    both = [threading.Thread(target=lambda: results.append(native.build((source,)).seven())) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert results == [7, 7] and [path.suffix for path in own_cache.iterdir()] == [".so"]


@compiles
def test_a_compiler_without_openmp_will_do(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'for option; do if [ "$option" = -fopenmp ]; then echo "error: no OpenMP" >&2; exit 1; fi; done; exec {COMPILER} "$@"'
    monkeypatch.setenv("CXX", script(tmp_path / "cxx", text))
    assert native.build((source,)).seven() == 7


@compiles
def test_an_error_in_the_source_is_told(source: Path, own_cache: Path) -> None:
    source.write_text("int seven() { return seven_of_nine; }\n")
    with pytest.raises(native.BuildError, match=r"cannot compile seven.cpp: .*error.*seven_of_nine") as caught:
        native.build((source,))
    assert "\n" not in str(caught.value) and not list(own_cache.iterdir())


@pytest.mark.parametrize(
    ("cxx", "message"),
    [
        ("/nowhere/c++ -O1", "no C++ compiler: CXX names /nowhere/c++, which is not found"),
        ("false", "the C++ compiler false does not work: --version ends with 1"),
    ],
)
def test_a_compiler_that_does_not_work_is_named(cxx: str, message: str, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", cxx)
    with pytest.raises(native.BuildError, match=re.escape(message)):
        native.build((source,))


def test_no_compiler_at_all(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(native.BuildError, match=r"none of c\+\+, g\+\+, clang\+\+ is found"):
        native.build((source,))


@compiles
def test_a_cache_that_cannot_be_written(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RANKBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(native.BuildError, match="cannot be written: Not a directory"):
        native.build((source,))


@compiles
def test_a_broken_library_says_what_to_do(source: Path, own_cache: Path) -> None:
    path = own_cache / f"seven-{native._key((source,), native._compiler())}.so"
    own_cache.mkdir(parents=True)
    path.write_text("not a library")
    with pytest.raises(native.BuildError, match=r"cannot be loaded .*; delete it to compile it again"):
        native.build((source,))


MODULES = (cpu, dropout, gating, hstu_layer, linear, lookup, recurrence, loops)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".")[-1])
def test_everything_that_is_included_is_listed(module: ModuleType) -> None:
    """A header that is missing from the list would not be part of the hash."""
    found, left = set(), {module.LIBRARY.sources[0].resolve()}
    while left:
        path = left.pop()
        found.add(path)
        names = re.findall(r'^#include "(.+)"', path.read_text(), re.MULTILINE)
        left |= {(path.parent / name).resolve() for name in names} - found
    assert {path.resolve() for path in module.LIBRARY.sources} == found and module.LIBRARY.sources[0].suffix == ".cpp"


def test_no_compiler_is_a_reason_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    library = native.Library(*cpu.LIBRARY.sources, declare=lambda built: None)
    reason = "the C++ compiler false does not work: --version ends with 1"
    assert library.why_unavailable() == reason
    with pytest.raises(RuntimeError, match=re.escape(f"fused.cpp is not available: {reason}")):
        library()
