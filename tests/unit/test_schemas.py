"""The JSON Schemas in docs/schemas: current, complete, and in agreement with what the engine decodes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.status import EmailStatusChanged
from engine.tracking.lifecycle import Status
from infra.export_schemas import SHAPES, as_text, main, schemas

COMMITTED = Path(__file__).parents[2] / "docs" / "schemas"

REQUEST: dict[str, Any] = {
    "to": "ada@example.com",
    "templateName": "order-confirmation",
    "templateData": {"name": "Ada", "items": [{"sku": "A-1", "price": 9.5}]},
    "senderOverride": {"email": "orders@shop.example", "name": "Orders"},
    "idempotencyKey": "order-1042",
    "priority": "transactional",
    "cc": ["bob@example.com"],
    "bcc": [],
    "replyTo": ["help@shop.example"],
    "headers": {"X-Campaign": "spring"},
    "attachments": [
        {"fileName": "a.pdf", "contentType": "application/pdf", "content": "JVBERg=="},
        {"fileName": "l.png", "contentType": "image/png", "s3Key": "attachments/l.png", "contentId": "logo"},
    ],
    "unsubscribe": {"url": "https://shop.example/u/1", "mailto": "stop@shop.example"},
    "campaign": "spring",
    "topic": "spring-offers",
    "expiresAt": "2026-11-25T12:00:00+01:00",
    "tags": {"kind": "news"},
    "metadata": {"orderId": "1042"},
    "dryRun": False,
}
MINIMAL: dict[str, Any] = {"to": "ada@example.com", "templateName": "welcome"}
RETRY: dict[str, Any] = {
    "originalEmailData": REQUEST | {"originalEmailId": "e1", "originalSource": "shop", "added": "later"},
    "retryAttempt": 1,
    "bounceHistory": [{"timestamp": "2026-11-24T08:15:30.250Z", "reason": "MailboxFull"}],
}
STATUS: dict[str, Any] = {
    "emailId": "e1",
    "originalEmailId": "e1",
    "to": "ada@example.com",
    "templateName": "welcome",
    "campaign": None,
    "status": "failed",
    "previousStatus": "sending",
    "reason": {"code": "suppressed", "message": "the recipient has been suppressed"},
    "sesMessageId": None,
    "originalSource": "shop",
    "retryAttempt": 0,
    "timestamp": "2026-11-24T08:15:30.250Z",
    "metadata": {},
    "tags": {},
}
BAD_REQUESTS = {
    "no recipient": {"templateName": "welcome"},
    "no template": {"to": "ada@example.com"},
    "an unknown field": MINIMAL | {"templateDate": {}},
    "an unknown field further in": MINIMAL | {"senderOverride": {"email": "a@b.example", "reply": "x"}},
    "a path for a template": MINIMAL | {"templateName": "../secrets"},
    "a final newline in the template's name": MINIMAL | {"templateName": "welcome\n"},
    "a template name that is too long": MINIMAL | {"templateName": "w" * 65},
    "an empty idempotency key": MINIMAL | {"idempotencyKey": ""},
    "an idempotency key that is too long": MINIMAL | {"idempotencyKey": "k" * 257},
    "another priority": MINIMAL | {"priority": "urgent"},
    "one address where a list is due": MINIMAL | {"cc": "bob@example.com"},
    "metadata that is no text": MINIMAL | {"metadata": {"order": 7}},
    "an attachment without a name": MINIMAL | {"attachments": [{"contentType": "text/plain"}]},
    "a campaign that is no name": MINIMAL | {"campaign": "spring sale"},
    "a final newline in the campaign": MINIMAL | {"campaign": "spring\n"},
    "a topic that is no name": MINIMAL | {"topic": "Offers"},
    "a dry run that is no boolean": MINIMAL | {"dryRun": "yes"},
}
BAD_RETRIES = {
    "a retry counted from 0": RETRY | {"retryAttempt": 0},
    "no original": RETRY | {"originalEmailData": REQUEST},
    "no request": {"retryAttempt": 1},
}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schemas()[name])


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for shape, definition in schema["$defs"].items():
        for name, field in definition["properties"].items():
            yield f"{shape}.{name}", field


@pytest.mark.parametrize("name", SHAPES)
def test_the_committed_schema_is_current(name: str) -> None:
    committed = (COMMITTED / f"{name}.json").read_text(encoding="utf-8")
    assert committed == as_text(schemas()[name]), "run `python -m infra.export_schemas docs/schemas`"


def test_nothing_else_lies_in_the_folder() -> None:
    assert {file.name for file in COMMITTED.iterdir()} == {f"{name}.json" for name in SHAPES}


@pytest.mark.parametrize("name", SHAPES)
def test_a_schema_is_valid_named_and_points_to_no_place(name: str) -> None:
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:sesmailengine:schema:{name}"
    assert schema["title"]
    assert schema["description"]
    addresses = re.findall(r"[a-z]+://[^\s\"]+", as_text(schema))
    assert addresses == ["https://json-schema.org/draft/2020-12/schema"]


@pytest.mark.parametrize("name", SHAPES)
def test_every_field_is_described(name: str) -> None:
    assert [path for path, field in properties(schemas()[name]) if not field.get("description")] == []


@pytest.mark.parametrize("request_", [MINIMAL, REQUEST])
def test_a_request_that_the_engine_decodes_is_valid(request_: dict[str, Any]) -> None:
    decoded = msgspec.convert(request_, EmailRequest)
    validator("email-request").validate(request_)
    validator("email-request").validate(msgspec.to_builtins(decoded))  # with every default spelled out


@pytest.mark.parametrize("request_", BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_that_the_engine_refuses_is_not(request_: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(request_, EmailRequest)
    assert not validator("email-request").is_valid(request_)


def test_a_retry_message_is_valid_even_with_a_field_of_a_later_version() -> None:
    assert msgspec.convert(RETRY, RetryMessage).retry_attempt == 1
    validator("email-retry").validate(RETRY)


@pytest.mark.parametrize("message", BAD_RETRIES.values(), ids=BAD_RETRIES)
def test_a_bad_retry_message_is_not(message: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(message, RetryMessage)
    assert not validator("email-retry").is_valid(message)


def test_a_status_event_as_the_engine_encodes_it_is_valid() -> None:
    event = msgspec.json.decode(msgspec.json.encode(msgspec.convert(STATUS, EmailStatusChanged)))
    assert event == STATUS
    validator("email-status-changed").validate(event)


@pytest.mark.parametrize("status", sorted({*Status, "dry_run"} - {Status.SENDING}))
def test_every_status_but_sending_can_be_published(status: str) -> None:
    assert validator("email-status-changed").is_valid(STATUS | {"status": status})
    assert not validator("email-status-changed").is_valid(STATUS | {"status": "sending"})


@pytest.mark.parametrize("field", [name for name in STATUS if name not in {"campaign", "metadata", "tags"}])
def test_a_status_event_must_have_its_fields(field: str) -> None:
    event = {name: value for name, value in STATUS.items() if name != field}
    assert not validator("email-status-changed").is_valid(event)


def test_the_command_writes_what_is_committed(tmp_path: Path) -> None:
    assert main([str(tmp_path / "new")]) == 0
    for name in SHAPES:
        file = f"{name}.json"
        assert (tmp_path / "new" / file).read_bytes() == (COMMITTED / file).read_bytes()


def test_the_command_without_a_folder_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "infra.export_schemas FOLDER" in capsys.readouterr().err
