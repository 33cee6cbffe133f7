"""POST /v1/webhooks/{id}/rotate_secret."""

from datetime import timedelta

from ivy import api_keys, webhook_secrets, webhooks
from ivy.callers import Caller, Scope
from ivy.database import Database
from ivy.errors import OperationInProgress
from ivy.ids import WebhookEndpointId
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.webhooks import CreatedEndpoint, Rotation


@endpoint(
    "POST /v1/webhooks/{id}/rotate_secret",
    scope=Scope.WEBHOOKS_WRITE,
    errors=(OperationInProgress,),
    uses=(Need.DATABASE, Need.WEBHOOK_SECRETS_WRITE),
)
def handler(
    database: Database,
    caller: Caller,
    id: WebhookEndpointId,  # noqa: A002 - the path's name
    rotation: Rotation,
) -> CreatedEndpoint:
    """Give a webhook endpoint another secret, shown in this answer only.

    For `overlap_hours`, 24 unless you say otherwise, deliveries are signed with the new secret and
    with those before, so a receiver can change over without refusing any. With 0 the old ones end
    at once: do that when one has leaked. Senders that are running notice within a minute.
    """
    with database.transaction(caller.tenant) as tx:
        api_keys.check_standing(tx, caller)
        found = webhooks.get(tx, id)
    try:
        secret = webhook_secrets.rotate(found.id, timedelta(hours=rotation.overlap_hours))
    except webhook_secrets.RotatedElsewhereError:
        raise OperationInProgress(retry_after_seconds=1) from None
    return CreatedEndpoint(**dict(found), secret=secret)
