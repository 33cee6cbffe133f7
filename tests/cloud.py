"""AWS for tests: moto behind a real HTTP endpoint, in a process of its own, that can misbehave.

moto runs no functions, so what is invoked here is answered by the simulated acquirer, on moto's
DynamoDB: invoking ``<deployment>-connectors-simulated`` uses the table ``<deployment>-acquirer``.

The functions under test talk to it with the boto3 they are deployed with, from any number of
processes. ``python -m tests.cloud`` serves until its standard input is closed; ``Cloud`` starts
that process and tells it how to fail.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Literal

REGION = "us-east-1"
CONTROL = "/faults"
CONNECTOR, ACQUIRER = "-connectors-simulated", "-acquirer"
_FUNCTIONS = "/2015-03-31/functions/"

Fault = Literal["throttle", "fail", "hang", "lose_answer", "lose_one_answer", "lose_request"]
"""What happens to an operation, such as ``PutItem`` or Lambda's ``Invoke``.

``throttle`` and ``fail`` answer with an error and do nothing; ``hang`` never answers;
``lose_answer`` does the work and closes the connection, ``lose_one_answer`` only the first time;
``lose_request`` answers well and does nothing, like a record that disappeared."""

_INVOKE = "Lambda.Invoke"
_HOSTS = {
    "DynamoDB": "dynamodb",
    "AmazonSQS": "sqs",
    "secretsmanager": "secretsmanager",
    "TrentService": "kms",
}


class Cloud:
    """The endpoint, as a test sees it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cloud"],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    @contextmanager
    def failing(self, fault: Fault, *operations: str) -> Iterator[None]:
        """Apply a fault to operations such as ``PutItem`` until the block ends."""
        self._set(dict.fromkeys(operations, fault))
        try:
            yield
        finally:
            self._set({})

    def _set(self, faults: dict[str, Fault]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", CONTROL, json.dumps(faults))
        assert connection.getresponse().status == http.HTTPStatus.NO_CONTENT
        connection.close()


class _Handler(BaseHTTPRequestHandler):
    """Passes a request on to moto, or does to it what the test has asked for."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    faults: ClassVar[dict[str, Fault]] = {}
    moved_on: ClassVar[threading.Event] = threading.Event()
    one_at_a_time: ClassVar[threading.Lock] = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == CONTROL:
            _Handler.faults = json.loads(body)
            _Handler.moved_on.set()
            _Handler.moved_on = threading.Event()
            self._reply(http.HTTPStatus.NO_CONTENT, {}, b"")
            return
        if "X-Amz-Target" not in self.headers and not self.path.startswith(_FUNCTIONS):
            self._objects(body)
            return
        target, _, operation = self.headers.get("X-Amz-Target", _INVOKE).partition(".")
        fault = self.faults.get(operation)
        if fault == "hang":
            self.moved_on.wait()
            self.close_connection = True
        elif fault == "throttle":
            self._refuse(400, "ThrottlingException")
        elif fault == "fail":
            self._refuse(500, "InternalServerError")
        elif fault == "lose_request":
            self._reply(200, {}, b"{}")
        elif fault in ("lose_answer", "lose_one_answer"):
            if fault == "lose_one_answer":
                del self.faults[operation]
            self._do(target, body)
            self.close_connection = True
        else:
            answer = self._do(target, body)
            if answer is None:
                self.close_connection = True
            else:
                self._reply(*answer)

    def handle_expect_100(self) -> bool:
        """Tell a client that asks before it sends a body at once: it waits a second to be told."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_GET(self) -> None:
        self._objects(b"")

    def do_HEAD(self) -> None:
        self._objects(b"")

    def do_DELETE(self) -> None:
        self._objects(b"")

    def do_PUT(self) -> None:
        self._objects(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _objects(self, body: bytes) -> None:
        """Pass a request for S3 on, which has a method and a path where the others have a target.

        Its faults are named by the method: ``PUT``, ``GET``, ``DELETE``.
        """
        import requests  # noqa: PLC0415 - in the serving process only; moto answers it

        fault = self.faults.get(self.command)
        if fault == "fail":
            self._refuse(500, "InternalError")
            return
        passed = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        url = f"https://s3.{REGION}.amazonaws.com{self.path}"
        with self.one_at_a_time:
            answer = requests.request(self.command, url, data=body, headers=passed, timeout=10)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else answer.content)

    def _do(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        return self._invoke(body) if target == "Lambda" else self._moto(target, body)

    def _invoke(self, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        """Run the simulated acquirer; None where it outlasts whoever invoked it."""
        from ivy.connectors import simulated  # noqa: PLC0415 - in the serving process only

        name = self.path.removeprefix(_FUNCTIONS).split("/")[0]
        acquirer = simulated.SimulatedAcquirer(
            name.removesuffix(CONNECTOR) + ACQUIRER,
            dynamodb=_OneAtATime(_dynamodb(), self.one_at_a_time),
            sleep=_not_really_sleep,
        )
        try:
            said = simulated.answer(acquirer, json.loads(body))
        except _SilentError:
            return None
        except Exception as error:  # noqa: BLE001 - what Lambda does with it
            failed = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
            return 200, {"X-Amz-Function-Error": "Unhandled"}, failed.encode()
        return 200, {}, json.dumps(said).encode()

    def _moto(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        import requests  # noqa: PLC0415 - in the serving process only; moto answers it

        host = f"https://{_HOSTS[target.partition('_')[0]]}.{REGION}.amazonaws.com/"
        passed = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        with self.one_at_a_time:
            answer = requests.post(host, body, headers=passed, timeout=10)
        return answer.status_code, dict(answer.headers), answer.content

    def _refuse(self, status: int, code: str) -> None:
        self._reply(status, {}, json.dumps({"__type": f"com.amazonaws#{code}"}).encode())

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower().startswith("x-amz"):
                self.send_header(name, value)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _SilentError(Exception):
    """The function sleeps for longer than its caller listens."""


def _not_really_sleep(seconds: float) -> None:
    from ivy import aws  # noqa: PLC0415 - in the serving process only

    if seconds > aws.READ_SECONDS_OF["lambda"]:
        raise _SilentError


@cache
def _dynamodb() -> Any:
    """Return a client that moto answers in this process, past every fault."""
    import boto3  # noqa: PLC0415 - in the serving process only

    host = f"https://{_HOSTS['DynamoDB']}.{REGION}.amazonaws.com"
    key = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    make: Any = boto3.client
    return make("dynamodb", region_name=REGION, endpoint_url=host, **key)


class _OneAtATime:
    """A client whose calls wait for each other, because moto's tables are not locked."""

    def __init__(self, client: Any, lock: threading.Lock) -> None:
        self.exceptions = client.exceptions
        self._client = client
        self._lock = lock

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self._client, operation)

        def alone(**arguments: Any) -> Any:
            with self._lock:
                return call(**arguments)

        return alone


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    from moto import mock_aws  # noqa: PLC0415 - in the serving process only

    with mock_aws():
        server = _Server(("127.0.0.1", 0), _Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)  # noqa: T201 - how the parent learns the port
        with Path(os.devnull).open("w") as nowhere:
            sys.stdout = nowhere  # the parent reads no more, and what functions log would fill it
            sys.stdin.read()


if __name__ == "__main__":
    main()
