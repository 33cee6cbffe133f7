"""Everything of one local stack: started in parallel where possible, watched, stopped in order."""

from __future__ import annotations

import base64
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from local import build, gaps, inbox, leftovers, processes
from local.api import Api, Merchant
from local.aws import Aws, preload
from local.deployer import Deployer, Stack, stacks
from local.emulator import Emulator, answers
from local.errors import LocalError
from local.gateway import API, Front, FrontServer
from local.home import PREFERRED_PORTS, PREFIX, ROLES, command, free_port, port_taken
from local.inbox import Inbox
from local.postgres import DATABASE, Postgres
from local.seed import ensure_merchant
from local.vault import Vault, contents
from local.watch import Updater

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local.home import Home
    from local.progress import Progress

STAGE = "api"
REST_API = "AWS::ApiGateway::RestApi"
WATCH_SECONDS = 0.5
PORT_ATTEMPTS = 3
READER = "ivy_read"
"""The role of `local.json` and `ivy psql`: sees every merchant's rows, changes none."""


@dataclass(frozen=True)
class Outside:
    """What the environment may change about where the stack runs.

    Attributes:
        endpoint: ``IVY_AWS_ENDPOINT``: a LocalStack to use instead of the embedded emulator.
        database_host: ``IVY_DATABASE_HOST``: the name under which functions reach PostgreSQL.
        listen: ``IVY_DATABASE_LISTEN``: the addresses PostgreSQL listens on, comma separated.
    """

    endpoint: str
    database_host: str
    listen: tuple[str, ...]

    @classmethod
    def read(cls) -> Outside:
        """Return what the environment says; functions in containers have another localhost."""
        endpoint = os.environ.get("IVY_AWS_ENDPOINT", "").rstrip("/")
        inside = "host.docker.internal" if endpoint else "127.0.0.1"
        listen = os.environ.get("IVY_DATABASE_LISTEN", "127.0.0.1")
        return cls(
            endpoint=endpoint,
            database_host=os.environ.get("IVY_DATABASE_HOST") or inside,
            listen=tuple(address.strip() for address in listen.split(",")),
        )


