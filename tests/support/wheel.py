"""The package as a wheel, and an environment in which nothing but that wheel and this environment's libraries is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "baselines", "generative", "kernels", "unified")


def call(*command: str | Path, cwd: Path) -> str:
    """Output of a command that must succeed, run without what this process has in its environment for Python."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(folder: Path) -> Path:
    """Checkout -> source distribution -> wheel; a copy of the checkout is used, because builds leave files behind."""
    copy = folder / "checkout"
    for name in (*FOLDERS, "src"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    call(sys.executable, "-c", "from setuptools import build_meta; build_meta.build_sdist('dist')", cwd=copy)
    (archive,) = (copy / "dist").iterdir()
    shutil.unpack_archive(archive, folder)  # of our own making; tarfile's filters are younger than Python 3.11.0
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    call(sys.executable, "-c", "from setuptools import build_meta; build_meta.build_wheel('dist')", cwd=unpacked)
    (wheel,) = (unpacked / "dist").iterdir()
    return wheel


def installed(folder: Path, wheel: Path | None = None) -> Path:
    """The Python of a new virtual environment with the wheel in it; a new one is built if none is given.

    Libraries come from this environment by a .pth file; its own link to the checkout is not followed by that.
    """
    wheel = wheel or built(folder / "building")
    call(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python
