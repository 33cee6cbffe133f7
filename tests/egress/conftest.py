"""A deployment without a database: what sends webhooks has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from tests.cloud import Cloud
from tests.conftest import Store
from tests.driving import Platform


class _NoStore:
    """Stands where the database would be, and leads nowhere."""

    name = "egress"

    def url(self, role: str) -> str:
        return f"postgresql://{role}:nobody@127.0.0.1:9/nowhere"


@pytest.fixture(scope="module")
def deployed(cloud: Cloud) -> Iterator[Platform]:
    with Platform(cloud, cast("Store", _NoStore())) as deployment:
        yield deployment
