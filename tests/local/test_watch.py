from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from infra import layers
from local import watch
from local.errors import LocalError
from local.home import Home
from local.stack import invoke
from local.watch import Updater, Watcher, declaration, function_name

if TYPE_CHECKING:
    from local.aws import Aws

ROLE = "arn:aws:iam::000000000000:role/probe"
HANDLER = '''
from shared import ANSWER


@endpoint("GET /v1/probe", uses=(Need.DATABASE,))
def handler(event, context):
    """Answer."""
    return {"said": "%s", "answer": ANSWER}
'''


def test_a_new_body_is_not_a_new_declaration() -> None:
    assert declaration(HANDLER % "one") == declaration(HANDLER % "two")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("GET /v1/probe", "GET /v1/other"),
        ("Need.DATABASE,", "Need.DATABASE, Need.ACCESS_SECRET"),
        ("def handler", "def other"),
        ("def handler(", "def handler((("),
    ],
)
def test_what_the_templates_depend_on_is_part_of_it(before: str, after: str) -> None:
    assert declaration(HANDLER) != declaration(HANDLER.replace(before, after))


def test_a_handler_that_is_assigned_counts_too() -> None:
    assert declaration("handler = Job(schedule='rate(1 minute)')") != declaration(
        "handler = Job(schedule='rate(2 minutes)')"
    )


def test_names_follow_the_files() -> None:
    assert function_name("functions/api_keys/create.py") == "ivy-api-keys-create"


def packed(name: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


@pytest.fixture
def project(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one function deployed from it, and one layer."""
    monkeypatch.setattr(watch, "PROJECT", tmp_path)
    client = aws.client("lambda")
    layer = client.publish_layer_version(
        LayerName="ivy", Content={"ZipFile": packed("python/shared.py", "ANSWER = 1")}
    )["LayerVersionArn"]
    client.create_function(
        FunctionName="ivy-probe-say",
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="functions.probe.say.handler",
        Role=ROLE,
        Layers=[layer],
        Code={"ZipFile": packed("functions/probe/say.py", plain("first"))},
    )
    (tmp_path / "functions" / "probe").mkdir(parents=True)
    yield tmp_path
    client.delete_function(FunctionName="ivy-probe-say")


def plain(word: str) -> str:
    return "\n".join(line for line in (HANDLER % word).splitlines() if not line.startswith("@"))


def edit(project: Path, word: str) -> Path:
    path = project / "functions" / "probe" / "say.py"
    path.write_text(plain(word))
    return path


def said(aws: Aws) -> dict[str, Any]:
    found: dict[str, Any] = invoke(aws, "ivy-probe-say", {})
    return found


def use_layer(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: int) -> None:
    archive = folder / "layer.zip"
    archive.write_bytes(packed("python/shared.py", f"ANSWER = {answer}"))
    built = {"ivy": SimpleNamespace(archive=archive)}
    monkeypatch.setattr(layers, "build", lambda _target: built)


def test_an_edited_file_is_what_runs_next(aws: Aws, project: Path) -> None:
    assert said(aws)["said"] == "first"
    Updater(aws, Home(project)).function(edit(project, "second"))
    assert said(aws)["said"] == "second"


def test_an_edited_package_reaches_the_functions(
    aws: Aws, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(aws)["answer"] == 1
    use_layer(monkeypatch, project, 2)
    Updater(aws, Home(project)).package()
    assert said(aws)["answer"] == 2


def test_the_next_start_takes_the_files_as_they_are_then(
    aws: Aws, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CloudFormation does not know of the update, so it would not take it back either."""
    use_layer(monkeypatch, project, 2)
    updater = Updater(aws, Home(project))
    updater.function(edit(project, "second"))
    updater.package()
    edit(project, "first")
    use_layer(monkeypatch, project, 1)

    assert Updater(aws, Home(project)).repeat() == 2

    assert said(aws) == {"said": "first", "answer": 1}


def test_unchanged_code_is_left_alone(
    aws: Aws, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_layer(monkeypatch, project, 2)
    updater = Updater(aws, Home(project))
    updater.function(edit(project, "second"))
    updater.package()
    client = aws.client("lambda")
    before = client.get_function_configuration(FunctionName="ivy-probe-say")["RevisionId"]
    updater.repeat()
    after = client.get_function_configuration(FunctionName="ivy-probe-say")["RevisionId"]
    assert before == after


class Told:
    """Stands for the stack and the progress: notes what the watcher asks of them."""

    def __init__(self, aws: Aws, home: Home) -> None:
        self.aws = aws
        self.home = home
        self.layers = None
        self.asked: list[str] = []

    def redeploy(self) -> None:
        self.asked.append("redeploy")

    def migrate(self) -> None:
        self.asked.append("migrate")

    def say(self, text: str = "", *, style: str | None = None) -> None:
        self.asked.append(text[0] + (style or ""))


def watched(aws: Aws, project: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Watcher, Told]:
    monkeypatch.setattr(watch, "FUNCTIONS", project / "functions")
    monkeypatch.setattr(watch, "PACKAGE", project / "package")
    monkeypatch.setattr(watch, "INFRA", project / "infra")
    told = Told(aws, Home(project))
    edit(project, "first")
    return Watcher(told, told), told  # type: ignore[arg-type] # only what is used


def test_a_body_is_swapped_and_a_declaration_deployed(
    aws: Aws, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, told = watched(aws, project, monkeypatch)
    watcher._apply({edit(project, "second")})
    assert told.asked == ["✓"]
    assert said(aws)["said"] == "second"

    new = project / "functions" / "probe" / "new.py"
    new.write_text(HANDLER % "new")
    watcher._apply({new})
    assert told.asked == ["✓", "…", "redeploy", "✓"]


def test_a_file_that_does_not_parse_waits_with_what_was_saved_beside_it(
    aws: Aws, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, told = watched(aws, project, monkeypatch)
    broken = project / "package" / "money.py"
    broken.parent.mkdir()
    broken.write_text("ONE = 1\ndef two(:\n")
    with pytest.raises(LocalError, match=r"^package/money\.py:2: invalid syntax$"):
        watcher._apply({edit(project, "second"), broken})
    assert told.asked == []
    assert said(aws)["said"] == "first"

    use_layer(monkeypatch, project, 2)
    broken.write_text("ONE = 1\n")
    watcher._apply({broken})
    assert told.asked == ["✓"]
    assert said(aws) == {"said": "second", "answer": 2}


def test_schema_and_templates_do_what_they_need(
    aws: Aws, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, told = watched(aws, project, monkeypatch)
    use_layer(monkeypatch, project, 2)
    watcher._apply({project / "package" / "schema" / "0007_more.sql"})
    watcher._apply({project / "infra" / "api.py"})
    assert told.asked == ["migrate", "✓", "…", "redeploy", "✓"]
    assert json.loads((project / "swapped.json").read_text())["paths"] == ["ivy"]
