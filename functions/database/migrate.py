"""At each deployment: bring the schema forward and give each role its password."""

from typing import Any

from ivy import migrations, vault
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job
from ivy.settings import settings


@job(None, uses=(Need.DATABASE_OWNER,), timeout_seconds=300)
def handler(database: Database) -> dict[str, Any]:
    """Apply what is new; safe to run twice, and at once from two places."""
    connection = database.dedicated()
    with connection:
        applied = migrations.apply(connection, migrations.available())
        for role, secret_id in sorted(settings().required("role_secrets").items()):
            migrations.set_password(connection, role, vault.read(secret_id)["password"])
    return {"applied": applied}
