"""GET /v1/simulator/challenge.js."""

from ivy.models import Document
from ivy.serve import endpoint

_SCRIPT = b"""const form = document.querySelector("form");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const buttons = form.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    const answer = await fetch(location.href, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ approve: event.submitter.value === "true" }),
    });
    if (!answer.ok) throw new Error((await answer.json()).title);
    location.reload();
  } catch (error) {
    form.querySelector("[role=status]").textContent = `Not sent: ${error.message}.`;
    buttons.forEach((button) => (button.disabled = false));
  }
});
"""


@endpoint("GET /v1/simulator/challenge.js", public=True)
def handler() -> Document:
    """Retrieve what sends the answer of the payer's page."""
    return Document(_SCRIPT, "text/javascript; charset=utf-8")
