"""A silence of the database of vulnerabilities is never read as good news."""

from __future__ import annotations

import json

import pytest

from support.audited import verdict

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
