"""A PostgreSQL cluster of a test's own, on a free port of this machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """The URL of its database; skips the test where PostgreSQL or psycopg is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'rankbench[postgres]'")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's initdb is not installed: apt-get install postgresql")
    # Not below tmp_path, which only its owner may enter: PostgreSQL refuses to run as root.
    home = Path(tempfile.mkdtemp(prefix="rankbench-postgres-"))
    user: dict[str, Any] = {}
    if os.getuid() == 0:
        owner = pwd.getpwnam("nobody")
        os.chown(home, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    def call(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs / program, "-D", home / "data", *arguments], cwd=home, capture_output=True, text=True, timeout=60, **user
        )
        assert done.returncode == 0, done.stdout + done.stderr

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        call("initdb", "--username", "tester", "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C")
        options = f"-h 127.0.0.1 -p {port} -k {home} -F"
        call("pg_ctl", "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps them off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "pg_ctl").exists()), None)
