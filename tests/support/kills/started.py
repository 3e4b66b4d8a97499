"""A command in a process of its own, forked from one that has imported everything: a kill then meets work, not imports."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

import rankbench
from rankbench.bench import cli
from support.cache import own_cache

PATIENCE = 600.0
"""Seconds after which a command counts as one that never ends."""
FAREWELL = 60.0
"""Seconds that workers have to follow a killed command."""


def preload() -> None:
    """Import all that any command may, once. Nothing here starts a thread or calculates, which would not survive a fork."""
    for room in ("bench", "baselines", "generative", "kernels"):
        package = importlib.import_module(f"{rankbench.__name__}.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                try:
                    importlib.import_module(found.name)
                except ImportError as error:
                    if (error.name or "").startswith(rankbench.__name__):
                        raise  # else an extra is not installed
    for name in ("matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg", "sklearn.metrics", "torch._dynamo"):
        importlib.import_module(name)
    gc.freeze()  # or the first collection after a fork copies every page


@dataclass
class Started:
    """A command under way, the head of a session of its own."""

    pid: int
    errors: Path
    """What it and its workers say on stderr."""
    code: int | None = None

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        folder: Path,
        number: int,
        environment: Mapping[str, str] | None = None,
        first: Callable[[], object] = lambda: None,
    ) -> Started:
        """Give the command in a folder for the `number`th time.

        Args:
            environment: variables beside those of this process.
            first: what its process does before it.
        """
        (folder / "tmp").mkdir(exist_ok=True)
        errors = folder.with_name(f"{folder.name}-{number}.err")
        own_cache(folder)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _be(words, folder, errors, environment or {}, first)
        return cls(pid, errors)

    def ended(self, seconds: float) -> bool:
        """Wait for its end, so long at most."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(0.005)
        return True

    def workers(self) -> list[psutil.Process]:
        return [one for one in self._session() if one.pid != self.pid and "spawn_main" in _line(one)]

    def send(self, number: signal.Signals, whom: str) -> str:
        """A signal to `main`, to one `worker` or to the whole `group`; who got it."""
        hands = self.workers() if whom == "worker" else []
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if hands:
                hands[0].send_signal(number)
            elif whom == "group":
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        return whom if hands or whom == "group" else "main"

    def left(self) -> list[str]:
        """Processes that outlive it; they are ended."""
        deadline = time.monotonic() + FAREWELL
        while (still := list(self._session())) and time.monotonic() < deadline:
            time.sleep(0.02)
        for one in still:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        return [f"process {_line(one)[:80]}" for one in still]

    def _session(self) -> Iterator[psutil.Process]:
        for pid in psutil.pids():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(pid) == self.pid and (one := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE:
                    yield one


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _be(words: Sequence[str], folder: Path, errors: Path, environment: Mapping[str, str], first: Callable[[], object]) -> None:
    """The child: the command, to its end."""
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(folder)
        os.environ.update(RANKBENCH_CACHE=str(folder / "cache"), TMPDIR=str(folder / "tmp"), TQDM_DISABLE="1")
        tempfile.tempdir = None
        nothing, said = os.open(os.devnull, os.O_RDWR), os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for number, target in enumerate((nothing, nothing, said)):
            os.dup2(target, number)
        os.environ.update(environment)
        first()
        sys.argv = ["rankbench", *words]
        cli.process()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
