"""C++ beside the Python files, compiled for this machine when it is first needed and kept in the cache.

A library is found again by a hash of its source, the compiler, the flags and the processor, so that neither an edit, an update
nor a home folder shared by different machines ever loads a wrong one. Functions are plain C, called through ctypes.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

_SECONDS = 300
"""A compiler that takes longer hangs."""


class BuildError(Exception):
    """One line: why there is no library."""


class Library:
    """C++ of one operation, built when it is first asked for and then kept, or the reason why there is none."""

    def __init__(self, *sources: Path, declare: Callable[[ctypes.CDLL], None]) -> None:
        """
        Args:
            sources: the file that is compiled, then those that it includes.
            declare: says which arguments and results the functions have; a BuildError is a reason too.
        """
        self.sources, self._declare = sources, declare
        self._built: ctypes.CDLL | str | None = None

    def why_unavailable(self) -> str | None:
        """None if it can be used here; builds it if need be."""
        if self._built is None:
            try:
                library = build(self.sources)
                self._declare(library)
                self._built = library
            except BuildError as error:
                self._built = str(error)
        return self._built if isinstance(self._built, str) else None

    def __call__(self) -> ctypes.CDLL:
        """The library.

        Raises:
            RuntimeError: there is none, with the reason.
        """
        reason = self.why_unavailable()
        if reason is not None or not isinstance(self._built, ctypes.CDLL):
            raise RuntimeError(f"{self.sources[0].name} is not available: {reason}")
        return self._built


def build(sources: Sequence[Path]) -> ctypes.CDLL:
    """The library of C++ files: the first is compiled, the others are headers that it includes.

    Raises:
        BuildError: no compiler, or it fails, or the cache cannot be written, or the library cannot be loaded.
    """
    compiler = _compiler()
    path = _cache() / f"{sources[0].stem}-{_key(sources, compiler)}.so"
    if not path.exists():
        _compile(compiler, sources[0], path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BuildError(f"{path} cannot be loaded ({_line(str(error))}); delete it to compile it again") from None


def _compiler() -> tuple[str, ...]:
    """$CXX, which may hold options, else the first of the usual names."""
    given = shlex.split(os.environ.get("CXX", ""))
    if given:
        if shutil.which(given[0]) is None:
            raise BuildError(f"no C++ compiler: CXX names {given[0]}, which is not found")
        return tuple(given)
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name):
            return (name,)
    raise BuildError("no C++ compiler: none of c++, g++, clang++ is found; install one, or let CXX name it")


def _cache() -> Path:
    root = os.environ.get("RANKBENCH_CACHE", "")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "rankbench") / "kernels"


def _flags() -> tuple[str, ...]:
    own = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    return ("-std=c++17", "-O3", own, "-fno-math-errno", "-fPIC", "-shared")


def _key(sources: Sequence[Path], compiler: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for part in (_version(compiler), repr((*compiler, *_flags())), processor(), *(path.read_text() for path in sources)):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:24]


def _version(compiler: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*compiler, "--version"], capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"the C++ compiler {compiler[0]} does not run: {_line(str(error))}") from None
    if done.returncode != 0:
        raise BuildError(f"the C++ compiler {compiler[0]} does not work: --version ends with {done.returncode}")
    return done.stdout


@functools.cache
def processor() -> str:
    """The instruction set that `native` stands for: what the system says the processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = {line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))}
    return "\n".join([platform.machine(), platform.processor(), *sorted(features)])


def _compile(compiler: tuple[str, ...], source: Path, target: Path) -> None:
    """With OpenMP if the compiler has it. Written elsewhere and moved, so that two processes may do this at once."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="building-", dir=target.parent)
    except OSError as error:
        raise BuildError(f"the cache {target.parent} cannot be written: {error.strerror}") from None
    try:
        made = Path(folder) / target.name
        errors = ""
        for openmp in (["-fopenmp"], []):
            command = [*compiler, *_flags(), *openmp, str(source), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
            if done.returncode == 0:
                made.replace(target)
                return
            errors = done.stderr
        first = next((line for line in errors.splitlines() if "error:" in line), errors)
        raise BuildError(f"{compiler[0]} cannot compile {source.name}: {_line(first) or f'it ends with {done.returncode}'}")
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{compiler[0]} cannot compile {source.name}: {_line(str(error))}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def addresses(tensors: Sequence[Tensor | None]) -> ctypes.Array[ctypes.c_void_p]:
    """Where tensors begin, as an array of pointers; null for None. Whoever calls keeps the tensors alive."""
    return (ctypes.c_void_p * len(tensors))(*(None if one is None else one.data_ptr() for one in tensors))


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
