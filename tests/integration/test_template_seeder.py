"""Starter templates: copied once, renewed while they are ours, never over the customer's own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session
from moto import mock_aws

from engine.handlers import template_seeder

BUCKET = "sesmailengine-templates-000000000000"
CONTEXT = SimpleNamespace(log_stream_name="stream-1")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("TEMPLATE_BUCKET", BUCKET)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client: Any = get_session().create_client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("welcome", "password-reset"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "template.html").write_text(f"<p>{name}</p>")
        (folder / "template.txt").write_text(name)
    (tmp_path / "README.md").write_text("not a template")
    monkeypatch.setattr(template_seeder, "_SOURCE", tmp_path)
    return tmp_path


def content(store: Any, key: str) -> str:
    body: bytes = store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return body.decode()


def test_an_empty_bucket_gets_every_template(store: Any, source: Path) -> None:
    assert template_seeder.handler({}, CONTEXT) == {
        "created": ["password-reset", "welcome"],
        "updated": [],
        "unchanged": [],
        "kept": [],
    }
    keys = {found["Key"] for found in store.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert keys == {
        "templates/password-reset/template.html",
        "templates/password-reset/template.txt",
        "templates/welcome/template.html",
        "templates/welcome/template.txt",
    }
    assert content(store, "templates/welcome/template.html") == (source / "welcome/template.html").read_text()
    head = store.head_object(Bucket=BUCKET, Key="templates/welcome/template.html")
    assert head["ContentType"] == "text/html"


def test_a_second_run_changes_nothing(store: Any, source: Path) -> None:
    template_seeder.seed(store, BUCKET, source)
    report = template_seeder.seed(store, BUCKET, source)
    assert report["unchanged"] == ["password-reset", "welcome"]


def test_a_template_that_is_still_ours_is_renewed(store: Any, source: Path) -> None:
    template_seeder.seed(store, BUCKET, source)
    (source / "welcome/template.txt").write_text("a better welcome")
    (source / "welcome/metadata.json").write_text("{}")
    report = template_seeder.seed(store, BUCKET, source)
    assert (report["updated"], report["unchanged"]) == (["welcome"], ["password-reset"])
    assert content(store, "templates/welcome/template.txt") == "a better welcome"
    assert content(store, "templates/welcome/metadata.json") == "{}"


def test_a_template_with_one_file_changed_by_the_customer_is_left_alone_as_a_whole(
    store: Any, source: Path
) -> None:
    template_seeder.seed(store, BUCKET, source)
    store.put_object(Bucket=BUCKET, Key="templates/welcome/template.html", Body=b"<p>my own</p>")
    (source / "welcome/template.txt").write_text("a better welcome")
    report = template_seeder.seed(store, BUCKET, source)
    assert (report["kept"], report["unchanged"]) == (["welcome"], ["password-reset"])
    assert content(store, "templates/welcome/template.html") == "<p>my own</p>"
    assert content(store, "templates/welcome/template.txt") == "welcome"


def test_a_changed_copy_that_still_carries_our_metadata_counts_as_the_customers(
    store: Any, source: Path
) -> None:
    template_seeder.seed(store, BUCKET, source)
    key = "templates/welcome/template.html"
    metadata = store.head_object(Bucket=BUCKET, Key=key)["Metadata"]
    store.put_object(Bucket=BUCKET, Key=key, Body=b"<p>my own</p>", Metadata=metadata)
    assert template_seeder.seed(store, BUCKET, source)["kept"] == ["welcome"]


class _Overtaken:
    """A bucket in which the customer is always a moment faster than we are."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def head_object(self, **request: Any) -> Any:
        return self._store.head_object(**request)

    def put_object(self, **request: Any) -> Any:
        self._store.put_object(Bucket=request["Bucket"], Key=request["Key"], Body=b"mine")
        return self._store.put_object(**request)


def test_a_template_that_the_customer_puts_there_meanwhile_is_not_overwritten(
    store: Any, source: Path
) -> None:
    report = template_seeder.seed(_Overtaken(store), BUCKET, source)
    assert report["kept"] == ["password-reset", "welcome"]
    assert content(store, "templates/welcome/template.html") == "mine"


