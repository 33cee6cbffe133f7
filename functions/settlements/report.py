"""GET /v1/settlements/{id}/report."""

from typing import Annotated

from pydantic import Field

from ivy import documents, settlement_reports
from ivy.callers import Caller, Scope
from ivy.database import Database
from ivy.errors import SettlementReportNotReady
from ivy.ids import Prefix, SettlementId
from ivy.models import Accept, Document, Elsewhere
from ivy.needs import Need
from ivy.report_files import MEDIA_TYPES, Form, preferred
from ivy.serve import endpoint


@endpoint(
    "GET /v1/settlements/{id}/report",
    scope=Scope.SETTLEMENTS_READ,
    errors=(SettlementReportNotReady,),
    uses=(Need.DATABASE, Need.REPORTS_READ),
)
def handler(
    database: Database,
    caller: Caller,
    accept: Accept,
    id: SettlementId,  # noqa: A002 - the path's own name
    format: Annotated[  # noqa: A002 - the query's own name
        Form | None,
        Field(description="`csv` when neither this nor `Accept` says so."),
    ] = None,
) -> Document | Elsewhere:
    """Download every item of a settlement: as CSV, as JSON, or as a journal for beancount.

    `items_sha256` of the settlement is the SHA-256 of the CSV. A file of more than 4 MB is not in
    the answer, which is a redirect to where it is for five minutes.
    """
    form = format or preferred(accept)
    with database.transaction(caller.tenant) as tx:
        key = settlement_reports.where(tx, id, form)
    name = f"{Prefix('stl').write(id)}.{form}"
    return documents.serve(key, name=name, media_type=MEDIA_TYPES[form])
