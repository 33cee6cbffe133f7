"""Schema migrations: numbered SQL files, applied forward only, each once, each in a transaction.

The table ``ivy.migrations`` remembers every file with the SHA-256 of its text. A file that was
changed after it was applied stops the run: history is corrected by a new file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

_LOCK = 0x1_7979  # one key, known only here, under which migrations queue up


class MigrationError(RuntimeError):
    """The schema cannot be brought forward; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def available() -> list[Migration]:
    """Return the migrations that ship with this code, in order."""
    found = [
        Migration(int(entry.name[:4]), entry.name, entry.read_text(encoding="utf-8"))
        for entry in files("ivy.schema").iterdir()
        if entry.name.endswith(".sql")
    ]
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("the files in ivy/schema must be numbered 0001, 0002, … without gaps")
    return found


def apply(connection: psycopg.Connection[Any], migrations: list[Migration]) -> list[str]:
    """Bring the schema forward and return the names of the files applied now.

    Safe to run twice, at once from two places, and again after being killed at any point: each
    file commits together with its row, under a lock that the transaction holds.

    Args:
        connection: As the owner of the schema, in autocommit mode.
        migrations: From ``available()``.

    Raises:
        MigrationError: An applied file has changed, or a file failed.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("CREATE SCHEMA IF NOT EXISTS ivy")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS ivy.migrations (number integer PRIMARY KEY,"
            " name text NOT NULL, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
    return [migration.name for migration in migrations if _apply_one(connection, migration)]


def _apply_one(connection: psycopg.Connection[Any], migration: Migration) -> bool:
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        known = connection.execute(
            "SELECT checksum FROM ivy.migrations WHERE number = %s", (migration.number,)
        ).fetchone()
        if known is not None:
            if known[0] != migration.checksum:
                raise MigrationError(
                    f"{migration.name} was applied with another text. Restore the file and put"
                    f" the change into a new migration."
                )
            return False
        try:
            connection.execute("SET LOCAL search_path = ivy")
            # Waiting for a busy table blocks everybody behind us: rather fail, and run again.
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute(migration.text)
        except psycopg.Error as error:
            raise MigrationError(f"{migration.name} failed: {error}") from error
        connection.execute(
            "INSERT INTO ivy.migrations (number, name, checksum) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.checksum),
        )
        return True


def set_password(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    """Give a role the password that its secret holds.

    The server is sent its SCRAM verifier, because it logs the text of a statement that fails.
    """
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    with connection.transaction():
        # Two deployments at once would fail on the role's row: "tuple concurrently updated".
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
        )
