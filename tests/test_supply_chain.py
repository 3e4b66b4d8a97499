"""A silence of the database of vulnerabilities is never read as good news, and `make install` takes no file without its hash."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from support.audited import verdict
from support.hashed import pins, without_torch

ROOT = Path(__file__).resolve().parents[1]

SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)"}
SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
FAULTY = {
    "name": "pip",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": []}, {"id": "PYSEC-2", "fix_versions": []}],
}


@pytest.mark.parametrize(
    ("packages", "words", "code"),
    [
        (None, "NOT AUDITED", 1),
        ([], "NOT AUDITED", 1),
        ([SKIPPED], "NOT AUDITED: the database of vulnerabilities could not be reached, for none of 1 packages", 1),
        ([SOUND], "1 packages audited, 0 with known vulnerabilities", 0),
        ([SOUND, SKIPPED], "not known to the database: torch", 0),
        ([SOUND, FAULTY], "2 packages audited, 1 with known vulnerabilities\npip 1.0: PYSEC-1, PYSEC-2", 1),
    ],
)
def test_what_was_asked_and_what_was_answered(packages: list[dict[str, object]] | None, words: str, code: int) -> None:
    said, ended = verdict(None if packages is None else json.dumps({"dependencies": packages, "fixes": []}))
    assert words in said and ended == code


def named(requirements: list[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", one)[0]).lower() for one in requirements}


def test_whatever_is_installed_has_its_hashes() -> None:
    """All that the project and its extras ask for, in the versions of constraints.txt; torch aside."""
    hashed = (ROOT / "hashes.txt").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = ("dev", "test", "postgres", "tensorboard", "mlflow", "energy", "serve")
    asked = [*project["dependencies"], *(one for name in extras for one in project["optional-dependencies"][name])]
    held, constrained = pins(hashed), pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert named(asked) - {"torch", "rankbench"} <= held.keys(), "make hashes"
    assert {name: constrained[name] for name in held.keys() & constrained} == {
        name: held[name] for name in held.keys() & constrained
    }, "make hashes"
    assert not {name for name in held if name == "torch" or (name.startswith("nvidia-") and name != "nvidia-ml-py")}
    entries = re.split(r"^(?=[a-z0-9])", hashed, flags=re.MULTILINE)[1:]
    assert len(entries) > 80 and all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "://" not in hashed, "no place is named: whoever serves a file, its hash is the same"


def test_what_only_torch_brings_is_left_out_with_its_hashes() -> None:
    text = (
        "numpy==2 \\\n    --hash=sha256:aa\nnvidia-cublas==13 ; sys_platform == 'linux' \\\n    --hash=sha256:bb\n"
        "nvidia-ml-py==13 \\\n    --hash=sha256:cc\ntriton==3.7.1 \\\n    --hash=sha256:dd\n"
    )
    kept = without_torch(text)
    assert pins(kept) == {"numpy": {"2"}, "nvidia-ml-py": {"13"}} and kept.count("--hash") == 2


def test_every_dependency_says_its_lowest_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = [*project["dependencies"], *(one for name in ("postgres", "tensorboard", "mlflow", "energy", "serve", "test")
                                           for one in project["optional-dependencies"][name])]  # fmt: skip
    assert all(">=" in one for one in runtime)
