"""A function that is started from a snapshot: what must not be in it, and what is new after it.

AWS takes the snapshot when a version is published, after everything is loaded, and starts any
number of environments from it, hours or weeks later. What each of them has to have for itself is
let go before: connections, and secrets, which may have been rotated since. Ids and keys come from
the operating system's randomness, which differs in each; Python's own generator, which only spreads
waits, is seeded anew.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from ivy import aws, vault
from ivy.database import database

INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"
FROM_A_SNAPSHOT = "snap-start"


def prepare(environment: Mapping[str, str]) -> None:
    """Ask the runtime to call ``before`` and ``after``, where a snapshot will be taken."""
    if environment.get(INITIALIZATION) != FROM_A_SNAPSHOT:
        return
    import snapshot_restore_py  # type: ignore[import-not-found]  # noqa: PLC0415 - only AWS has it

    snapshot_restore_py.register_before_snapshot(before)
    snapshot_restore_py.register_after_restore(after)


def before() -> None:
    """Close every connection and forget every secret; clients and modules stay."""
    if database.cache_info().currsize:
        database().close()
    database.cache_clear()
    vault.forget()
    aws.client.disconnect()


def after() -> None:
    """Let no two environments wait for the same times."""
    random.seed()
