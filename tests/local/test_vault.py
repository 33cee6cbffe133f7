from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from local.home import ROLES
from local.vault import Vault, contents
from tests.local.test_watch import ROLE, packed

if TYPE_CHECKING:
    from local.aws import Aws

KEPT = {role: f"password-of-{role}" for role in ROLES} | {"pepper": "p", "signing_key": "s"}


def test_each_secret_says_what_the_database_expects() -> None:
    wanted = contents(KEPT, prefix="ivy", host="db", port=15432)
    assert wanted["ivy/access"] == {"pepper": "p", "signing_key": "s"}
    assert wanted["ivy/database/jobs"] == {
        "username": "ivy_jobs",
        "password": "password-of-ivy_jobs",
        "host": "db",
        "port": "15432",
        "dbname": "ivy",
    }


def test_secrets_are_filled_once_they_exist_and_only_when_they_differ(aws: Aws) -> None:
    secrets = aws.client("secretsmanager")
    wanted = contents(KEPT, prefix="fill", host="127.0.0.1", port=1)
    vault = Vault(aws, wanted)
    assert not vault.fill()  # none exists yet

    secrets.create_secret(Name="fill/access", SecretString="generated")
    assert vault.fill()
    assert json.loads(secrets.get_secret_value(SecretId="fill/access")["SecretString"]) == {
        "pepper": "p",
        "signing_key": "s",
    }
    assert not Vault(aws, wanted).fill()
    moved = contents(KEPT | {"pepper": "other"}, prefix="fill", host="127.0.0.1", port=1)
    assert Vault(aws, moved).fill()


def test_a_worker_that_read_an_old_secret_is_replaced(aws: Aws) -> None:
    client = aws.client("lambda")
    code = "import os\ndef handler(event, context):\n    return os.getpid()\n"
    for name, settings in (("reads", {"IVY_ACCESS_SECRET": "x"}), ("does-not", {})):
        client.create_function(
            FunctionName=name,
            Runtime=f"python3.{sys.version_info.minor}",
            Handler="code.handler",
            Role=ROLE,
            Code={"ZipFile": packed("code.py", code)},
            Environment={"Variables": settings},
        )

    def pids() -> list[bytes]:
        names = ("reads", "does-not")
        return [client.invoke(FunctionName=name)["Payload"].read() for name in names]

    before = pids()
    assert Vault(aws, {}).restart_readers() == 1
    after = pids()
    assert before[0] != after[0]
    assert before[1] == after[1]
