"""Templates as data: resources, functions and their roles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Resource:
    """One resource of a template."""

    stack: str
    logical_id: str
    type: str
    properties: dict[str, Any]

    @property
    def where(self) -> str:
        return f"{self.stack}/{self.logical_id}"


@dataclass(frozen=True)
class Assembly:
    """What one synthesis wrote."""

    folder: Path
    templates: dict[str, dict[str, Any]]

    def resources(self, *types: str) -> list[Resource]:
        return [
            Resource(stack, logical_id, found["Type"], found.get("Properties", {}))
            for stack, template in self.templates.items()
            for logical_id, found in template["Resources"].items()
            if not types or found["Type"] in types
        ]

    def one(self, kind: str) -> Resource:
        (found,) = self.resources(kind)
        return found

    def functions(self) -> dict[str, Resource]:
        """Lambda functions by their physical names."""
        return {r.properties["FunctionName"]: r for r in self.resources("AWS::Lambda::Function")}

    def role_of(self, function: Resource) -> Resource:
        logical_id = function.properties["Role"]["Fn::GetAtt"][0]
        (role,) = (
            r
            for r in self.resources("AWS::IAM::Role")
            if (r.stack, r.logical_id) == (function.stack, logical_id)
        )
        return role


def statements(role: Resource) -> list[dict[str, Any]]:
    return [
        statement
        for policy in role.properties.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
