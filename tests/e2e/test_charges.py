"""A charge through API Gateway, Lambda, SQS and Postgres, as a merchant sees it."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.conftest import Stack, charge, decided, idempotency_key

VISA = {"amount": 10000, "currency": "USD", "payment_method": "tok_visa"}


def pending(client: httpx.Client, currency: str) -> int:
    balances = client.get("/merchant/balance").json()["balances"]
    return next((b["pending"] for b in balances if b["currency"] == currency), 0)


def test_a_charge_becomes_balanced_ledger_rows(client: httpx.Client) -> None:
    before = pending(client, "USD")
    created = charge(client)
    assert created["status"] == "pending"

    done = decided(client, created["id"])

    assert (done["status"], done["fee"], done["net"]) == ("succeeded", 320, 9680)
    posted = client.get(f"/ledger/transactions/{done['ledger_transaction']}").json()
    assert {entry["account"]: entry["amount"] for entry in posted["entries"]} == {
        "acquirer_receivable:simulated": 9820,
        "expense:processor": 180,
        "income:processing": -320,
        "merchant:pending": -9680,
    }
    assert pending(client, "USD") == before + 9680


@pytest.mark.parametrize(
    ("token", "failure_code", "decline_code"),
    [
        ("tok_declined", "card_declined", "generic_decline"),
        ("tok_insufficient_funds", "card_declined", "insufficient_funds"),
        ("tok_expired_card", "expired_card", "expired_card"),
        ("tok_processing_error", "processing_error", None),
    ],
)
def test_a_refused_charge_says_why_and_moves_nothing(
    client: httpx.Client, token: str, failure_code: str, decline_code: str | None
) -> None:
    before = pending(client, "USD")
    done = decided(client, charge(client, payment_method=token)["id"])
    assert (done["status"], done["failure_code"], done["decline_code"]) == (
        "failed",
        failure_code,
        decline_code,
    )
    assert done["ledger_transaction"] is None
    assert pending(client, "USD") == before


@pytest.mark.parametrize(("currency", "amount", "net"), [("JPY", 1000, 941), ("KWD", 10000, 9410)])
def test_currencies_without_and_with_three_decimals(
    client: httpx.Client, currency: str, amount: int, net: int
) -> None:
    before = pending(client, currency)
    assert decided(client, charge(client, currency=currency, amount=amount)["id"])["net"] == net
    assert pending(client, currency) == before + net


def test_the_same_request_twice_charges_once(client: httpx.Client) -> None:
    key = idempotency_key()
    first = client.post("/charges", json=VISA, headers=key)
    second = client.post("/charges", json=VISA, headers=key)
    assert second.content == first.content
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    third = client.post("/charges", json=VISA | {"amount": 10001}, headers=key)
    assert third.status_code == 422
    problem = third.json()
    assert problem["code"] == "idempotency_key_reused"
    page = httpx.get(problem["type"].partition("#")[0])
    assert 'id="idempotency_key_reused"' in page.text


def test_every_error_is_a_problem_with_a_request_id(stack: Stack, client: httpx.Client) -> None:
    answers = {
        "credential_missing": httpx.get(f"{stack.api}/me"),
        "credential_invalid": stack.client("ivy_sk_test_typo").get("/me"),
        "route_unknown": client.get("/nothing/here"),
        "resource_missing": client.get("/charges/ch_019ab2c4d5e67f8091a2b3c4d5e6f708"),
        "idempotency_key_missing": client.post("/charges", json=VISA),
        "request_invalid": client.post("/charges", json={}, headers=idempotency_key()),
        "media_type_unsupported": client.post(
            "/charges", content=b"amount=1", headers=idempotency_key()
        ),
    }
    for code, answer in answers.items():
        problem = answer.json()
        assert problem["code"] == code, answer.text
        assert problem["status"] == answer.status_code
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["request-id"] == problem["request_id"]
        assert problem.get("instance", "/api/v1/").startswith("/api/v1/")


def test_a_revoked_key_cannot_charge_any_more(stack: Stack, client: httpx.Client) -> None:
    made = client.post("/api_keys", json={"name": "short-lived"}).json()
    with stack.client(made["secret"]) as doomed:
        assert charge(doomed)["status"] == "pending"
        assert client.delete(f"/api_keys/{made['id']}").status_code == 200
        # The gateway may still have the key's verdict in its cache; the money's transaction asks.
        refused = doomed.post("/charges", json=VISA, headers=idempotency_key())
    assert refused.status_code == 401
    assert refused.json()["code"] == "credential_invalid"


def test_live_mode_is_locked_until_verification(stack: Stack) -> None:
    merchant = stack.facts["merchant"]
    session = httpx.post(
        f"{stack.api}/auth/login",
        json={"email": merchant["email"], "password": merchant["password"]},
    ).json()
    with stack.client(session["access_token"]) as person:
        refused = person.post(
            "/charges", json=VISA, headers=idempotency_key() | {"Ivy-Mode": "live"}
        )
    assert (refused.status_code, refused.json()["code"]) == (403, "live_mode_locked")


def test_one_merchant_never_sees_anothers_charge(stack: Stack, client: httpx.Client) -> None:
    theirs = charge(client)
    stranger = httpx.post(
        f"{stack.api}/auth/register",
        json={
            "email": "stranger@example.com",
            "password": "four words nobody guesses",
            "business_name": "Somebody Else",
            "country": "DE",
        },
    ).json()
    with stack.client(stranger["access_token"]) as other:
        assert other.get(f"/charges/{theirs['id']}").status_code == 404
        assert other.get("/charges").json()["data"] == []
        assert client.get(f"/charges/{theirs['id']}").status_code == 200
