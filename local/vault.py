"""Puts this stack's own passwords and keys into the secrets that the templates create.

On AWS those secrets are generated and attached to Aurora. Here the database is older than the
emulator's memory, so at every start its secrets are made to say what the database expects.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from local.postgres import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.aws import Aws

ROLES = {
    "owner": "ivy_owner",
    "app": "ivy_app",
    "jobs": "ivy_jobs",
    "settle": "ivy_settle",
    "read": "ivy_read",
}
READING_SETTINGS = frozenset({"IVY_DATABASE_SECRET", "IVY_ACCESS_SECRET", "IVY_ROLE_SECRETS"})


def contents(
    kept: Mapping[str, str], *, prefix: str, host: str, port: int
) -> dict[str, dict[str, str]]:
    """Return what each secret must hold, by its name."""
    wanted = {
        f"{prefix}/database/{name}": {
            "username": role,
            "password": kept[role],
            "host": host,
            "port": str(port),
            "dbname": DATABASE,
        }
        for name, role in ROLES.items()
    }
    wanted[f"{prefix}/access"] = {"pepper": kept["pepper"], "signing_key": kept["signing_key"]}
    return wanted


class Vault:
    """The secrets of one deployment."""

    def __init__(self, aws: Aws, wanted: Mapping[str, dict[str, str]]) -> None:
        self._secrets = aws.client("secretsmanager")
        self._lambda = aws.client("lambda")
        self._wanted = wanted
        self._done: set[str] = set()

    def fill(self) -> bool:
        """Overwrite the secrets that exist by now and say something else; tell whether any did."""
        changed = False
        for name, value in self._wanted.items():
            if name in self._done:
                continue
            with suppress(self._secrets.exceptions.ResourceNotFoundException):
                held = self._secrets.get_secret_value(SecretId=name)["SecretString"]
                if _parsed(held) != value:
                    self._secrets.put_secret_value(SecretId=name, SecretString=json.dumps(value))
                    changed = True
                self._done.add(name)
        return changed

    def restart_readers(self) -> int:
        """End the workers that may have read a secret before it was filled: each reads once.

        Returns:
            How many functions that concerned.
        """
        readers = list(self._readers())
        for function in readers:
            self._lambda.update_function_configuration(
                FunctionName=function["FunctionName"], Timeout=function["Timeout"]
            )
        return len(readers)

    def _readers(self) -> Iterator[dict[str, Any]]:
        for page in self._lambda.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                if READING_SETTINGS & function.get("Environment", {}).get("Variables", {}).keys():
                    yield function


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
