"""People coming in: registering, logging in, and asking who they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from ivy import credentials, errors, ids, ledger
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.errors import FieldError
from ivy.models import Input, Object, ShortText, Text, Time, example

MAX_EMAIL_LENGTH = 254


def _short_when_lowered(address: str) -> str:
    """Measure again: a capital letter can become two small ones."""
    if len(address) > MAX_EMAIL_LENGTH:
        raise PydanticCustomError("string_too_long", "should have at most 254 characters")
    return address


EmailAddress = Annotated[
    Text,
    StringConstraints(
        min_length=3,
        max_length=MAX_EMAIL_LENGTH,
        to_lower=True,
        pattern=r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$",
    ),
    AfterValidator(_short_when_lowered),
    Field(examples=["ada@example.com"]),
]
Password = Annotated[
    str,
    StringConstraints(
        min_length=credentials.MIN_PASSWORD_LENGTH, max_length=credentials.MAX_PASSWORD_LENGTH
    ),
    Field(examples=["four words nobody guesses"]),
]

_CURRENCY_OF_COUNTRY = {
    "US": "USD", "GB": "GBP", "CA": "CAD", "AU": "AUD", "NZ": "NZD", "JP": "JPY", "CH": "CHF",
    "SE": "SEK", "NO": "NOK", "DK": "DKK", "PL": "PLN", "CZ": "CZK", "HU": "HUF", "RO": "RON",
    "SG": "SGD", "HK": "HKD", "IN": "INR", "BR": "BRL", "MX": "MXN", "KW": "KWD", "BH": "BHD",
    "AE": "AED", "SA": "SAR", "ZA": "ZAR", "KR": "KRW", "IL": "ILS", "TR": "TRY", "TH": "THB",
}  # fmt: skip
_EURO_COUNTRIES = frozenset({
    "AT", "BE", "BG", "CY", "DE", "EE", "ES", "FI", "FR", "GR", "HR",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PT", "SI", "SK",
})  # fmt: skip


class Registration(Input):
    """A person and the business they open an account for."""

    model_config = example(
        email="ada@example.com",
        password="four words nobody guesses",  # noqa: S106 - the reference's example
        business_name="Analytical Engines",
        country="US",
    )

    email: EmailAddress
    password: Password
    business_name: ShortText
    country: Annotated[
        str,
        StringConstraints(pattern="^[A-Z]{2}$"),
        Field(
            description="ISO 3166-1 alpha-2.",
            json_schema_extra={"enum": sorted({*_CURRENCY_OF_COUNTRY, *_EURO_COUNTRIES})},
        ),
    ]

    @field_validator("country")
    @classmethod
    def _served(cls, country: str) -> str:
        if country not in _CURRENCY_OF_COUNTRY and country not in _EURO_COUNTRIES:
            raise PydanticCustomError("country", "is not a country that Ivy serves")
        return country


class Login(Input):
    """A person's e-mail address and password."""

    model_config = example(
        email="ada@example.com",
        password="four words nobody guesses",  # noqa: S106 - the reference's example
    )

    email: EmailAddress
    password: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class User(Object):
    """A person."""

    id: ids.UserId
    object: Literal["user"] = "user"
    livemode: bool = False
    created_at: Time
    email: str
    email_verified: bool


class Merchant(Object):
    """A business with an account."""

    id: ids.MerchantId
    object: Literal["merchant"] = "merchant"
    livemode: bool
    created_at: Time
    name: str
    country: str
    default_currency: str
    live_open: Annotated[bool, Field(description="Whether live charges are accepted.")]


