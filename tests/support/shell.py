"""Commands called in this process."""

from __future__ import annotations

import pytest

from rankbench.bench import cli


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of an error that the user can mend."""
    assert cli.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rankbench: error: "), lines
    return lines[0]
