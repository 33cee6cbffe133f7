"""Queue ``webhooks``: sign an event, send it once, and report what came of it."""

from ivy import faults, ids, sender, webhook_secrets
from ivy.needs import Need
from ivy.serve import consumer
from ivy.webhook_messages import Delivery


@consumer(
    "webhooks",
    uses=(Need.WEBHOOK_SECRETS_READ, Need.DELIVERY_RESULTS_QUEUE),
    timeout_seconds=25,
    parallel=True,
    max_concurrency=200,  # it holds no connection to the database
)
def handler(delivery: Delivery) -> None:
    """Make one attempt: outside the database's network, knowing nothing but the message."""
    secrets = webhook_secrets.active(delivery.endpoint, ids.now())
    faults.point("webhook.deliver.before_send")
    attempted = sender.send(delivery, secrets)
    faults.point("webhook.deliver.after_send")
    sender.report(attempted)
    faults.point("webhook.deliver.after_report")
