"""The functions that answer requests, and the authoriser that lets requests in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Stack

from infra.catalogue import declared
from infra.needs import all_granted
from ivy.serve.declaration import Authorizer, Route

if TYPE_CHECKING:
    from infra.catalogue import Function
    from infra.function import FunctionFactory
    from infra.needs import Shared


class RoutesStack(Stack):
    """The functions behind the gateway.

    Apart from the gateway itself, because a route needs resources on both sides, and CloudFormation
    allows a stack 500.
    """

    def add(self, functions: list[Function], shared: Shared, make: FunctionFactory) -> None:
        """Add the function of every route, and the authoriser."""
        for function, _ in [*declared(functions, Authorizer), *declared(functions, Route)]:
            make.make(function, all_granted(function.declaration.needs, shared))
