"""Files of reports: rows as CSV or JSON, and which of the forms a caller wants.

Pure: the same rows are the same bytes, so a file that is written again is the same file.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from pydantic import BaseModel

from ivy import ids
from ivy.models import Accept

Form = Literal["csv", "json", "beancount"]

MEDIA_TYPES: dict[Form, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "beancount": "text/x-beancount; charset=utf-8",
}


class UnbalancedError(RuntimeError):
    """A report would not come to what the ledger says. It is not written."""


@dataclass(frozen=True, slots=True)
class File:
    """A file about to be written, and what it is called in the bucket."""

    key: str
    content: bytes

    @property
    def sha256(self) -> str:
        """What whoever has the file can compute too."""
        return hashlib.sha256(self.content).hexdigest()


def key(merchant: UUID, name: str, *, livemode: bool) -> str:
    """Return what a merchant's report is called in the bucket, but for the suffix of its form."""
    mode = "live" if livemode else "test"
    return f"reports/{mode}/{ids.Prefix('mer').write(merchant)}/{name}"


def preferred(accept: Accept) -> Form:
    """Return the form that ``Accept`` weighs most, the first of several; CSV when it names none."""
    weighed: dict[Form, float] = {}
    for wanted in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in wanted.split(";"))
        for form in get_args(Form):
            if media_type == MEDIA_TYPES[form].partition(";")[0]:
                weighed.setdefault(form, _weight(parameters))
    return max(weighed, key=lambda form: weighed[form], default="csv")


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0
    return 1


def table(shape: type[BaseModel], rows: Sequence[BaseModel]) -> bytes:
    """Return rows as CSV: RFC 4180, in UTF-8, lines ended by a line feed, members as columns."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(shape.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump(mode="json") for row in rows)
    return out.getvalue().encode()