def test_an_edit_that_the_customer_makes_meanwhile_is_not_overwritten(store: Any, source: Path) -> None:
    template_seeder.seed(store, BUCKET, source)
    (source / "welcome/template.html").write_text("a better welcome")
    assert template_seeder.seed(_Overtaken(store), BUCKET, source)["kept"] == ["welcome"]
    assert content(store, "templates/welcome/template.html") == "mine"


@pytest.mark.usefixtures("store", "source")
def test_a_missing_bucket_fails_a_direct_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATE_BUCKET", "another")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        template_seeder.handler({}, CONTEXT)


class _CloudFormation:
    """Waits for the answer that a custom resource must give."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.content_types: list[str | None] = []
        waiting = self

        class Receiver(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                waiting.content_types.append(self.headers["Content-Type"])
                waiting.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Receiver)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def event(self, request_type: str, **more: str) -> dict[str, Any]:
        return {
            "RequestType": request_type,
            "ResponseURL": f"http://127.0.0.1:{self._server.server_port}/answer",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "StarterTemplates",
            **more,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def cloud_formation() -> Iterator[_CloudFormation]:
    with _CloudFormation() as waiting:
        yield waiting


@pytest.mark.usefixtures("store", "source")
class TestCustomResource:
    def test_creation_is_answered_with_what_was_done(self, cloud_formation: _CloudFormation) -> None:
        template_seeder.handler(cloud_formation.event("Create"), CONTEXT)
        assert cloud_formation.answers == [
            {
                "Status": "SUCCESS",
                "PhysicalResourceId": "starter-templates",
                "StackId": "stack",
                "RequestId": "request",
                "LogicalResourceId": "StarterTemplates",
                "Data": {"created": "password-reset,welcome", "updated": "", "unchanged": "", "kept": ""},
            }
        ]
        # The pre-signed URL is signed for an empty content type.
        assert cloud_formation.content_types == [""]

    def test_deletion_leaves_the_bucket_as_it_is(self, cloud_formation: _CloudFormation, store: Any) -> None:
        template_seeder.handler({}, CONTEXT)
        template_seeder.handler(
            cloud_formation.event("Delete", PhysicalResourceId="starter-templates"), CONTEXT
        )
        assert cloud_formation.answers[0]["Status"] == "SUCCESS"
        assert len(store.list_objects_v2(Bucket=BUCKET)["Contents"]) == 4

    def test_a_failure_is_answered_too_so_that_the_stack_does_not_hang(
        self, cloud_formation: _CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEMPLATE_BUCKET", "another")
        template_seeder.handler(cloud_formation.event("Create"), CONTEXT)
        (answer,) = cloud_formation.answers
        assert answer["Status"] == "FAILED"
        assert answer["Reason"].endswith("see stream-1")


class TestFingerprint:
    """What CloudFormation can't work out itself."""

    def test_the_same_settings_have_the_same_fingerprint_and_others_another(
        self, cloud_formation: _CloudFormation
    ) -> None:
        for properties in (
            {"SenderMemory": "512", "LogLevel": "INFO"},
            {"LogLevel": "INFO", "SenderMemory": "512"},
            {"SenderMemory": "1024", "LogLevel": "INFO"},
        ):
            event: dict[str, Any] = cloud_formation.event("Update", ResourceType="Custom::Fingerprint")
            template_seeder.handler({**event, "ResourceProperties": properties}, CONTEXT)
        first, again, other = (answer["Data"]["Fingerprint"] for answer in cloud_formation.answers)
        assert first == again != other

    def test_asking_for_one_seeds_nothing(self, cloud_formation: _CloudFormation) -> None:
        event: dict[str, Any] = cloud_formation.event("Create", ResourceType="Custom::Fingerprint")
        template_seeder.handler({**event, "ResourceProperties": {}}, CONTEXT)
        (answer,) = cloud_formation.answers
        assert answer["Status"] == "SUCCESS"
        assert list(answer["Data"]) == ["Fingerprint"]
