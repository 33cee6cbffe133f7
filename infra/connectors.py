"""The functions that stand for acquirers: outside the private network, and away from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Stack

from infra.catalogue import declared
from infra.needs import all_granted
from ivy.serve.declaration import ConnectorFunction

if TYPE_CHECKING:
    from infra.catalogue import Function
    from infra.function import FunctionFactory
    from infra.needs import Shared


class ConnectorsStack(Stack):
    """One function for each acquirer.

    Deployed before what invokes it, so that no charge meets a connector that is not there yet.
    """

    def add(self, functions: list[Function], shared: Shared, make: FunctionFactory) -> None:
        """Add the function of every connector."""
        for function, connector in declared(functions, ConnectorFunction):
            make.make(function, all_granted(connector.needs, shared))
