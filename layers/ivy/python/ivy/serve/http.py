"""HTTP endpoints: each is a one-route FastAPI application behind Mangum.

What FastAPI would get wrong or slow is done around it: a body is checked to be strict JSON before
it is parsed, a credential is checked before a body is looked at, functions run without hopping to
a thread, and answers are bytes made once, so that what is stored for a replay is what was sent.
"""

from __future__ import annotations

import inspect
import json
import time
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from pydantic import BaseModel

from ivy import errors, observe, outbox
from ivy.database import Transaction, database
from ivy.idempotency import Answer
from ivy.ledger_transactions import DryRun
from ivy.models import Accept, Document, Elsewhere, api_address
from ivy.pages import Page
from ivy.serve import front, problems
from ivy.serve.declaration import Route
from ivy.serve.injection import parameters, wake_publisher
from ivy.serve.once import Given, Rehearsed, once
from ivy.serve.requests import Incoming, check

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response
    from mangum import Mangum

JSON = "application/json"
REHEARSED = 200
"""The status of a dry run: nothing was created."""

ELSEWHERE = 302
"""The status of an answer that is to be fetched from where ``Location`` says."""

WAIT_SECONDS = 5.0
POLL_SECONDS = 0.1

_incoming: ContextVar[Incoming] = ContextVar("incoming")
_cold = True


@dataclass(frozen=True, kw_only=True)
class Endpoint(Route):
    """An HTTP endpoint that is its own Lambda handler."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one request from API Gateway. Never raises."""
        started = time.perf_counter()
        incoming = Incoming.from_event(event)
        observe.correlate(incoming.request_id)
        try:
            check(self, incoming)
            self._refuse_unknown(incoming)
            _incoming.set(incoming)
            api_address.set(incoming.base_url)
            answer: dict[str, Any] = self._mangum(_with_a_body(event), context)
        except Exception as error:  # noqa: BLE001 - nothing leaves but a documented answer
            answer = _without_framework(problems.from_exception(error), incoming)
        self._report(incoming, answer["statusCode"], time.perf_counter() - started)
        return answer

    def prepare(self) -> None:
        """Make the clients, the application, and what stands before a route that takes a key."""
        super().prepare()
        _ = self._mangum
        if self.takes_key:
            front.prepare()

    @cached_property
    def _mangum(self) -> Mangum:
        from fastapi import FastAPI  # noqa: PLC0415 - reading a declaration costs no framework
        from mangum import Mangum  # noqa: PLC0415 - same
        from starlette.exceptions import HTTPException  # noqa: PLC0415 - same

        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        self.register(app)
        app.add_exception_handler(HTTPException, self._refuse_path)
        return Mangum(app, lifespan="off", text_mime_types=["text/", JSON, problems.MEDIA_TYPE])

    def register(self, app: FastAPI, **documentation: Any) -> None:
        """Add this endpoint's route to an application: its own, or the one that documents all.

        ``documentation`` is what FastAPI's ``add_api_route`` knows beyond the route itself.
        """
        from fastapi.exceptions import RequestValidationError  # noqa: PLC0415 - same as above

        app.add_exception_handler(RequestValidationError, self._refuse_invalid)
        app.add_api_route(
            self.path,
            self._coroutine(),
            methods=[self.method],
            status_code=self.status,
            response_model=None,  # answers are bytes already; only the reference wants the model
            **documentation,
        )

    def _coroutine(self) -> Any:
        """Return what FastAPI calls: the request's parameters alone, validated, on no thread."""
        from fastapi import Query, Response  # noqa: PLC0415 - same as above

        def typed(parameter: inspect.Parameter) -> inspect.Parameter:
            if _is_model(parameter.annotation) and issubclass(parameter.annotation, Page):
                return parameter.replace(annotation=Annotated[parameter.annotation, Query()])
            return parameter

        async def call(**values: Any) -> Response:
            return self._respond(_incoming.get(), values)

        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by FastAPI
            [typed(parameter) for parameter in parameters(self.function).request],
            return_annotation=Response,
        )
        call.__name__ = self.name.replace("/", "_")
        call.__doc__ = self.function.__doc__
        return call

    def _respond(self, incoming: Incoming, values: dict[str, Any]) -> Response:
        from fastapi import Response  # noqa: PLC0415 - same as above

        try:
            given = self._run(incoming, values)
            wake_publisher(self.function)
        except Exception as error:  # noqa: BLE001 - logged here, rendered as a documented error
            return _problem_response(problems.from_exception(error), incoming)
        headers = _headers(incoming) | dict(given.answer.headers)
        if given.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(given.answer.body, given.answer.status, headers, given.answer.media_type)

    @cached_property
    def _query(self) -> frozenset[str] | None:
        """What a query may name; None where a model looks at it, or where nobody minds."""
        asked = parameters(self.function).request
        models = [each for each in asked if _is_model(each.annotation)]
        if self.public or any(issubclass(each.annotation, Page) for each in models):
            return None
        return frozenset(each.name for each in asked if each not in models)

    def _refuse_unknown(self, incoming: Incoming) -> None:
        if self._query is None:
            return
        unknown = dict.fromkeys(name for name, _ in incoming.query if name not in self._query)
        if unknown:
            forbidden = ("extra_forbidden", "Extra inputs are not permitted")
            fields = [errors.FieldError(f"?{name}", *forbidden) for name in unknown]
            raise errors.RequestInvalid(fields=tuple(fields[: problems.MAX_FIELDS]))

    def _run(self, incoming: Incoming, values: dict[str, Any]) -> Given:
        """Call the function with what it asks for, in a transaction where it asks for one.

        A problem that it returns, rather than raises, is an answer: what it did is committed.
        """
        wanted = parameters(self.function)
        waits = self.settled is not None and any(
            getattr(value, "wait", False) for value in values.values()
        )

        def work(tx: Transaction | None = None) -> Answer:
            given = wanted.fill(
                transaction=tx,
                caller=incoming.caller,
                accept=Accept(incoming.headers.get("accept", "")),
                database=None if tx else database() if wanted.opens_transactions else None,
            )
            result = self.function(**given, **values)
            if isinstance(result, errors.Problem):
                body = _problem_body(result, incoming)
                return Answer(result.status, body, problems.MEDIA_TYPE)
            return self._answer(result, provisional=waits)

        if incoming.under_key(self):
            key = incoming.idempotency_key(self)
            return once(incoming.authenticated, key, work, partial(self._outcome, incoming))
        if Transaction not in wanted.injected:
            return Given(work(), replayed=False)
        tenant = incoming.caller.tenant if incoming.caller else None
        with database().transaction(tenant) as tx:
            answer = work(tx)
        outbox.send(tx.after_commit)
        return Given(answer, replayed=False)

    def _answer(self, result: Any, *, provisional: bool = False) -> Answer:
        if isinstance(result, Document):
            saved = f'attachment; filename="{result.name}"'
            named = (("Content-Disposition", saved),) if result.name else ()
            return Answer(self.status, result.body, result.media_type, headers=named)
        if isinstance(result, Elsewhere):
            return Answer(ELSEWHERE, b"", headers=(("Location", result.url),))
        body = result.model_dump_json().encode() if isinstance(result, BaseModel) else b""
        if isinstance(result, DryRun):
            raise Rehearsed(Answer(REHEARSED, body))
        return Answer(self.status, body, provisional=provisional)

    def _outcome(self, incoming: Incoming, provisional: Answer) -> Answer:
        """Wait up to five seconds for the outcome of what was answered, and return its answer."""
        subject = UUID(hex=json.loads(provisional.body)["id"].partition("_")[2])
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                with database().transaction(incoming.authenticated.tenant) as tx:
                    settled = self.settled(tx, subject) if self.settled else None
            except errors.ChargeDeclined as declined:
                body = _problem_body(declined, incoming)
                return Answer(declined.status, body, problems.MEDIA_TYPE)
            if settled is not None:
                return self._answer(settled)
            if time.monotonic() >= deadline:
                return provisional
            time.sleep(POLL_SECONDS)

    async def _refuse_invalid(self, _request: Request, error: Exception) -> Response:
        found: Any = error
        return _problem_response(problems.from_validation(found.errors()), _incoming.get())

    async def _refuse_path(self, _request: Request, _error: Exception) -> Response:
        """Answer for a path that the gateway let through and the route's template does not."""
        return _problem_response(errors.RouteUnknown(), _incoming.get())

    def _report(self, incoming: Incoming, status: int, seconds: float) -> None:
        """Log the request in one line; only a failure is counted beside it.

        How long requests take, the gateway and Lambda count by themselves, route by route.
        """
        global _cold  # noqa: PLW0603 - a cold start is a fact about the process
        observe.line(
            "request",
            route=f"{self.method} {self.path}",
            status=status,
            duration_ms=round(seconds * 1000, 1),
            merchant=f"mer_{incoming.caller.merchant.hex}" if incoming.caller else None,
            **({"cold_start": True} if _cold else {}),
        )
        if status >= errors.Internal.status:
            observe.count("ServerErrors", route=self.name)
        _cold = False


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _headers(incoming: Incoming) -> dict[str, str]:
    return {"Request-Id": incoming.request_id, "Cache-Control": "no-store"}


