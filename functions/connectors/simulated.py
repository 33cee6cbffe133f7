"""Connector ``simulated``: the acquirer of the test tokens."""

from typing import Any

from ivy.connectors import simulated
from ivy.connectors.simulated import SimulatedAcquirer
from ivy.needs import Need
from ivy.serve import BACKGROUND_MEMORY_MB, connector
from ivy.settings import settings


@connector("simulated", uses=(Need.ACQUIRER_TABLE,), memory_mb=BACKGROUND_MEMORY_MB)
def handler(message: dict[str, Any]) -> Any:
    """Carry out one order, look one up, or tell what happened by itself."""
    acquirer = SimulatedAcquirer(settings().required("acquirer_table"))
    return simulated.answer(acquirer, message)
