"""API keys, passwords, access tokens: how each is made, and how it is recognised.

So are the numbers of bank accounts, which are as secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from ivy import vault

Kind = Literal["secret", "publishable"]

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LENGTH = 32
_CHECK_LENGTH = 6
_SHORT = {"secret": "sk", "publishable": "pk"}

ACCESS_TOKEN_LIFE = timedelta(minutes=15)
_ALGORITHM = "HS256"
_ISSUER = "ivy"
_AUDIENCE = "ivy:api"
_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti"]

MIN_PASSWORD_LENGTH = 15
MAX_PASSWORD_LENGTH = 128
_ARGON2_MEMORY_KIB = 46 * 1024


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key as shown once, and what is kept of it."""

    text: str
    prefix: str
    last4: str
    hash: str


def new_api_key(kind: Kind, *, livemode: bool) -> NewKey:
    """Return a fresh key: ``ivy_sk_test_`` + 32 random base62 + 6 base62 of their CRC32."""
    prefix = f"ivy_{_SHORT[kind]}_{'live' if livemode else 'test'}_"
    random = "".join(secrets.choice(_BASE62) for _ in range(_RANDOM_LENGTH))
    text = prefix + random + _check(prefix + random)
    return NewKey(text, prefix, text[-4:], api_key_hash(text))


def well_formed(text: str) -> bool:
    """Say whether a key's own check digits agree, so that a typo costs no look-up."""
    body, check = text[:-_CHECK_LENGTH], text[-_CHECK_LENGTH:]
    return text.startswith(("ivy_sk_", "ivy_pk_")) and text.isascii() and _check(body) == check


def api_key_hash(text: str) -> str:
    """Return the keyed hash under which a key is stored, in hex."""
    pepper = vault.access()["pepper"].encode()
    return hmac.new(pepper, text.encode(), hashlib.sha256).hexdigest()


def bank_number_hash(number: str) -> str:
    """Return the keyed hash by which the numbers of bank accounts are compared, in hex."""
    pepper = vault.access()["pepper"].encode()
    return hmac.new(pepper, b"bank_number:" + number.encode(), hashlib.sha256).hexdigest()


def _check(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits


def password_hash(email: str, password: str) -> str:
    """Return the argon2id hash that identifies an account together with its e-mail address.

    The salt is derived from the address under the pepper, so that one hash and one look-up decide
    a log-in whether the address is known or not. See docs/decisions/ for why.
    """
    from argon2.low_level import Type, hash_secret  # noqa: PLC0415 - only log-ins need it

    pepper = vault.access()["pepper"].encode()
    salt = hmac.new(pepper, b"password:" + email.encode(), hashlib.sha256).digest()[:16]
    return hash_secret(
        password.encode(),
        salt,
        time_cost=1,
        memory_cost=_ARGON2_MEMORY_KIB,
        parallelism=1,
        hash_len=32,
        type=Type.ID,
    ).decode()


def guessable(password: str, *known: str) -> bool:
    """Say whether a password is what an attacker tries first, whatever its length.

    Refuses a short piece repeated, a run along the keyboard or the alphabet, and one that is
    little more than a common word or something known about the account.
    """
    lowered = password.lower()
    if any(lowered == (lowered[:n] * len(lowered))[: len(lowered)] for n in range(1, 5)):
        return True
    if any(lowered in run or lowered in run[::-1] for run in _RUNS):
        return True
    remaining = lowered
    for word in sorted({*_COMMON_WORDS, *(k.lower() for k in known if k)}, key=len, reverse=True):
        remaining = remaining.replace(word, "")
    return len(remaining.strip(string.digits + string.punctuation + " ")) < _MIN_UNKNOWN


_RUNS = (
    string.ascii_lowercase * 2,
    string.digits * 10,
    "qwertyuiopasdfghjklzxcvbnm" * 2,
    "1q2w3e4r5t6y7u8i9o0p",
)
_COMMON_WORDS = (
    "password", "passwort", "passphrase", "letmein", "welcome", "qwerty", "admin", "secret",
    "iloveyou", "monkey", "dragon", "football", "baseball", "sunshine", "princess", "master",
    "login", "changeme", "correcthorsebatterystaple", "test", "abc", "ivy", "company",
)  # fmt: skip
_MIN_UNKNOWN = 4


def new_access_token(user: UUID, merchant_id: int, merchant: UUID, at: datetime) -> str:
    """Return a signed token that speaks for a person at one merchant for 15 minutes."""
    import jwt  # noqa: PLC0415 - only the authoriser and log-ins need it

    return jwt.encode(
        {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": user.hex,
            "jti": uuid4().hex,
            "iat": at,
            "exp": at + ACCESS_TOKEN_LIFE,
            "merchant_id": merchant_id,
            "merchant": merchant.hex,
        },
        vault.access()["signing_key"],
        algorithm=_ALGORITHM,
    )


def read_access_token(text: str) -> dict[str, Any] | None:
    """Return the claims of a token that is ours, complete and in date; None for any other."""
    import jwt  # noqa: PLC0415 - same

    try:
        return jwt.decode(
            text,
            vault.access()["signing_key"],
            algorithms=[_ALGORITHM],
            audience=_AUDIENCE,
            issuer=_ISSUER,
            options={"require": _CLAIMS},
        )
    except jwt.InvalidTokenError:
        return None
