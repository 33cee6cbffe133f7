"""Postgres: one connection per execution environment, one merchant per transaction.

A transaction names its tenant first; row-level security then shows and accepts that merchant's
rows in that mode and no others. Statements are sent through a pipeline: those whose answer nobody
reads travel together with the commit, so a money transaction costs two round trips. Those that a
connection has sent a few times are prepared: to read and to plan it is a third of a posting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import class_row, tuple_row
from psycopg.types.numeric import Int8Dumper

from ivy import ids, vault
from ivy.settings import settings

Row = TypeVar("Row")

CONNECT_SECONDS = 5

PREPARE_AFTER = 5
"""Executions of a statement on one connection before it is prepared there."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose rows a transaction may touch: one merchant, in one mode."""

    merchant_id: int
    livemode: bool


class Transaction:
    """An open transaction. Only entry points open one; everything else is handed it.

    Parameters are given by name: ``tx.row(Charge, "SELECT … WHERE id = %(id)s", id=charge_id)``.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._clock: psycopg.Cursor[Any] | None = None
        self._ahead = timedelta()
        self.after_commit: list[Any] = []
        """Messages to send once the transaction is durable; whoever opened it does so."""
        self.to_publish = False
        """Whether it leaves events or deliveries that should be on their way once it is durable."""
        self.told: dict[bytes, UUID] = {}
        """The events that it leaves, by what they say of their objects."""

    def present(self, credential: str) -> None:
        """Show, for the rest of the transaction, the rows that a credential identifies."""
        self.run("SELECT set_config('app.presented', %(credential)s, true)", credential=credential)

    def choose(self, tenant: Tenant) -> None:
        """Show and accept, for the rest of the transaction, one merchant's rows in one mode."""
        self.run(
            "SELECT set_config('app.merchant', %(merchant)s, true),"
            " set_config('app.livemode', %(livemode)s, true)",
            merchant=str(tenant.merchant_id),
            livemode=str(tenant.livemode).lower(),
        )
        self._clock, self._ahead = None, timedelta()
        if not tenant.livemode:  # asked now and read when wanted: it costs no round trip
            self._clock = self._connection.execute(_AHEAD, {"merchant_id": tenant.merchant_id})

    def ahead(self) -> timedelta:
        """Return how far the tenant's test clock is ahead of the real time; nothing in live mode.

        As it was when the tenant was chosen.
        """
        if self._clock is not None:
            found = self._clock.fetchone()
            self._clock, self._ahead = None, found[0] if found else timedelta()
        return self._ahead

    def now(self) -> datetime:
        """Return the tenant's present, cut to the millisecond: the time of all that it does.

        ``ids.now`` is the real time, for what has nothing to do with a merchant's business: when
        a credential expires, when work is sent again, what is logged and signed.
        """
        return ids.now() + self.ahead()

    def run(self, statement: LiteralString, **values: Any) -> None:
        """Send a statement whose answer is not needed; an error surfaces at the next read."""
        self._connection.execute(statement, values)

    def row(self, shape: type[Row], statement: LiteralString, **values: Any) -> Row | None:
        """Return the only row of an answer in the given shape, or None."""
        with self._connection.cursor(row_factory=class_row(shape)) as cursor:
            return cursor.execute(statement, values).fetchone()

    def rows(self, shape: type[Row], statement: LiteralString, **values: Any) -> list[Row]:
        """Return every row of an answer in the given shape."""
        with self._connection.cursor(row_factory=class_row(shape)) as cursor:
            return cursor.execute(statement, values).fetchall()

    def value(self, statement: LiteralString, **values: Any) -> Any:
        """Return the first column of the first row, or None when there is no row."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(statement, values).fetchone()
        return None if found is None else found[0]


class Database:
    """Opens transactions on one connection, which it makes when first needed.

    Args:
        conninfo: Where, and as whom.
        prepares: Whether statements that are sent often may be prepared.
    """

    def __init__(self, conninfo: str, *, prepares: bool = True) -> None:
        self._conninfo = conninfo
        self._prepare_after = PREPARE_AFTER if prepares else None
        self._connection: psycopg.Connection[Any] | None = None
        self.to_publish = False
        """Whether something to publish has been committed that nobody was woken for."""

    @contextmanager
    def transaction(
        self, tenant: Tenant | None = None, *, snapshot: bool = False
    ) -> Iterator[Transaction]:
        """Open a transaction; commit at the end, roll back when anything is raised.

        Without a tenant it sees no tenant's rows at all until one is chosen or a credential is
        presented, unless the connecting role is one of the cross-merchant ones. With ``snapshot``
        every statement sees the database as the first one did, and none may write.

        Raises:
            psycopg.errors.InFailedSqlTransaction: At the end, when a statement had failed and
                whoever asked for it went on. Postgres would answer the commit with a rollback
                and no error.
        """
        connection = self._connected()
        if bool(connection.read_only) is not snapshot:  # said in BEGIN itself, not in the session
            connection.isolation_level = IsolationLevel.REPEATABLE_READ if snapshot else None
            connection.read_only = snapshot or None
        try:
            with connection.pipeline(), connection.transaction():
                tx = Transaction(connection)
                if tenant is not None:
                    tx.choose(tenant)
                yield tx
                if _has_failed(connection):
                    raise psycopg.errors.InFailedSqlTransaction(
                        "a statement failed and its error was passed over: nothing can be committed"
                    )
        except psycopg.errors.FeatureNotSupported as error:
            if error.diag.source_function == _STALE:
                self.close()  # what was prepared on it is from before a migration
                raise psycopg.OperationalError("a migration has changed what is read") from error
            raise
        self.to_publish |= tx.to_publish

    def dedicated(self) -> psycopg.Connection[Any]:
        """Return a connection of its own in autocommit mode, for migrations; close it after."""
        return psycopg.connect(
            self._conninfo, connect_timeout=CONNECT_SECONDS, autocommit=True, application_name="ivy"
        )

    def _connected(self) -> psycopg.Connection[Any]:
        """Return a usable connection, replacing one that the server has dropped."""
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = psycopg.connect(
                self._conninfo,
                connect_timeout=CONNECT_SECONDS,
                prepare_threshold=self._prepare_after,
                application_name="ivy",
                autocommit=True,
            )
            # an integer of any size is the same statement
            self._connection.adapters.register_dumper(int, Int8Dumper)
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()


_AHEAD = "SELECT ahead FROM test_clocks WHERE merchant_id = %(merchant_id)s AND NOT livemode"


_STALE = "RevalidateCachedQuery"
"""Where Postgres refuses a prepared statement whose columns are no longer what they were."""


def _has_failed(connection: psycopg.Connection[Any]) -> bool:
    """Say whether a statement has failed: while a pipeline is open, only the pipeline knows."""
    return (
        connection.pgconn.pipeline_status == PipelineStatus.ABORTED
        or connection.pgconn.transaction_status == TransactionStatus.INERROR
    )


@cache
def database() -> Database:
    """Return the database of this process, as the role that the function's secret names."""
    secret = vault.database()
    return Database(
        psycopg.conninfo.make_conninfo(
            host=secret["host"],
            port=secret["port"],
            dbname=secret["dbname"],
            user=secret["username"],
            password=secret["password"],
            # Aurora refuses plain connections; the local server speaks no TLS and is on loopback.
            sslmode="require" if settings().target == "aws" else "disable",
        ),
        # RDS Proxy shares a connection no longer once something is prepared on it.
        prepares=settings().database_host is None,
    )
