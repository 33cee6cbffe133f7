"""The six ways in. The object a decorator leaves behind *is* the Lambda handler.

``@endpoint("POST /v1/charges", status=201, idempotent=True, scope=…, uses=(…))`` on a typed
function makes an HTTP endpoint; ``@consumer("charges", uses=(…))`` a queue's consumer;
``@job("rate(1 minute)", uses=(…))`` scheduled work; ``@authorizer(uses=(…))`` the Lambda
authoriser; ``@connector("simulated", uses=(…))`` what stands for an acquirer, which is given one
message; ``@command(uses=(…))`` what an operator does by hand. The function's parameters are filled
by type:

- ``Transaction``: an open transaction of the caller's tenant, committed when the function returns;
- ``Database``: to open transactions oneself (log-ins, consumers, jobs);
- ``Caller``: who is asking;
- ``Task``: the promise that a queue message is about;
- anything else is the request: a model is the body, names in the path are its parameters, a
  ``Page`` is the query.

What the function returns is the answer. What it raises from ``ivy.errors`` is a documented error.
"""

from ivy.serve.declaration import BACKGROUND_MEMORY_MB
from ivy.serve.decorators import authorizer, command, connector, consumer, endpoint, job

__all__ = [
    "BACKGROUND_MEMORY_MB",
    "authorizer",
    "command",
    "connector",
    "consumer",
    "endpoint",
    "job",
]
