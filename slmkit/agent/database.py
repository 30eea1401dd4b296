"""SQLite under a task: a fresh population, one transaction a tool call, a journal so that no call acts twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slmkit import files

_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
JOURNAL = (
    "CREATE TABLE journal (key TEXT PRIMARY KEY, status TEXT NOT NULL, result TEXT NOT NULL, changes TEXT NOT NULL)"
)


def build(schema: str) -> sqlite3.Connection:
    """An empty database in memory with the tables of `schema` and the journal."""
    connection = connect(":memory:")
    connection.executescript(schema)
    connection.execute(JOURNAL)
    return connection


def connect(path: str | Path) -> sqlite3.Connection:
    """A connection with foreign keys enforced and transactions begun by hand."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.row_factory = sqlite3.Row
    return connection


def copy(content: bytes, path: Path | None) -> sqlite3.Connection:
    """The database of serialized `content`: in memory, or in the file `path`, which is used as it is if it exists."""
    if path is None:
        connection = connect(":memory:")
        connection.deserialize(content)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
    if not path.exists():
        files.write_bytes(path, content)
    return connect(path)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing: an exception rolls back what was done inside."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def deadline(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """SQL that takes longer is broken off with sqlite3.OperationalError, so that its transaction is rolled back."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def rows(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Every row as JSON text, sorted, by table; the journal is no part of the world."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    found = {}
    for (name,) in tables:
        if name != "journal" and not name.startswith("sqlite_"):
            content = connection.execute(f'SELECT * FROM "{name}"')  # the name comes from the catalogue itself
            found[name] = sorted(_JSON(dict(row)) for row in content)
    return found


def digest(connection: sqlite3.Connection) -> str:
    """Hex SHA-256 of the state of the world: equal exactly where all rows of all tables are."""
    return hashlib.sha256(json.dumps(rows(connection), sort_keys=True).encode()).hexdigest()


def changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> tuple[str, ...]:
    """The rows that differ, in lines such as `+ extras {...}` and `- extras {...}`."""
    lines = []
    for table in sorted(before.keys() | after.keys()):
        old, new = before.get(table, []), after.get(table, [])
        lines += [f"- {table} {row}" for row in old if row not in set(new)]
        lines += [f"+ {table} {row}" for row in new if row not in set(old)]
    return tuple(lines)