class LocalStack:
    """The parts of one running stack.

    Attributes:
        facts: What `local.json` says, once everything answers.
    """

    def __init__(self, home: Home, progress: Progress) -> None:
        self.home = home
        self.progress = progress
        self.outside = Outside.read()
        self.facts: dict[str, Any] = {}
        self.layers = None if self.outside.endpoint else home.layers
        self._ports: dict[str, int] = {}
        self._lock: IO[str] | None = None
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="start")
        self._stopping = threading.Event()
        self.postgres: Postgres | None = None
        self.emulator: Emulator | None = None
        self.front: FrontServer | None = None
        self.aws = Aws("")
        self.metrics: gaps.MetricsForwarder | None = None

    def start(self) -> None:
        """Start everything, deploy, seed, and write `local.json`.

        Raises:
            LocalError: A part did not start. Whatever did start is still to be stopped.
        """
        self.home.create()
        self._lock = self.home.lock()
        if self._lock is None:
            raise LocalError("This stack runs already.", "`ivy status` shows where.")
        if left := leftovers.end(self.home):
            self.progress.say(f"Ended what an earlier start left running: {' and '.join(left)}")
        processes.remember(self.home.process("ivy"), os.getpid())
        self._ports = self.home.ports()
        database = self._pool.submit(self._start_postgres)
        emulator = self._pool.submit(self._start_emulator)
        assembly = self._pool.submit(self._build)
        self._pool.submit(preload)
        self.aws = emulator.result()
        found = stacks(assembly.result())
        database.result()  # whose port goes into the secrets
        self._deploy(found)
        self._pool.submit(self._warm_acquirer)
        self.migrate()
        api = self._serve(found)
        merchant = self._seed(api)
        self.metrics = gaps.MetricsForwarder(self.aws, f"/aws/lambda/{PREFIX}-")
        self.metrics.start()
        self.facts = self._described(merchant)
        self.home.write("ports", self._ports)
        self.home.write("local", self.facts)

    def redeploy(self) -> None:
        """Build, deploy and migrate again while everything goes on running."""
        self._deploy(stacks(self._build()))
        self.migrate()

    def _deploy(self, found: list[Stack]) -> None:
        """Bring the stacks, the secrets and hot-swapped code up to what the working tree says."""
        with self.progress.step("Deploy the stacks") as step:
            deployer = Deployer(self.aws, self.layers)
            vault = Vault(self.aws, self._secrets())
            changed, filled = 0, False
            for stack in found:
                changed += deployer.deploy(stack)
                filled |= vault.fill()
            if filled:
                vault.restart_readers()
            Updater(self.aws, self.home, self.layers).repeat()
            gaps.expire_items(self.aws, found)
            step.note = f"{changed} of {len(found)} changed" if changed else "unchanged"

    def watch(self) -> str | None:
        """Wait until asked to stop, or until a part dies; return what died."""
        parts = {
            "PostgreSQL": self.postgres.process if self.postgres else None,
            "The emulator": self.emulator.process if self.emulator else None,
        }
        while not self._stopping.wait(WATCH_SECONDS):
            for name, process in parts.items():
                if process is not None and process.poll() is not None:
                    return f"{name} ended unexpectedly ({_exit(process.returncode)})."
        return None

    def ask_to_stop(self) -> None:
        """Make `watch` return. Safe to call from a signal handler."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop every part that runs, each before what it depends on."""
        if self._lock is None:
            return
        self.home.forget("local")
        processes.end_other_children(self._kept())
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self.metrics is not None:
            self.metrics.stop()
        if self.front is not None:
            self.front.stop()
        if self.emulator is not None:
            self.emulator.stop()
        if self.postgres is not None:
            self.postgres.stop()
        processes.forget(self.home.process("ivy"))
        self._lock.close()

    def _kept(self) -> set[int]:
        started = [part.process for part in (self.postgres, self.emulator) if part is not None]
        return {process.pid for process in started if process is not None}

    def _on_free_port(self, name: str, start: Callable[[int], None]) -> None:
        """Start a part on its port; on another when somebody took that one in the meantime."""
        for _ in range(PORT_ATTEMPTS):
            port = self._ports[name]
            try:
                return start(port)
            except LocalError as error:
                if not port_taken(port):
                    raise
                failure = error
                self._ports[name] = free_port(port + 1)
        raise failure

    def _start_postgres(self) -> None:
        with self.progress.step("Start PostgreSQL") as step:
            kept = self.home.secrets()
            postgres = Postgres(
                data=self.home.cluster,
                port=0,
                passwords={role: kept[role] for role in ROLES},
                listen=self.outside.listen,
                log=self.home.log("postgres"),
            )
            self.postgres = postgres

            def start(port: int) -> None:
                postgres.port = port
                postgres.start()

            self._on_free_port("postgres", start)
            step.note = f"127.0.0.1:{postgres.port}"

    def _start_emulator(self) -> Aws:
        if self.outside.endpoint:
            if not answers(self.outside.endpoint):
                raise LocalError(
                    f"Nothing answers at IVY_AWS_ENDPOINT={self.outside.endpoint}.",
                    "Start LocalStack, or unset the variable to use the embedded emulator.",
                )
            return Aws(self.outside.endpoint)
        with self.progress.step("Start the AWS emulator") as step:
            record = self.home.process("emulator")
            emulator = Emulator(self.home.emulator, 0, self.home.log("emulator"), record)
            self.emulator = emulator

            def start(port: int) -> None:
                emulator.port = port
                emulator.start()

            self._on_free_port("emulator", start)
            step.note = emulator.endpoint
            return Aws(emulator.endpoint)

    def _build(self) -> Path:
        with self.progress.step("Build layers and templates") as step:
            assembly, made = build.assembly()
            step.note = "" if made else "unchanged"
            return assembly

    def _secrets(self) -> dict[str, dict[str, str]]:
        return contents(
            self.home.secrets(),
            prefix=PREFIX,
            host=self.outside.database_host,
            port=self._ports["postgres"],
        )

    def migrate(self) -> None:
        """Apply the schema through the deployed function, unless this cluster has it already."""
        cluster = (self.home.cluster / "PG_VERSION").stat().st_mtime_ns
        wanted = {"schema": build.schema_fingerprint(), "cluster": cluster}
        if self.home.read("migrated") == wanted:
            return
        with self.progress.step("Migrate the database") as step:
            try:
                answer = invoke(self.aws, f"{PREFIX}-database-migrate", {})
            except LocalError as error:
                error.fix = "Correct the schema; or start over without this data: make clean dev"
                raise
            step.note = _summary(answer)
            self.home.write("migrated", wanted)

    def _warm_acquirer(self) -> None:
        """Let the acquirer's function start now: in the first charge it has four seconds."""
        question = {"method": "notices", "at": datetime.now(UTC).isoformat(), "account": None}
        with suppress(LocalError):
            invoke(self.aws, f"{PREFIX}-connectors-simulated", question)

    def _serve(self, found: list[Stack]) -> Api:
        with self.progress.step("Open the front") as step:
            gateways = Deployer(self.aws).resources(found, REST_API)
            if not gateways:
                raise LocalError(f"No stack holds an {REST_API}.", "Look into infra/.")
            stage = f"{self.aws.endpoint}/_aws/execute-api/{gateways[0]}/{STAGE}"
            kept = self.home.read("inbox").get("secret")
            front = FrontServer(Front(stage=stage, inbox=Inbox((kept,) if kept else ())), 0)

            def start(port: int) -> None:
                front.port = port
                front.start()

            self._on_free_port("front", start)
            self.front = front
            step.note = f"http://localhost:{front.port}"
            if front.port != (usual := PREFERRED_PORTS["front"]):
                step.note += f" in place of {usual}"
        return Api(f"http://127.0.0.1:{front.port}{API}")

    def _seed(self, api: Api) -> dict[str, str]:
        with self.progress.step("Demo merchant") as step:
            merchant, new = ensure_merchant(self.home, api)
            step.note = "registered" if new else "kept"
            if not self.outside.endpoint:  # functions in containers do not reach the front
                self._register_inbox(Merchant(api, merchant["secret_key"]))
            return merchant

    def _register_inbox(self, merchant: Merchant) -> None:
        assert self.front is not None  # noqa: S101 - started before
        address = f"http://localhost:{self.front.port}"
        endpoint = inbox.register(self.home, merchant, address)
        shown = self.front.front.inbox
        shown.secrets = (endpoint["secret"], *shown.secrets)

    def _described(self, merchant: dict[str, str]) -> dict[str, Any]:
        assert self.front is not None  # noqa: S101 - started before
        assert self.postgres is not None  # noqa: S101 - same
        address = f"http://localhost:{self.front.port}"
        reader = self.home.secrets()[READER]
        self.front.front.facts = {
            **merchant,
            "address": address,
            "inbox": self.home.read("inbox").get("id", ""),
            "emulator": self.aws.endpoint,
            "home": str(self.home.path),
            "ivy": command(),
        }
        return {
            "api": f"{address}{API}",
            "docs": f"{address}/docs",
            "emulator": self.aws.endpoint,
            "database": self.postgres.url(READER, reader, DATABASE),
            "merchant": merchant,
        }


def invoke(aws: Aws, name: str, event: dict[str, Any]) -> Any:
    """Run a function once and return what it returned.

    Raises:
        LocalError: It failed; the message holds its error and the end of its log.
    """
    answer = aws.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(event).encode(), LogType="Tail"
    )
    result = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        raise LocalError(f"{name} failed: {_reason(log, result)}")
    return result


def _reason(log: str, result: Any) -> str:
    """Return what went wrong: the exception a structured line holds, else the whole log."""
    for line in log.splitlines():
        with suppress(ValueError, TypeError, KeyError):
            seen = json.loads(line)
            return f"{seen['error']}: {seen['detail']}"
    return f"{json.dumps(result)}\n{log.strip()}"


def _summary(answer: Any) -> str:
    """One short line about what a migration did."""
    if isinstance(answer, dict) and isinstance(answer.get("applied"), list):
        return f"{len(answer['applied'])} applied"
    return ""


def _exit(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
