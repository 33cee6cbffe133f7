"""Commands: what operators do by hand, each a function that only AWS credentials can invoke."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ivy import observe, outbox
from ivy.database import Transaction, database
from ivy.errors import Problem
from ivy.serve import problems
from ivy.serve.declaration import Command
from ivy.serve.injection import parameters, wake_publisher


class CommandError(RuntimeError):
    """A command failed on our side; its log says why."""


@dataclass(frozen=True, kw_only=True)
class OperatorCommand(Command):
    """A command that is its own Lambda handler."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Carry the command out and answer with its result, or with the problem it ran into."""
        observe.correlate(str(getattr(context, "aws_request_id", "")))
        try:
            answer = self._run(event)
        except Problem as problem:
            observe.line("command.refused", command=self.name, code=problem.code)
            return _refusal(problem)
        except ValidationError as error:
            located = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
            return _refusal(problems.from_validation(located))
        except Exception:  # noqa: BLE001 - logged; its text must not leave
            observe.failure("command.failed", command=self.name)
            raise CommandError(f"{self.name} failed; see its log.") from None
        observe.line("command.done", command=self.name)
        return answer

    def _run(self, event: dict[str, Any]) -> dict[str, Any]:
        wanted = parameters(self.function)
        values = {each.name: each.annotation.model_validate(event) for each in wanted.request}
        if Transaction not in wanted.injected:
            answer = self.function(**wanted.fill(database=database()), **values)
        else:
            with database().transaction() as tx:
                answer = self.function(**wanted.fill(transaction=tx), **values)
            outbox.send(tx.after_commit)
        wake_publisher(self.function)
        result: dict[str, Any] = answer.model_dump(mode="json")
        return result


def _refusal(problem: Problem) -> dict[str, Any]:
    """Return a problem document, without the address of a request that nobody made."""
    document = problems.body(problem, base_url="", instance="", request_id="")
    refusal: dict[str, Any] = json.loads(document)
    return {name: value for name, value in refusal.items() if value}
