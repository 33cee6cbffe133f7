"""What a function may touch, named once.

A declaration lists its needs (``uses=(Need.DATABASE, Need.CHARGES_QUEUE)``); ``infra/needs.py``
turns each into exact IAM actions and environment variables, ``ivy.settings`` reads those back.
A function that does not list a need has neither the right nor the address.
"""

from enum import StrEnum


class Need(StrEnum):
    """One resource a function depends on, with the least access that serves it."""

    DATABASE = "database"
    """Connect as ``ivy_app``: one merchant's rows, chosen per transaction."""

    DATABASE_JOBS = "database_jobs"
    """Connect as ``ivy_jobs``: scheduled work across merchants; posts lines of banks only."""

    DATABASE_SETTLE = "database_settle"
    """Connect as ``ivy_settle``: close the day of many merchants at once, and nothing else."""

    DATABASE_OWNER = "database_owner"
    """Connect as the owner of the schema and read every role's secret: migrations only."""

    ACCESS_SECRET = "access_secret"  # noqa: S105 - the name of a need, not a secret
    """Read the pepper of the API keys and the signing keys of the access tokens."""

    IDEMPOTENCY_TABLE = "idempotency_table"
    """Put, update and delete single items of the DynamoDB front; implied by ``idempotent=True``."""

    CHARGES_QUEUE = "charges_queue"
    """Send to the queue that ``functions/charges/process.py`` consumes."""

    REFUNDS_QUEUE = "refunds_queue"
    """Send to the queue that ``functions/refunds/process.py`` consumes."""

    DISPUTES_QUEUE = "disputes_queue"
    """Send to the queue that ``functions/disputes/process.py`` consumes."""

    PAYOUTS_QUEUE = "payouts_queue"
    """Send to the queue that ``functions/payouts/process.py`` consumes."""

    CLOCK_QUEUE = "clock_queue"
    """Send to the queue that ``functions/test_clock/step.py`` consumes."""

    SETTLEMENTS_QUEUE = "settlements_queue"
    """Send to the queue that ``functions/settlements/settle.py`` consumes."""

    SETTLEMENT_REPORTS_QUEUE = "settlement_reports_queue"
    """Send to the queue that ``functions/settlements/itemise.py`` consumes."""

    REPORTS_QUEUE = "reports_queue"
    """Send to the queue that ``functions/reports/make.py`` consumes."""

    SCHEDULED_PAYOUTS_QUEUE = "scheduled_payouts_queue"
    """Send to the queue that ``functions/payouts/make.py`` consumes."""

    TEST_BANKING_QUEUE = "test_banking_queue"
    """Send to the queue that ``functions/test_clock/bank.py`` consumes."""

    EVENTS_QUEUE = "events_queue"
    """Wake ``functions/events/publish.py``, for functions whose events should not wait a minute."""

    WEBHOOKS_QUEUE = "webhooks_queue"
    """Send to the queue that ``functions/webhooks/deliver.py`` consumes."""

    DELIVERY_RESULTS_QUEUE = "delivery_results_queue"
    """Send to the queue that ``functions/webhooks/record.py`` consumes."""

    WEBHOOK_SECRETS_WRITE = "webhook_secrets_write"
    """Make, rotate and remove the secrets of webhook endpoints, without reading any."""

    WEBHOOK_SECRETS_READ = "webhook_secrets_read"
    """Sign with the secrets of webhook endpoints: the sender, and nobody else."""

    CONNECTORS = "connectors"
    """Invoke the functions under ``functions/connectors/``: each stands for an acquirer."""

    ACQUIRER_TABLE = "acquirer_table"
    """Keep the payments of the simulated acquirer: its own function, and nobody else."""

    BANK_OUT_WRITE = "bank_out_write"
    """Put files for banks; no right to read one back."""

    BANK_IN_READ = "bank_in_read"
    """Read what banks have put, and move it to the archive."""

    SIMULATED_BANK = "simulated_bank"
    """Be the bank of test mode: read its files, answer them, keep notes of its own."""

    SIMULATED_BANK_LIST = "simulated_bank_list"
    """See when the bank of test mode has something to do; no right to read what."""

    SIMULATED_BANK_DUE = "simulated_bank_due"
    """Put down what the bank of test mode will show; no right to read it back."""

    REPORTS_WRITE = "reports_write"
    """Put reports for merchants; no right to read one back."""

    REPORTS_READ = "reports_read"
    """Read reports, and let their merchant read one."""

    STRIPE = "stripe"
    """Read the keys of Stripe and carry the layer with its package; off unless switched on."""

    REFERENCE = "reference"
    """Carry the layer with ``openapi.json`` and the Swagger UI assets."""
