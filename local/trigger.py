"""``ivy trigger``: makes an event of a type happen, with everything that leads to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local.api import Merchant, RefusedError

if TYPE_CHECKING:
    from local.home import Home

PATH = "/test/events/trigger"
NO_TYPE = "none.none"
TYPE = re.compile(r"\b[a-z_]+\.[a-z_]+\b")
TRIES = 3
"""How often the acquirer is asked: the first time it may still be starting."""

UNPROCESSABLE, UNAVAILABLE = 422, 503


def trigger(home: Home, event_type: str) -> list[str]:
    """Make an event of this type happen, and return the ids of the objects made.

    Raises:
        LocalError: The stack does not run, or the type cannot be triggered.
    """
    merchant = Merchant.of(home)
    for left in reversed(range(TRIES)):
        try:
            made = merchant.ask("POST", PATH, {"type": event_type})
        except RefusedError as refused:
            if refused.http_status != UNAVAILABLE or not left:
                raise
        else:
            return [str(each) for each in made["objects"]]
    return []


def types(home: Home) -> list[str]:
    """Return the types that can be triggered: the API names them when it refuses another one.

    Raises:
        LocalError: The stack does not run, or the API did not answer.
    """
    try:
        Merchant.of(home).ask("POST", PATH, {"type": NO_TYPE})
    except RefusedError as refused:
        if refused.http_status != UNPROCESSABLE:
            raise
        return [each for each in TYPE.findall(refused.said) if each != NO_TYPE]
    return []
