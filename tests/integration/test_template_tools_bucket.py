"""Templates go to the bucket, come from it, and go back to what they were, by the command itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from tests.support.cloud import Cloud
from typer.testing import CliRunner

from engine.authoring.scaffold import create
from engine.cli import app

Run = Callable[..., str]


@pytest.fixture
def s3(aws_endpoint: str) -> Any:
    return boto3.client("s3", endpoint_url=aws_endpoint)


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"templates-{uuid4().hex}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def run(bucket: str, aws_endpoint: str, tmp_path: Path) -> Run:
    """The command with this bucket and this directory; what it says, once it has ended as expected."""

    def run(*arguments: str, code: int = 0, answer: str = "") -> str:
        environment = {
            "TEMPLATE_BUCKET": bucket,
            "TEMPLATES_DIR": str(tmp_path),
            "AWS_ENDPOINT_URL": aws_endpoint,
            "AWS_REGION": "eu-west-1",
            "COLUMNS": "200",
        }
        result = CliRunner(env=environment).invoke(app, ["templates", *arguments], input=answer)
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return create(tmp_path, "mine")


def subject(folder: Path, text: str) -> None:
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps(metadata | {"subject": text}, indent=2) + "\n")


def remote_subject(s3: Any, bucket: str) -> str:
    body = s3.get_object(Bucket=bucket, Key="templates/mine/metadata.json")["Body"].read()
    return str(json.loads(body)["subject"])


def test_a_push_shows_what_will_change_and_asks(run: Run, mine: Path, s3: Any, bucket: str) -> None:
    asked = run("push", "mine", answer="n\n")
    assert "template.html: new" in asked
    assert "Push mine?" in asked
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "pushed 7 files" in run("push", "mine", answer="y\n")
    stored = s3.get_object(Bucket=bucket, Key="templates/mine/template.html")
    assert stored["ContentType"] == "text/html; charset=utf-8"
    assert stored["Body"].read().decode() == (mine / "template.html").read_text()


def test_a_push_writes_only_what_differs(run: Run, mine: Path) -> None:
    run("push", "mine", "--yes")
    assert "nothing to push" in run("push", "mine")
    subject(mine, "Another")
    said = run("push", "--yes")
    assert '-  "subject": "Mine",' in said
    assert '+  "subject": "Another",' in said
    assert "pushed 1 file;" in said


def test_a_push_builds_first(run: Run, mine: Path, s3: Any, bucket: str) -> None:
    source = mine / "source.html"
    source.write_text(source.read_text().replace("say here", "This is"))
    run("push", "mine", "--yes")
    body = s3.get_object(Bucket=bucket, Key="templates/mine/template.html")["Body"].read()
    assert b"This is what it is about." in body


def test_a_push_of_a_template_with_errors_says_them_and_pushes_nothing(
    run: Run, mine: Path, s3: Any, bucket: str
) -> None:
    source = mine / "source.txt"
    source.write_text(source.read_text().replace("{{ userName }}", "{{ nobody }}"))
    said = run("push", "mine", "--yes", code=1)
    assert f"{mine / 'template.txt'}:7: error variable-undeclared: nobody is used" in said
    assert "Nothing is pushed while there are errors" in said
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_what_is_only_in_the_bucket_stays_there_and_is_told(run: Run, mine: Path) -> None:
    run("push", "mine", "--yes")
    (mine / "schema.json").unlink()
    assert "schema.json is not here; it stays in the bucket" in run("push", "mine", "--yes")


def test_a_diff_tells_by_its_exit_code_whether_there_is_one(run: Run, mine: Path) -> None:
    assert "template.html: new" in run("diff", code=1)
    run("push", "--yes")
    assert run("diff", "mine") == "The bucket has what is here.\n"
    subject(mine, "Another")
    assert "metadata.json: changed" in run("diff", "mine", code=1)


def test_a_list_names_the_templates(run: Run, mine: Path, tmp_path: Path, s3: Any, bucket: str) -> None:
    create(tmp_path, "other")
    run("push", "--yes")
    s3.put_object(Bucket=bucket, Key="templates/loose.txt", Body=b"no template")
    s3.put_object(Bucket=bucket, Key="attachments/terms.pdf", Body=b"no template either")
    said = run("list")
    assert mine.name in said
    assert "other" in said
    assert "loose" not in said
    assert "terms" not in said


def test_a_pull_brings_what_is_not_here_and_asks_before_writing_over(run: Run, mine: Path) -> None:
    run("push", "--yes")
    subject(mine, "Mine alone")
    (mine / "template.txt").unlink()
    assert "Overwrite 1 file of mine?" in run("pull", answer="n\n")
    assert not (mine / "template.txt").exists()
    assert "wrote 2 files" in run("pull", "mine", answer="y\n")
    assert (mine / "template.txt").exists()
    assert "Mine alone" not in (mine / "metadata.json").read_text()
    assert "the same already" in run("pull", "mine")
    assert "has no template nothing" in run("pull", "nothing", code=1)


def test_a_rollback_takes_back_the_newest_push_whole_and_a_second_brings_it_again(
    run: Run, mine: Path, s3: Any, bucket: str
) -> None:
    run("push", "--yes")
    subject(mine, "Better")
    source = mine / "source.txt"
    source.write_text(source.read_text().replace("say here", "Read here"))
    run("push", "--yes")
    said = run("rollback", "mine")
    assert said.count("is as of") == 3, "metadata.json, source.txt and template.txt were pushed together"
    assert remote_subject(s3, bucket) == "Mine"
    run("rollback", "mine")
    assert remote_subject(s3, bucket) == "Better"


def test_a_rollback_removes_what_the_push_had_added(run: Run, mine: Path, s3: Any, bucket: str) -> None:
    sample = (mine / "sample.json").read_text()
    (mine / "sample.json").unlink()
    run("push", "--yes")
    (mine / "sample.json").write_text(sample)
    subject(mine, "With a sample")
    run("push", "--yes")
    assert "sample.json is gone, as before" in run("rollback", "mine")
    assert remote_subject(s3, bucket) == "Mine"


def test_a_first_push_cannot_be_taken_back(run: Run, mine: Path) -> None:
    run("push", "--yes")
    assert f"has no earlier {mine.name}" in run("rollback", "mine", code=1)
    assert "has no template nothing" in run("rollback", "nothing", code=1)


def test_what_a_deployment_seeded_comes_back_too(run: Run, s3: Any, bucket: str, mine: Path) -> None:
    for text in ("Seeded first", "Seeded again"):
        subject(mine, text)
        for file in ("template.html", "template.txt", "metadata.json"):
            s3.put_object(Bucket=bucket, Key=f"templates/mine/{file}", Body=(mine / file).read_bytes())
    run("rollback", "mine")
    assert remote_subject(s3, bucket) == "Seeded first"


def test_a_bucket_that_is_not_there_is_named(run: Run, mine: Path) -> None:
    said = run("diff", mine.name, "--bucket", "nobodys-bucket", code=1)
    assert "s3://nobodys-bucket" in said
    assert "NoSuchBucket" in said


def test_the_stack_names_the_bucket_and_the_bus(
    run: Run, cloud: Cloud, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = cloud.s3
    name = f"{cloud.stack}-templates-123456789012"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    stack = ("--stack", cloud.stack, "--bucket", "")
    assert "pushed 7 files" in run("push", mine.name, "--yes", *stack)
    listed = json.loads(run("list", "--json", *stack))
    assert [(each["name"], len(each["files"])) for each in listed["templates"]] == [("mine", 7)]
    monkeypatch.delenv("EVENT_BUS_NAME")
    said = run("test-send", "mine", "--to", "ada@example.com", "--stack", cloud.stack)
    assert f"status events on {cloud.bus}" in said


@pytest.mark.parametrize("words", ["list", "diff", "push --yes", "pull", "rollback mine", "test-send mine"])
def test_every_command_that_asks_aws_takes_a_profile(run: Run, mine: Path, words: str) -> None:
    assert mine.is_dir()
    to = ("--to", "ada@example.com") if "test-send" in words else ()
    said = run(*words.split(), *to, "--profile", "nobodys", code=1)
    assert "The config profile (nobodys) could not be found" in said


def test_differences_are_told_for_programs_too(run: Run, mine: Path) -> None:
    run("push", mine.name, "--yes")
    subject(mine, "Another")
    found = json.loads(run("diff", "--json", code=1))
    assert found["differences"] == [{"template": "mine", "file": "metadata.json", "kind": "changed"}]


def test_a_test_email_is_asked_for_as_an_application_would(run: Run, cloud: Cloud, mine: Path) -> None:
    said = run("test-send", "mine", "--to", "ada@example.com", "--bus", cloud.bus)
    assert f"Requested {mine.name} to ada@example.com: email " in said


def test_a_test_email_needs_data_and_a_bus(run: Run, tmp_path: Path, mine: Path) -> None:
    assert mine.is_dir()
    (tmp_path / "bad.json").write_text("{")
    arguments = ("test-send", "mine", "--to", "ada@example.com", "--bus", "no-bus-of-ours")
    assert "bad.json is not JSON" in run(*arguments, "--data", str(tmp_path / "bad.json"), code=1)
    assert "none.json is missing" in run(*arguments, "--data", str(tmp_path / "none.json"), code=1)
