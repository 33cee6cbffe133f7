"""GET /v1/reports/{id}/content."""

from ivy import documents, reports
from ivy.callers import Caller, Scope
from ivy.database import Database
from ivy.errors import ReportNotReady
from ivy.ids import ReportId
from ivy.models import Document, Elsewhere
from ivy.needs import Need
from ivy.report_files import MEDIA_TYPES
from ivy.serve import endpoint


@endpoint(
    "GET /v1/reports/{id}/content",
    scope=Scope.REPORTS_READ,
    errors=(ReportNotReady,),
    uses=(Need.DATABASE, Need.REPORTS_READ),
)
def handler(
    database: Database,
    caller: Caller,
    id: ReportId,  # noqa: A002 - the path's own name
) -> Document | Elsewhere:
    """Download a report. `sha256` of its `file` is of these bytes.

    A file of more than 4 MB is not in the answer, which is a redirect to where it is for five
    minutes.
    """
    with database.transaction(caller.tenant) as tx:
        report, key = reports.where(tx, id)
    name = f"{report.type}-{report.month}-{report.currency}.{report.format}"
    return documents.serve(key, name=name, media_type=MEDIA_TYPES[report.format])
