"""Addresses of databases and servers: as messages and records may show them, and what they need."""

from __future__ import annotations

import re

from .errors import UserError

PACKAGES = {"psycopg": "'rankbench[postgres]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Module of a database driver -> what pip installs, where that has another name."""


def shown(text: str) -> str:
    """An address, or a text that holds some, without passwords: rather too much of it is hidden than too little."""
    text = re.sub(r"(://[^/?#@:\s]*:)\S*@", r"\1***@", text)  # to the last @: passwords may hold anything
    return re.sub(r"([?&](?:\w*password|passwd|pwd|token)=)[^&\s]*", r"\1***", text)


def lacks_driver(option: str, url: str, error: ImportError) -> UserError:
    """What to install for a database."""
    name = getattr(error.__cause__ or error, "name", None)
    if name is None:
        return UserError(f"{option} {shown(url)} needs a package that is not here ({shown(str(error))})")
    name = name.partition(".")[0]
    return UserError(f"{option} {shown(url)} needs the package {name}: pip install {PACKAGES.get(name, name)}")
