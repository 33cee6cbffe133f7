from __future__ import annotations

import re
import string
import zlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy import credentials, ids, vault

BASE62 = string.digits + string.ascii_letters
SECRETS = {
    "pepper": "a pepper for tests",
    "signing_key": "a signing key of more than sixty-four bytes, so that HS512 takes it too",
}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "access", lambda: SECRETS)


@pytest.mark.parametrize(
    ("kind", "livemode", "prefix"),
    [
        ("secret", False, "ivy_sk_test_"),
        ("secret", True, "ivy_sk_live_"),
        ("publishable", False, "ivy_pk_test_"),
        ("publishable", True, "ivy_pk_live_"),
    ],
)
def test_a_key_is_prefix_random_and_check(
    kind: credentials.Kind,
    livemode: bool,
    prefix: str,
) -> None:
    key = credentials.new_api_key(kind, livemode=livemode)
    assert re.fullmatch(prefix + "[0-9A-Za-z]{32}[0-9A-Za-z]{6}", key.text)
    assert (key.prefix, key.last4) == (prefix, key.text[-4:])
    assert key.text not in (key.hash, key.prefix)
    assert key.hash == credentials.api_key_hash(key.text)
    assert credentials.well_formed(key.text)


def test_the_check_is_the_crc32_in_base62() -> None:
    text = credentials.new_api_key("secret", livemode=False).text
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number = 0
    for digit in text[-6:]:
        number = number * 62 + digits.index(digit)
    assert number == zlib.crc32(text[:-6].encode())


def test_keys_do_not_repeat() -> None:
    keys = {credentials.new_api_key("secret", livemode=False).text for _ in range(500)}
    assert len(keys) == 500


def test_every_typo_of_one_character_is_noticed() -> None:
    text = credentials.new_api_key("secret", livemode=False).text
    for place, right in enumerate(text):
        for wrong in BASE62 + "_-é":
            if wrong != right:
                assert not credentials.well_formed(text[:place] + wrong + text[place + 1 :])


def test_lost_added_and_swapped_characters_are_noticed() -> None:
    text = credentials.new_api_key("secret", livemode=False).text
    for place in range(len(text)):
        assert not credentials.well_formed(text[:place] + text[place + 1 :])
        assert not credentials.well_formed(text[:place] + "x" + text[place:])
        swapped = text[:place] + text[place : place + 2][::-1] + text[place + 2 :]
        assert swapped == text or not credentials.well_formed(swapped)
    assert not credentials.well_formed("")
    assert not credentials.well_formed(text + "\n")


def test_the_hash_depends_on_the_pepper(monkeypatch: pytest.MonkeyPatch) -> None:
    key = credentials.new_api_key("secret", livemode=False)
    assert re.fullmatch("[0-9a-f]{64}", key.hash)
    monkeypatch.setattr(vault, "access", lambda: SECRETS | {"pepper": "another"})
    assert credentials.api_key_hash(key.text) != key.hash


def test_a_password_hash_belongs_to_its_address() -> None:
    one = credentials.password_hash("ada@example.com", "four words nobody guesses")
    assert one == credentials.password_hash("ada@example.com", "four words nobody guesses")
    assert one != credentials.password_hash("bob@example.com", "four words nobody guesses")
    assert one != credentials.password_hash("ada@example.com", "four words nobody guessed")
    assert one.startswith("$argon2id$v=19$m=47104,t=1,p=1$")


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "abcabcabcabcabcabc",
        "1234123412341234",
        "abcdefghijklmnopq",
        "zyxwvutsrqponmlk",
        "qwertyuiopasdfgh",
        "123456789012345",
        "1q2w3e4r5t6y7u8i",
        "PasswordPassword1!",
        "password12345678",
        "correcthorsebatterystaple",
        "Ada.Lovelace.1815",  # what is known about the account, and a number
        "Analytical Engines 2026",
        "ivy-secret-password-2026!",
        "welcome welcome to",
    ],
)
def test_passwords_that_are_tried_first_are_refused(password: str) -> None:
    assert credentials.guessable(password, "ada.lovelace", "Analytical Engines")


@pytest.mark.parametrize(
    "password",
    [
        "four words nobody guesses",
        "Xk7#mQ9!pL2$vR5t",
        "грибы растут по ночам",
        "zebra-quilt-92-fjord",
    ],
)
def test_other_passwords_are_accepted(password: str) -> None:
    assert not credentials.guessable(password, "ada", "Analytical Engines")


def token(**changes: Any) -> str:
    """An access token like ours, with claims changed; times from now; None takes one away."""
    key = changes.pop("key", SECRETS["signing_key"])
    algorithm = changes.pop("algorithm", "HS256")
    at = ids.now()
    claims = {
        "iss": "ivy",
        "aud": "ivy:api",
        "sub": uuid4().hex,
        "jti": uuid4().hex,
        "iat": at,
        "exp": timedelta(minutes=5),
        "merchant_id": 1001,
        "merchant": uuid4().hex,
    } | changes
    kept = {
        name: at + value if isinstance(value, timedelta) else value
        for name, value in claims.items()
        if value is not None
    }
    return jwt.encode(kept, key, algorithm=algorithm)


def test_an_access_token_reads_back() -> None:
    user, merchant = UUID(int=7), UUID(int=8)
    at = ids.now()
    claims = credentials.read_access_token(credentials.new_access_token(user, 1001, merchant, at))
    assert claims is not None
    assert (claims["sub"], claims["merchant_id"], claims["merchant"]) == (
        user.hex,
        1001,
        merchant.hex,
    )
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert credentials.read_access_token(token()) is not None


@pytest.mark.parametrize(
    "changes",
    [
        *({claim: None} for claim in ("exp", "iat", "iss", "aud", "sub", "jti")),
        {"exp": timedelta(minutes=-1)},
        {"iat": timedelta(hours=1)},
        {"iss": "somebody"},
        {"aud": "another:api"},
        {"key": "another key of more than sixty-four bytes, so that HS512 takes it as well"},
        {"algorithm": "HS512"},
        {"algorithm": "HS384"},
        {"algorithm": "none", "key": None},
    ],
    ids=str,
)
def test_any_other_token_is_nobodys(changes: dict[str, Any]) -> None:
    assert credentials.read_access_token(token(**changes)) is None


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_garbage_is_nobodys_and_raises_nothing(text: str) -> None:
    assert not credentials.well_formed(text)
    assert credentials.read_access_token(text) is None


def test_a_token_with_one_character_changed_is_nobodys() -> None:
    text = token()
    for place in range(0, len(text), 7):
        wrong = "A" if text[place] != "A" else "B"
        changed = text[:place] + wrong + text[place + 1 :]
        assert credentials.read_access_token(changed) is None
