"""What stands in examples/ works as it stands there."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aws_cdk import App
from aws_cdk.assertions import Match, Template
from tests.support.cloud import Cloud

from engine.schemas.request import EmailRequest
from engine.schemas.status import EmailStatusChanged, Reason
from examples import publish
from examples.another_stack import ShopStack
from examples.status_consumer.handler import handler

ROOT = Path(__file__).parents[2]


def checked(detail: str) -> EmailRequest:
    """The request, with all that its template needs."""
    request = msgspec.json.decode(detail, type=EmailRequest)
    metadata = json.loads((ROOT / "starter_templates" / request.template_name / "metadata.json").read_text())
    assert set(metadata["requiredVariables"]) <= request.template_data.keys()
    return request


async def test_python_asks_for_one_email_and_for_many(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    cloud.route_requests()

    await publish.main(cloud.bus)

    assert "newsletter: 2 accepted, complete: True" in capsys.readouterr().out
    events = [json.loads(body) for body in cloud.messages(cloud.bulk_queue)]
    requests = [checked(json.dumps(event["detail"])) for event in events]
    assert sorted(request.template_name for request in requests) == ["newsletter", "newsletter", "welcome"]


def test_the_shell_script_asks_for_an_email_and_sees_when_it_is_not_taken(tmp_path: Path) -> None:
    fake = tmp_path / "aws"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$ASKED"\necho "$FAILED"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "ASKED": str(tmp_path / "asked"),
        "FAILED": "0",
    }

    def run(**more: str) -> int:
        command = ("bash", str(ROOT / "examples" / "publish.sh"), "mail-EmailBus", "ada@example.com")
        return subprocess.run(command, env=environment | more, check=False, capture_output=True).returncode  # noqa: S603 -- our own script

    assert run() == 0
    asked = (tmp_path / "asked").read_text().splitlines()
    (entry,) = json.loads(asked[asked.index("--entries") + 1])
    assert (entry["EventBusName"], entry["DetailType"]) == ("mail-EmailBus", "Email Request")
    assert checked(entry["Detail"]).to == "ada@example.com"
    assert run(FAILED="1") == 1


def test_another_stack_may_publish_and_hears_of_its_own_emails() -> None:
    app = App(analytics_reporting=False)
    template = Template.from_stack(ShopStack(app, "Shop", engine="mail"))
    template.has_resource_properties(
        "AWS::Events::Rule",
        {
            "EventBusName": "mail-EmailBus",
            "EventPattern": {
                "source": ["sesmailengine"],
                "detail-type": ["Email Status Changed"],
                "detail": {"originalSource": ["shop"]},
            },
        },
    )
    allow = Match.object_like({"Action": "events:PutEvents", "Effect": "Allow"})
    template.has_resource_properties(
        "AWS::IAM::Policy", {"PolicyDocument": {"Statement": Match.array_with([allow])}}
    )


def status_event(status: str, previous: str | None, code: str | None = None) -> dict[str, Any]:
    told = EmailStatusChanged(
        email_id="e1",
        original_email_id="e1",
        to="ada@example.com",
        template_name="welcome",
        status=status,  # type: ignore[arg-type]  # the tests below name statuses
        previous_status=previous,
        reason=Reason(code=code, message="why") if code else None,
        ses_message_id=None,
        original_source="shop",
        retry_attempt=0,
        timestamp="2026-11-24T08:15:30.250Z",
        metadata={"order": "7"},
        tags={},
    )
    return {
        "source": "sesmailengine",
        "detail-type": "Email Status Changed",
        "detail": msgspec.to_builtins(told),
    }


def test_a_consumer_acts_on_what_it_hears_and_on_a_repetition_not_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert handler(status_event("sent", "sending"), None) is None
    assert handler(status_event("delivered", "sent"), None) == "note that it arrived"
    assert handler(status_event("delivered", "delivered"), None) is None
    assert "never sent" in str(handler(status_event("failed", None, "suppressed"), None))
    assert "email e1 of order 7 (suppressed)" in capsys.readouterr().out
