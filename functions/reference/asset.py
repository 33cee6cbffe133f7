"""GET /v1/docs/{asset}."""

import html
import inspect
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Literal

from ivy.errors import Problem
from ivy.models import Document
from ivy.needs import Need
from ivy.serve import endpoint

Asset = Literal["errors", "start.js", "swagger-ui.css", "swagger-ui-bundle.js"]

_CODE = re.compile("``(.+?)``")

_START = b"""SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  docExpansion: "list",
});
"""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem }
h2 { font-family: ui-monospace, monospace; font-size: 1rem; margin: 2rem 0 .25rem }
h2 small { font-weight: normal; opacity: .7 }
p { margin: 0 }
:target { background: #fff3bf }
"""


@endpoint("GET /v1/docs/{asset}", public=True, uses=(Need.REFERENCE,))
def handler(asset: Asset) -> Document:
    """Retrieve a part of the reference: the list of errors, or one of Swagger UI's files."""
    if asset == "errors":
        return Document("".join(_errors()).encode(), "text/html; charset=utf-8")
    if asset == "start.js":
        return Document(_START, "text/javascript; charset=utf-8")
    kind = "css" if asset.endswith(".css") else "javascript"
    body = (files("ivy_reference") / asset).read_bytes()
    return Document(body, f"text/{kind}; charset=utf-8")


def _errors() -> Iterator[str]:
    """Yield the page of errors; a problem's ``type`` points at its heading."""
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Ivy errors</title>'
    yield f"<style>{_STYLE}</style></head><body><h1>Errors</h1>"
    yield "<p>Every <code>code</code> that an answer can carry. It never changes its meaning.</p>"
    for problem in Problem.every():
        retry = " · safe to retry" if problem.retryable else ""
        yield f'<h2 id="{problem.code}">{problem.code} <small>{problem.status}{retry}</small></h2>'
        text = html.escape(inspect.cleandoc(problem.__doc__ or ""))
        yield _CODE.sub(r"<code>\1</code>", f"<p>{text}</p>")
    yield "</body></html>"
