"""The source distribution and the wheel made from it hold the whole package and work where the checkout is not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("bench", "baselines", "generative", "kernels", "unified")
SOURCES = sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def call(*command: str | Path, cwd: Path) -> str:
    """Output of a command that must succeed, run without what this process has in its environment for Python."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkout -> source distribution -> wheel; a copy of the checkout is used, because builds leave files behind."""
    folder = tmp_path_factory.mktemp("packaging")
    copy = folder / "checkout"
    for name in (*FOLDERS, "src"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    call(sys.executable, "-c", "from setuptools import build_meta; build_meta.build_sdist('dist')", cwd=copy)
    (archive,) = (copy / "dist").iterdir()
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    call(sys.executable, "-c", "from setuptools import build_meta; build_meta.build_wheel('dist')", cwd=unpacked)
    (built,) = (unpacked / "dist").iterdir()
    return built


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    modules = {f"rankbench/{path}" for path in SOURCES} | {"rankbench/__init__.py", "rankbench/__main__.py"}
    assert {name for name in names if name.endswith(".py")} == modules
    assert "rankbench/py.typed" in names
    native = {path.relative_to(ROOT).as_posix() for suffix in ("cpp", "h") for path in (ROOT / "kernels").rglob(f"*.{suffix}")}
    assert native and {f"rankbench/{path}" for path in native} <= names
    assert all(name.startswith("rankbench/") for name in names)


@pytest.mark.long
def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """Libraries come from this environment by a .pth file; its own link to the checkout is not followed by that."""
    call(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    (site,) = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    shown = call(tmp_path / "venv" / "bin" / "rankbench", "ls", "models", cwd=tmp_path)
    assert {"din", "hstu", "random"} <= {line.split()[0] for line in shown.splitlines()}

    found = [path for path in SOURCES if importlib.util.find_spec("triton") or not path.endswith("/triton_programs.py")]
    modules = ["rankbench." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in found]
    code = f"import importlib; files = [importlib.import_module(name).__file__ for name in {modules}]; print(*files, sep='\\n')"
    files = call(python, "-c", code, cwd=tmp_path).splitlines()
    assert len(files) == len(modules)
    assert all(Path(file).is_relative_to(site) for file in files)
