"""GET /v1/docs."""

from ivy.models import Document
from ivy.serve import endpoint

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ivy API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""


@endpoint("GET /v1/docs", public=True)
def handler() -> Document:
    """Browse this reference and try it with a test key."""
    return Document(_PAGE, "text/html; charset=utf-8")