class Session(Object):
    """An access token and how long it lives."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word, not a secret
    expires_in: Annotated[int, Field(description="Seconds.")]


class Registered(Session):
    """A new account, and a token to begin with."""

    user: User
    merchant: Merchant


class Me(Object):
    """Who the credential speaks for and what it may do."""

    id: ids.MerchantId
    object: Literal["me"] = "me"
    livemode: bool
    created_at: Time
    merchant: Merchant
    user: User | None
    api_key: ids.KeyId | None
    scopes: list[str]


@dataclass(frozen=True, slots=True)
class _UserRow:
    id: UUID
    email: str
    verified_at: datetime | None
    created_at: datetime

    def user(self) -> User:
        return User(
            id=self.id,
            created_at=self.created_at,
            email=self.email,
            email_verified=self.verified_at is not None,
        )


@dataclass(frozen=True, slots=True)
class _Membership:
    merchant_id: int
    role: str


def register(tx: Transaction, new: Registration, password_hash: str) -> Registered:
    """Open an account: person, merchant, both modes' ledger accounts, in one transaction.

    Never tells whether an address is known. Before an address is verified nobody owns it, so the
    same address with another password is simply another account; with the same password it is the
    same person, who gets their account back instead of a second one.

    Args:
        tx: A transaction without a tenant.
        new: What the person sent.
        password_hash: ``credentials.password_hash`` of it, made before the transaction began.

    Raises:
        RequestInvalid: The password is one that an attacker would try first.
    """
    if credentials.guessable(new.password, new.email.partition("@")[0], new.business_name):
        detail = "is too easy to guess; take a few words that do not belong together"
        raise errors.RequestInvalid(fields=(FieldError("/password", "password_guessable", detail),))
    tx.present(new.email)
    at = ids.now()
    user_id = ids.new(at)
    inserted = tx.value(
        "INSERT INTO users (id, email, password_hash, created_at)"
        " VALUES (%(id)s, %(email)s, %(password_hash)s, %(at)s)"
        " ON CONFLICT (email, password_hash) DO NOTHING RETURNING true",
        id=user_id,
        email=new.email,
        password_hash=password_hash,
        at=at,
    )
    if not inserted:
        return _existing(tx, new.email, password_hash)
    merchant_id, merchant = _open_merchant(tx, new, at)
    tx.run(
        "INSERT INTO members (merchant_id, user_id, role, created_at)"
        " VALUES (%(merchant_id)s, %(user_id)s, 'owner', %(at)s)",
        merchant_id=merchant_id,
        user_id=user_id,
        at=at,
    )
    session = _session(user_id, merchant_id, merchant.id)
    return Registered(
        user=_UserRow(user_id, new.email, None, at).user(),
        merchant=merchant,
        access_token=session.access_token,
        expires_in=session.expires_in,
    )


def _open_merchant(tx: Transaction, new: Registration, at: datetime) -> tuple[int, Merchant]:
    merchant_id = int(tx.value("SELECT nextval('merchants_id_seq')"))
    currency = _CURRENCY_OF_COUNTRY.get(new.country, "EUR")
    public_id = ids.new(at)
    test, live = Tenant(merchant_id, livemode=False), Tenant(merchant_id, livemode=True)
    tx.choose(test)
    tx.run(
        "INSERT INTO merchants (id, public_id, name, country, default_currency, created_at)"
        " VALUES (%(id)s, %(public_id)s, %(name)s, %(country)s, %(currency)s, %(at)s)",
        id=merchant_id,
        public_id=public_id,
        name=new.business_name,
        country=new.country,
        currency=currency,
        at=at,
    )
    for tenant in (live, test):
        tx.choose(tenant)
        ledger.open_accounts(tx, tenant, currency)
    merchant = Merchant(
        id=public_id,
        livemode=False,
        created_at=at,
        name=new.business_name,
        country=new.country,
        default_currency=currency,
        live_open=False,
    )
    return merchant_id, merchant


def _existing(tx: Transaction, email: str, password_hash: str) -> Registered:
    user = _user(tx, email, password_hash)
    if user is None:
        raise errors.Unavailable("The account is being changed. Try again.")
    merchant_id = _membership(tx, user.id).merchant_id
    tx.choose(Tenant(merchant_id, livemode=False))
    merchant = _merchant(tx, livemode=False)
    session = _session(user.id, merchant_id, merchant.id)
    return Registered(
        user=user.user(),
        merchant=merchant,
        access_token=session.access_token,
        expires_in=session.expires_in,
    )


def log_in(tx: Transaction, email: str, password_hash: str) -> Session:
    """Return an access token for the account that an address and a password identify.

    Raises:
        LoginInvalid: They identify none. The work done is the same either way.
    """
    tx.present(email)
    user = _user(tx, email, password_hash)
    if user is None:
        raise errors.LoginInvalid
    merchant_id = _membership(tx, user.id).merchant_id
    tx.choose(Tenant(merchant_id, livemode=False))
    return _session(user.id, merchant_id, _merchant(tx, livemode=False).id)


def _session(user_id: UUID, merchant_id: int, merchant: UUID) -> Session:
    token = credentials.new_access_token(user_id, merchant_id, merchant, ids.now())
    return Session(
        access_token=token, expires_in=int(credentials.ACCESS_TOKEN_LIFE.total_seconds())
    )


def _user(tx: Transaction, email: str, password_hash: str) -> _UserRow | None:
    return tx.row(
        _UserRow,
        "SELECT id, email, verified_at, created_at FROM users"
        " WHERE email = %(email)s AND password_hash = %(password_hash)s",
        email=email,
        password_hash=password_hash,
    )


def _membership(tx: Transaction, user_id: UUID) -> _Membership:
    """Return a person's first membership."""
    tx.present(str(user_id))
    found = tx.row(
        _Membership,
        "SELECT merchant_id, role FROM members WHERE user_id = %(user_id)s"
        " ORDER BY created_at LIMIT 1",
        user_id=user_id,
    )
    if found is None:
        raise errors.LoginInvalid
    return found


def _merchant(tx: Transaction, *, livemode: bool) -> Merchant:
    found = tx.row(
        Merchant,
        "SELECT public_id AS id, %(livemode)s AS livemode, created_at, name, country,"
        " default_currency, live_open FROM merchants WHERE id = current_merchant()",
        livemode=livemode,
    )
    if found is None:
        raise errors.ResourceMissing("No such merchant.")
    return found


def me(tx: Transaction, caller: Caller) -> Me:
    """Return who the caller is."""
    merchant = _merchant(tx, livemode=caller.tenant.livemode)
    user = None
    if caller.user is not None:
        user = tx.row(
            _UserRow,
            "SELECT id, email, verified_at, created_at FROM users WHERE id = %(id)s",
            id=caller.user,
        )
    return Me(
        id=merchant.id,
        livemode=caller.tenant.livemode,
        created_at=merchant.created_at,
        merchant=merchant,
        user=user.user() if user else None,
        api_key=caller.credential,
        scopes=sorted(caller.scopes),
    )
