"""GET /v1/openapi.json."""

from importlib.resources import files

from ivy.models import Document
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/openapi.json", public=True, uses=(Need.REFERENCE,))
def handler() -> Document:
    """Retrieve this specification."""
    return Document((files("ivy_reference") / "openapi.json").read_bytes(), "application/json")
