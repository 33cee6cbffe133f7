"""Queue ``events``: something was committed; number it, begin its deliveries, send what is due."""

from ivy import publishing
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import BACKGROUND_MEMORY_MB, consumer


@consumer(
    "events",
    uses=(Need.DATABASE_JOBS, Need.WEBHOOKS_QUEUE),
    max_concurrency=2,
    memory_mb=BACKGROUND_MEMORY_MB,
)
def handler(database: Database) -> None:
    """Publish once, however many messages said so."""
    publishing.publish(database)
