"""What every request body, query and answer has in common."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from ivy import money

API_VERSION: Final = "2026-12-01"
"""What ``Ivy-Version`` names: the contract that answers and events keep to."""

METADATA_PAIRS = 50


def example(**fields: Any) -> ConfigDict:
    """Return the configuration of a model whose reference shows this example of it."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Input(BaseModel):
    """Something a caller sends. A field we do not know is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class Object(BaseModel):
    """Something a caller gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Document:
    """An answer that is not JSON of ours: a page, a script, a report.

    Attributes:
        name: Of the file that it is to be saved as; none: it is to be shown.
    """

    body: bytes
    media_type: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An answer that is too large for us to give: where it can be had, for a while."""

    url: str


class Accept(str):
    """The header ``Accept`` of a request, for functions that can answer in several forms."""

    __slots__ = ()


def _storable(text: str) -> str:
    """Refuse what a database, a file or a line of a report cannot hold, or shows as another text.

    Control characters, half surrogates, ends of lines and paragraphs, and what turns the direction
    of the text around it. The marks that Arabic and Hebrew texts have turn nothing around.
    """
    if _UNSTORABLE.search(text):
        raise PydanticCustomError("text", "must not contain control characters")
    return text


def _storable_paragraphs(text: str) -> str:
    """Like ``_storable``, with line ends and tabs."""
    _storable(text.translate(_LAYOUT))
    return text


_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LAYOUT = str.maketrans("\n\r\t", "   ")

Text = Annotated[str, AfterValidator(_storable)]
Paragraphs = Annotated[str, AfterValidator(_storable_paragraphs)]
ShortText = Annotated[Text, StringConstraints(min_length=1, max_length=255)]
LongText = Annotated[Text, StringConstraints(max_length=1000)]

Flag = Annotated[bool, Strict()]
"""``true`` or ``false``; not 0, nor "no", which somebody might have meant as something else."""

Metadata = Annotated[
    dict[
        Annotated[Text, StringConstraints(min_length=1, max_length=40)],
        Annotated[Text, StringConstraints(max_length=500)],
    ],
    Field(max_length=METADATA_PAIRS, description="Up to 50 pairs of your own."),
]


def _known_currency(code: object) -> str:
    upper = code.upper() if isinstance(code, str) and code.isascii() else ""
    if upper not in money.currencies():
        raise PydanticCustomError("currency", "must be an active ISO 4217 currency code")
    return upper


CurrencyCode = Annotated[
    str,
    BeforeValidator(_known_currency),
    Field(
        description="ISO 4217 code; lower case is accepted.",
        json_schema_extra={"enum": sorted(money.currencies()), "examples": ["USD"]},
    ),
]

AmountMinor = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=money.MAX_AMOUNT_MINOR,
        description="Integer minor units: 10000 USD is 100.00.",
    ),
]


def write_time(at: datetime) -> str:
    """Return a time as answers have it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _as_written(moment: object) -> object:
    """Refuse what only looks like a time to a lenient parser: a number, a bare date."""
    if isinstance(moment, datetime) or (isinstance(moment, str) and _RFC_3339.fullmatch(moment)):
        return moment
    raise PydanticCustomError("time", "must be a time as RFC 3339 writes it, with its zone")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # its zone takes it out of the years 1 to 9999
        raise PydanticCustomError("time", "must lie in the years 1 to 9999 of UTC") from error


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_as_written),
    AfterValidator(_in_utc),
    Field(examples=["2026-11-24T09:30:00Z"]),
]
"""A time that a caller sends: RFC 3339 with its zone."""

_YEAR_AND_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")


def _month(text: str) -> str:
    if _YEAR_AND_MONTH.fullmatch(text):
        return text
    raise PydanticCustomError("month", "must be a year and a month, such as 2026-11")


Month = Annotated[
    str,
    AfterValidator(_month),
    Field(json_schema_extra={"pattern": f"^{_YEAR_AND_MONTH.pattern}$"}, examples=["2026-11"]),
]

api_address: ContextVar[str] = ContextVar("api_address", default="")
"""Where the API is reached by whoever is being answered; empty where nobody is."""


def _absolute(url: str) -> str:
    return f"{api_address.get()}{url}" if url.startswith("/") else url


Link = Annotated[str, PlainSerializer(_absolute, return_type=str)]
"""An address; one that begins with a slash is below the API's own."""

Time = Annotated[AwareDatetime, PlainSerializer(write_time, return_type=str)]
"""RFC 3339 in UTC with milliseconds."""
