"""Writes ``docs/openapi.json`` from the declarations: ``python -m infra.openapi``."""

from __future__ import annotations

import json

from infra.catalogue import declared, read_functions
from infra.layers import OPENAPI
from ivy.serve.http import Endpoint
from ivy.serve.openapi import specification


def rendered() -> str:
    """Return the text that the committed file must have."""
    endpoints = [endpoint for _, endpoint in declared(read_functions(), Endpoint)]
    return json.dumps(specification(endpoints), indent=2, sort_keys=False) + "\n"


if __name__ == "__main__":
    OPENAPI.write_text(rendered(), encoding="utf-8")
