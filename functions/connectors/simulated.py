"""Connector ``simulated``: the acquirer of the test tokens."""

from typing import Any

from ivy.connectors import simulated
from ivy.connectors.simulated import SimulatedAcquirer
from ivy.needs import Need
from ivy.serve import connector
from ivy.settings import settings


@connector("simulated", uses=(Need.ACQUIRER_TABLE,))
def handler(message: dict[str, Any]) -> Any:
    """Carry out orders, tell what happened by itself, or answer a payer."""
    acquirer = SimulatedAcquirer(settings().required("acquirer_table"))
    return simulated.answer(acquirer, message)