def _problem_headers(problem: errors.Problem, incoming: Incoming) -> dict[str, str]:
    headers = _headers(incoming)
    if problem.retry_after_seconds is not None:
        headers["Retry-After"] = str(problem.retry_after_seconds)
    return headers


def _with_a_body(event: dict[str, Any]) -> dict[str, Any]:
    """Return a request without a body as one whose body says nothing: so each field is named."""
    if event.get("body") or event.get("httpMethod") == "GET":
        return event
    several = event.get("multiValueHeaders")
    return event | {
        "body": "{}",
        "isBase64Encoded": False,
        "headers": (event.get("headers") or {}) | {"content-type": JSON},
        "multiValueHeaders": several | {"content-type": [JSON]} if several else several,
    }


def _problem_body(problem: errors.Problem, incoming: Incoming) -> bytes:
    return problems.body(
        problem,
        base_url=incoming.base_url,
        instance=incoming.instance,
        request_id=incoming.request_id,
    )


def _problem_response(problem: errors.Problem, incoming: Incoming) -> Response:
    from fastapi import Response  # noqa: PLC0415 - same as above

    return Response(
        _problem_body(problem, incoming),
        problem.status,
        _problem_headers(problem, incoming),
        problems.MEDIA_TYPE,
    )


def _without_framework(problem: errors.Problem, incoming: Incoming) -> dict[str, Any]:
    """Return the gateway's form of a problem found before the framework was asked."""
    return {
        "statusCode": problem.status,
        "headers": _problem_headers(problem, incoming) | {"Content-Type": problems.MEDIA_TYPE},
        "body": _problem_body(problem, incoming).decode(),
        "isBase64Encoded": False,
    }
