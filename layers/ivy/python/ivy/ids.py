"""Identifiers: a type prefix and a time-ordered UUID (version 7).

``ch_019ab2c4d5e67f8091a2b3c4d5e6f708`` outside, a 16-byte ``uuid`` in the tables: whoever reads
one can find the other by eye. The first 48 bits are the milliseconds of creation, so an index on
the id is an index on time, and a list ordered by id is ordered by ``created_at``.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_HEX = re.compile("[0-9a-f]{32}")
_RANDOM_BITS = 74
_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A_SHIFT = 62
_LOW_62_BITS = (1 << 62) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new(at: datetime) -> UUID:
    """Return a fresh id created at ``at`` (to the millisecond)."""
    random = secrets.randbits(_RANDOM_BITS)
    head = _milliseconds(at) << 80 | _VERSION_7 | (random >> _RANDOM_A_SHIFT) << 64
    return UUID(int=head | _VARIANT | random & _LOW_62_BITS)


def first_at(at: datetime) -> UUID:
    """Return the smallest id that anything created at ``at`` can have; no id is before 1970."""
    return UUID(int=_milliseconds(at) << 80 | _VERSION_7 | _VARIANT)


def now() -> datetime:
    """Return the present, cut to the millisecond that an id can hold."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _milliseconds(at: datetime) -> int:
    return max((at - _EPOCH) // _MILLISECOND, 0)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Marks a UUID field that is written ``<prefix>_<hex>`` outside the database.

    Use as ``ChargeId = Annotated[UUID, Prefix("ch")]``. Accepts a ``UUID`` or the written form;
    the JSON schema is a string with a pattern.
    """

    prefix: str

    def write(self, value: UUID) -> str:
        """Return the public form of an id."""
        return f"{self.prefix}_{value.hex}"

    def read(self, value: object) -> UUID:
        """Return the UUID behind a public form; raises a validation error for anything else."""
        if isinstance(value, UUID):
            return value
        if isinstance(value, str):
            head, _, tail = value.partition("_")
            if head == self.prefix and _HEX.fullmatch(tail):
                return UUID(hex=tail)
        raise PydanticCustomError("id", "must look like {example}", {"example": self.example})

    @property
    def example(self) -> str:
        """An id of the right form, for messages and documentation."""
        return f"{self.prefix}_019ab2c4d5e67f8091a2b3c4d5e6f708"

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.write)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": f"^{self.prefix}_[0-9a-f]{{32}}$",
            "examples": [self.example],
        }


MerchantId = Annotated[UUID, Prefix("mer")]
UserId = Annotated[UUID, Prefix("usr")]
KeyId = Annotated[UUID, Prefix("key")]
ChargeId = Annotated[UUID, Prefix("ch")]
RefundId = Annotated[UUID, Prefix("re")]
PayoutId = Annotated[UUID, Prefix("po")]
SettlementId = Annotated[UUID, Prefix("stl")]
ReportId = Annotated[UUID, Prefix("rpt")]
ReserveId = Annotated[UUID, Prefix("rsv")]
DisputeId = Annotated[UUID, Prefix("dp")]
BalanceTransactionId = Annotated[UUID, Prefix("txn")]
DocumentId = Annotated[UUID, Prefix("doc")]
EventId = Annotated[UUID, Prefix("evt")]
LedgerTransactionId = Annotated[UUID, Prefix("ltx")]
WebhookEndpointId = Annotated[UUID, Prefix("whe")]
DeliveryId = Annotated[UUID, Prefix("dlv")]
AcquirerSettlementId = Annotated[UUID, Prefix("acs")]
BankFileId = Annotated[UUID, Prefix("bf")]
TestClockId = Annotated[UUID, Prefix("clk")]
BalanceStateId = Annotated[UUID, Prefix("bal")]
RecoveryId = Annotated[UUID, Prefix("rcv")]
RecoveryDebitId = Annotated[UUID, Prefix("rd")]
BankAccountId = Annotated[UUID, Prefix("ba")]
