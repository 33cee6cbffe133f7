"""The life of a charge through the deployed handlers: every state, posting and refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.charges import capture, create, process
from functions.charges import get as get_charge
from functions.refunds import create as create_refund
from functions.refunds import process as process_refund

if TYPE_CHECKING:
    from tests.driving import Account, Platform


def test_first(deployed: Platform, ada: Account) -> None:
    body = {"amount": 10000, "currency": "USD", "payment_method": "tok_visa"}
    made = deployed.request(create.handler, body, bearer=ada.secret_key, headers={"Idempotency-Key": "a"})
    print(made.body)
    deployed.drain(process.handler)
    found = deployed.request(get_charge.handler, bearer=ada.secret_key, id=made.json()["id"])
    print(found.body)
    assert found.json()["status"] == "succeeded"
    r = deployed.request(create_refund.handler, {"charge": made.json()["id"], "amount": 2500}, bearer=ada.secret_key, headers={"Idempotency-Key": "b"})
    print(r.body)
    deployed.drain(process_refund.handler)
    found = deployed.request(get_charge.handler, bearer=ada.secret_key, id=made.json()["id"])
    print(found.body)
    assert found.json()["amount_refunded"] == 2500
