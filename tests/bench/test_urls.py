"""No password of a database or a server stands in a message or a record."""

from __future__ import annotations

import pytest

from rankbench.bench.urls import lacks_driver, shown


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg://me:***@host/db"),
        ("http://me:se@c/r?e#t@host:5000", "http://me:***@host:5000"),
        ("postgresql://host/db?user=me&password=secret&sslmode=require", "postgresql://host/db?user=me&password=***&sslmode=require"),
        ("API request to http://me:secret@host/api failed", "API request to http://me:***@host/api failed"),
    ],
)  # fmt: skip
def test_passwords_are_not_shown(text: str, without: str) -> None:
    assert shown(text) == without


@pytest.mark.parametrize("text", ["my/journal.log", "sqlite:///here/a@b.db", "http://host:5000", "postgresql://me@host:5432/db"])
def test_what_holds_no_password_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("module", "package"),
    [("pymysql", "pymysql"), ("MySQLdb", "mysqlclient"), ("psycopg.rows", r"'rankbench[postgres]'"), (None, "(no driver)")],
)
def test_the_package_of_a_driver_is_named(module: str | None, package: str) -> None:
    said = str(lacks_driver("--mlflow", "mysql://me:secret@host/db", ImportError("no driver", name=module)))
    assert said.startswith("--mlflow mysql://me:***@host/db needs ") and said.endswith(package)
