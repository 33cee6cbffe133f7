"""GET /v1/simulator/challenges/{reference}."""

from string import Template

from ivy.connectors import challenges
from ivy.connectors.challenges import Challenge, Reference, Status
from ivy.models import Document
from ivy.money import currencies
from ivy.needs import Need
from ivy.serve import endpoint

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Confirm a test payment</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2933; background: #eef2f0;
  margin: 0; min-height: 100vh; display: grid; place-items: center }
main { background: #fff; border-radius: 12px; box-shadow: 0 8px 30px #1f29331f;
  padding: 2rem; max-width: 22rem; width: 85vw }
h1 { font-size: 1rem; font-weight: 600; margin: 0; opacity: .7 }
strong { display: block; font-size: 2.25rem; margin: .25rem 0 1rem }
button { font: inherit; border: 0; border-radius: 8px; padding: .6rem 1.2rem; cursor: pointer;
  background: #e4e9e7; color: inherit }
button[value=true] { background: #1c7c54; color: #fff }
button:focus-visible { outline: 3px solid #7cc7a4 }
button:disabled { opacity: .5; cursor: default }
small { display: block; margin-top: 1.5rem; opacity: .7 }
</style>
</head>
<body>
<main>
<h1>Confirm your payment</h1>
<strong>$amount</strong>
$rest
<small>Test mode: this page stands for the payer's bank, and no money moves.</small>
</main>
<script src="../challenge.js"></script>
</body>
</html>
""")

_FORM = """<form>
<button name="approve" value="true">Approve</button>
<button name="approve" value="false">Decline</button>
<p role="status"></p>
</form>
<noscript>This page needs JavaScript to send the answer.</noscript>"""

_ENDS: dict[Status, str] = {
    "approved": "You approved this payment.",
    "declined": "You declined this payment.",
    "expired": "This payment has expired.",
    "canceled": "This payment was canceled.",
}


@endpoint("GET /v1/simulator/challenges/{reference}", public=True, uses=(Need.CONNECTORS,))
def handler(reference: Reference) -> Document:
    """Show the payer of a test payment what to confirm.

    A charge with `tok_requires_action` waits here for an hour; with a real acquirer this would be
    the bank's own page.
    """
    challenge = challenges.get(reference)
    rest = _FORM if challenge.status == "open" else f"<p>{_ENDS[challenge.status]}</p>"
    page = _PAGE.substitute(amount=_written(challenge), rest=rest)
    return Document(page.encode(), "text/html; charset=utf-8")


def _written(challenge: Challenge) -> str:
    exponent = currencies()[challenge.currency].exponent
    whole, rest = divmod(challenge.amount, 10**exponent)
    return f"{whole:,}{f'.{rest:0{exponent}}' if exponent else ''} {challenge.currency}"
