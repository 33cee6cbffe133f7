"""The handlers as they are deployed, against a durable Postgres and AWS on a port of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cluster import Cluster
from tests.cloud import Cloud
from tests.conftest import copied, migrated
from tests.driving import Account, Platform


@contextmanager
def deployed() -> Iterator[tuple[Platform, Account, Cluster]]:
    """Deploy, and open an account.

    Raises:
        NotDurableError: The server would lose what it has confirmed.
    """
    with tempfile.TemporaryDirectory(prefix="ivy-bench-") as folder:
        Path(folder).chmod(0o755)
        with migrated(Path(folder) / "data", durable=True) as server:
            cluster = Cluster(server)
            cluster.assert_durable()
            cloud = Cloud()
            try:
                with copied(server) as store, Platform(cloud, store) as platform:
                    yield platform, platform.open_account(), cluster
            finally:
                cloud.stop()
