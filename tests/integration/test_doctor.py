"""`sesmailengine doctor` over AWS's own APIs: moto, and the SES simulator."""

import asyncio
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from tests.support.cloud import Cloud
from tests.support.dns import Zone
from tests.support.operators import Operator

from engine.local.ses.threaded import ThreadedSimulator
from engine.operations.doctor.dns_lookup import DnsLookup
from engine.operations.doctor.examine import Examination, examine, verdict
from engine.operations.queues import DEAD_LETTER_QUEUES
from engine.operations.stack import StackAddress, connect

FEEDBACK = "arn:aws:sns:eu-west-1:123456789012:mail-SESFeedback"
SENDER = "no-reply@shop.example"


@dataclass
class Stack:
    """What the doctor looks at of a stack, as CloudFormation would have made it."""

    cloud: Cloud

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.cloud.endpoint)

    def make(self) -> None:
        dead = DEAD_LETTER_QUEUES
        topic = {"TopicName": self.cloud.name("Alarms")}
        template = {
            "Resources": {
                "Alarms": {"Type": "AWS::SNS::Topic", "Properties": topic},
                **{
                    name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": self.cloud.name(name)}}
                    for name in dead
                },
            },
            "Outputs": {
                "AlarmTopicArn": {"Value": {"Ref": "Alarms"}},
                "FeedbackTopicArn": {"Value": FEEDBACK},
                "TemplateBucket": {"Value": self.cloud.bucket},
            },
        }
        self.client("cloudformation").create_stack(
            StackName=self.cloud.stack, TemplateBody=json.dumps(template)
        )
        for function in ("EmailSender", "FeedbackProcessor"):
            self._make_function(function)

    def _make_function(self, name: str) -> None:
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("handler.py", "")
        role = {"RoleName": self.cloud.name(name), "AssumeRolePolicyDocument": "{}"}
        self.client("lambda").create_function(
            FunctionName=self.cloud.name(name),
            Runtime="python3.13",
            Role=self.client("iam").create_role(**role)["Role"]["Arn"],
            Handler="handler.handler",
            Code={"ZipFile": code.getvalue()},
            Environment={
                "Variables": {
                    "DEFAULT_SENDER_EMAIL": SENDER,
                    "SES_CONFIGURATION_SET": self.cloud.name("ConfigSet"),
                }
            },
        )


@pytest.fixture
def stack(cloud: Cloud, ses: ThreadedSimulator) -> Stack:
    ses.configure(feedback_topic=FEEDBACK)
    stack = Stack(cloud)
    stack.make()
    return stack


def doctor(cloud: Cloud, *options: str) -> tuple[int, str]:
    result = Operator(cloud).run("doctor", *options)
    return result.exit_code, result.output


def said(cloud: Cloud, *options: str) -> dict[str, list[dict[str, str]]]:
    """Findings by topic."""
    _, output = doctor(cloud, "--json", *options)
    return {topic["name"]: topic["findings"] for topic in json.loads(output)["topics"]}


def levels(findings: list[dict[str, str]]) -> list[str]:
    return [finding["level"] for finding in findings]


def test_a_healthy_stack_ends_well_and_what_this_aws_can_not_tell_is_skipped(stack: Stack) -> None:
    code, output = doctor(stack.cloud)
    assert code == 0, output
    assert "Nothing was found that stops or harms mail." in output
    assert "could not be looked at" in output
    assert "SES may send from no-reply@shop.example: no-reply@shop.example is verified" in output
    assert "DNS was not asked" in output


def test_the_sender_of_the_stack_is_examined_unless_a_domain_is_named(stack: Stack) -> None:
    assert "shop.example" in said(stack.cloud)
    assert "other.example" in said(stack.cloud, "--domain", "Other.Example")


def test_what_is_no_domain_is_a_wrong_option(stack: Stack) -> None:
    code, output = doctor(stack.cloud, "--domain", "no domain")
    assert code == 2
    assert "is no domain" in output


def test_a_dead_letter_is_a_problem(stack: Stack) -> None:
    url = stack.cloud.sqs.get_queue_url(QueueName=stack.cloud.name("BulkEmailDLQ"))["QueueUrl"]
    stack.cloud.sqs.send_message(QueueUrl=url, MessageBody="{}")
    code, output = doctor(stack.cloud)
    assert code == 1
    assert "BulkEmailDLQ holds 1." in output
    assert "1 problem stops or harms mail." in output
    assert f"Next: sesmailengine dlq --stack {stack.cloud.stack}" in output


def test_a_paused_account_is_a_problem(stack: Stack, ses: ThreadedSimulator) -> None:
    ses.faults.set(sending_paused=True)
    assert levels(said(stack.cloud)["account"]) == ["problem", "ok"]


def test_an_identity_that_ses_does_not_know_is_a_problem(stack: Stack, ses: ThreadedSimulator) -> None:
    ses.configure(identities=frozenset({"other.example"}))
    (finding,) = said(stack.cloud)["shop.example"]
    assert "neither the address nor shop.example is verified in eu-west-1" in finding["what"]


def test_reports_that_go_elsewhere_are_a_problem(stack: Stack, ses: ThreadedSimulator) -> None:
    ses.configure(feedback_topic=f"{FEEDBACK}-of-another")
    assert levels(said(stack.cloud)["SES's reports"]) == ["problem"]


def test_security_mail_is_found_among_the_templates(stack: Stack) -> None:
    stack.cloud.put_template("password-reset", {"template.html": '<a href="{{ url }}">Reset</a>'})
    (finding,) = said(stack.cloud)["tracking"]
    assert finding["what"] == "SES puts an invisible picture into password-reset."


def test_a_function_that_is_gone_is_a_problem(stack: Stack) -> None:
    stack.client("lambda").delete_function(FunctionName=stack.cloud.name("EmailSender"))
    found = said(stack.cloud)
    assert levels(found["EmailSender"]) == levels(found["concurrency"]) == ["problem"]


def test_a_stack_that_is_not_there_is_said_with_what_to_check(cloud: Cloud) -> None:
    code, output = doctor(cloud)
    assert code == 1
    assert f"There is no stack '{cloud.stack}' in eu-west-1: check --stack" in output


def test_dns_is_asked_about_the_senders_domain_and_the_records_are_listed(stack: Stack) -> None:
    zone = Zone({("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=reject"]})

    async def work() -> Examination:
        address = StackAddress(stack=stack.cloud.stack, endpoint_url=stack.cloud.endpoint, region="eu-west-1")
        async with connect(address) as deployed:
            return await examine(deployed, DnsLookup(zone))

    found = asyncio.run(work())
    assert verdict(found).good
    assert "DMARC of shop.example (p=reject) passes by DKIM" in {each.what for each in found.findings}
    assert [(record.name, record.published) for record in found.records] == [("_dmarc.shop.example", True)]
