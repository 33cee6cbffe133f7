"""No card number comes in: a request that contains one is refused before anything else sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ivy import errors
from ivy.card_numbers import MAX_DIGITS, MIN_DIGITS, found, redact
from ivy.errors import FieldError
from ivy.serve import problems

if TYPE_CHECKING:
    from ivy.serve.declaration import Route
    from ivy.serve.requests import Incoming

CODE = "card_number"

_DETAIL = (
    f"{MIN_DIGITS} to {MAX_DIGITS} digits with a right check digit look like a card number, which"
    " Ivy never takes. If it is something else, put a letter directly before it."
)
_KEY_HEADER = "Idempotency-Key"
_BANK_NUMBER = re.compile(r"[0-9]{1,17}|[A-Za-z]{2}[0-9]{2}[A-Za-z0-9 ]{11,40}")
"""A bank account's number and nothing else: digits in one piece, or an IBAN."""

_MAX_KEY_LENGTH = 100  # of a key in a pointer; no field of ours has a longer name


def refuse_card_numbers(route: Route, incoming: Incoming, body: Any) -> None:
    """Refuse a request in whose path, query, idempotency key or parsed body a card number stands.

    Every place is named in one answer, in that order, up to ``problems.MAX_FIELDS``; what else may
    be wrong with the request is said once it is free of them.

    Raises:
        RequestInvalid: With one field of code ``card_number`` for each place.
    """
    places = islice(dict.fromkeys(_places(route, incoming, body)), problems.MAX_FIELDS)
    fields = tuple(FieldError(place, CODE, _DETAIL) for place in places)
    if fields:
        raise errors.RequestInvalid(fields=fields)


def _places(route: Route, incoming: Incoming, body: Any) -> Iterator[str]:
    """Yield a pointer to each: ``{id}`` in the path, ``?limit`` in the query, ``/a/b`` in JSON."""
    # A path that is not of the route's form is no route's, and answered as such.
    for name, sent in zip(route.path.split("/"), incoming.path.split("/"), strict=False):
        if name.startswith("{") and found(unquote(sent)):
            yield name
    for name, value in incoming.query:
        if found(name) or found(value):
            yield "?" + _named(name)
    if found(incoming.headers.get(_KEY_HEADER.lower(), "")):
        yield _KEY_HEADER
    yield from _in_json(_without_bank_numbers(route, body), "")


def _without_bank_numbers(route: Route, body: Any) -> Any:
    """Return a body without those fields that hold the number of a bank account, as they should.

    One account number in ten that is long enough has a card number's check digit. Only the fields
    that the route names are let through, at the top, and only with nothing else in them.
    """
    if not route.bank_numbers or not isinstance(body, dict):
        return body
    return {name: sent for name, sent in body.items() if not _is_bank_number(route, name, sent)}


def _is_bank_number(route: Route, name: str, sent: Any) -> bool:
    named = name in route.bank_numbers
    return named and isinstance(sent, str) and _BANK_NUMBER.fullmatch(sent) is not None


def _in_json(value: Any, pointer: str) -> Iterator[str]:
    """Yield a pointer to each in a parsed body, whose depth has been limited before."""
    if isinstance(value, dict):
        for key, item in value.items():
            place = f"{pointer}/{problems.escape(_named(key))}"
            if found(key):
                yield place
            yield from _in_json(item, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _in_json(item, f"{pointer}/{index}")
    elif found(_text(value)):
        yield pointer


def _text(value: Any) -> str:
    """Return a JSON scalar as its digits would be read: 4e15 is 4000000000000000."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _named(name: str) -> str:
    """Return a name as an answer may repeat it: without a card number, and not without end."""
    harmless = redact(name)
    return harmless if len(harmless) <= _MAX_KEY_LENGTH else harmless[:_MAX_KEY_LENGTH] + "…"
