"""Each role can do what its code calls, and nothing else.

The code goes every way it has to AWS, here moto and the SES simulator, while its calls are recorded; a look
at the source makes sure that no call is missing.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3  # type: ignore[import-untyped]  # it says nothing of types
import pytest
from aiobotocore.config import AioConfig
from botocore import xform_name
from botocore.session import get_session
from tests.support.aws_calls import Ask, Recorder
from tests.support.cloud import Cloud, queue_event, request_event, sns_event, variables
from tests.support.iam import allows, grants, serves
from tests.support.synthesized import ACCOUNT, REGION, Deployed, deployed
from tests.support.unsubscribe import ADA, FORM, LINKS, ONE_CLICK, ask, host

import engine.aws
from engine.aws.clients import CONFIG, Clients
from engine.handlers import email_sender, feedback_processor, template_seeder, unsubscribe
from engine.local.ses.threaded import ThreadedSimulator

SENDER = "engine.handlers.email_sender.handler"
PROCESSOR = "engine.handlers.feedback_processor.handler"
SEEDER = "engine.handlers.template_seeder.handler"
PAGE = "engine.handlers.unsubscribe.handler"

# What AWS does in the function's name: Lambda writes its log, takes from its queues and hands on what failed.
FOR_LAMBDA = {
    "logs:CreateLogStream": ("log-group:/aws/lambda/",),
    "logs:PutLogEvents": ("log-group:/aws/lambda/",),
    "sqs:DeleteMessage": ("mail-EmailRetryQueue", "mail-BulkEmailQueue"),
    "sqs:GetQueueAttributes": ("mail-EmailRetryQueue", "mail-BulkEmailQueue"),
    "sqs:ReceiveMessage": ("mail-EmailRetryQueue", "mail-BulkEmailQueue"),
    "sqs:SendMessage": ("mail-EventBridgeDLQ", "mail-FeedbackProcessorDLQ"),
}


# A request that does not compress into what its tracking row has left is kept by a call of its own.
TOO_LARGE_FOR_A_ROW = "".join(map(chr, range(1_000, 3_000)))


class Wiretap:
    """A recorder for each function: clients belong to the function that opens them."""

    def __init__(self, stack: str) -> None:
        self.sender, self.processor, self.seeder, self.page = (Recorder(stack) for _ in range(4))
        self.opening = self.sender

    def attach(self, client: Any) -> None:
        self.opening.listen_to(client)
        # moto has no INSERT by PartiQL; that the call was made is all that is needed here.
        client.meta.events.register("before-call.dynamodb.BatchExecuteStatement", done_but_for_the_first)

    def operations(self) -> set[str]:
        recorders = (self.sender, self.processor, self.seeder, self.page)
        return set().union(*(recorder.operations for recorder in recorders))


def done_but_for_the_first(params: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
    _, *others = json.loads(params["body"])["Statements"]
    there = {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}}
    return SimpleNamespace(status_code=200), {"Responses": [there, *({} for _ in others)]}


@pytest.fixture(scope="module")
def calls(aws_endpoint: str) -> Wiretap:
    """Of all functions, with all they do."""
    cloud = Cloud(aws_endpoint)
    wiretap = Wiretap(cloud.stack)
    open_client = Clients.open

    async def open_and_attach(self: Clients, service: str, config: AioConfig = CONFIG) -> Any:
        client = await open_client(self, service, config)
        wiretap.attach(client)
        return client

    with ThreadedSimulator() as ses, pytest.MonkeyPatch.context() as patch:
        # 0: SES is asked for the rate.
        for name, value in (variables(cloud, ses.url) | {"SES_MAX_SEND_RATE": "0"}).items():
            patch.setenv(name, value)
        host(cloud, patch)
        patch.setenv("UNSUBSCRIBE_URL", "https://page.example/")
        patch.setattr(Clients, "open", open_and_attach)
        send(cloud, ses)
        wiretap.opening = wiretap.processor
        hear(cloud, ses)
        seed(cloud, wiretap.seeder)
        wiretap.opening = wiretap.page
        visit()
        unsubscribe.environment.close()
        email_sender.environment.close()
        feedback_processor.environment.close()
    return wiretap


def send(cloud: Cloud, ses: ThreadedSimulator) -> None:
    """By every way: one email alone, a repetition, batches; with SES in a good mood and in a bad one."""
    cloud.s3.put_object(Bucket=cloud.bucket, Key="attachments/a.pdf", Body=b"PDF")
    attached = {"fileName": "a.pdf", "contentType": "application/pdf", "s3Key": "attachments/a.pdf"}
    email_sender.handler(request_event(attachments=[attached]))
    retried = {"to": "ada@example.com", "templateName": "welcome", "originalEmailId": "original-1"}
    retry = {"originalEmailData": retried, "retryAttempt": 1, "bounceHistory": []}
    email_sender.handler(queue_event(retry, queue_arn=cloud.arn("EmailRetryQueue")))
    once = request_event(event_id="once")
    email_sender.handler(once)
    email_sender.handler(once)
    for queue in ("BulkEmailQueue", "EmailRetryQueue"):
        batch = [request_event(to=f"reader{number}@example.com", priority="bulk") for number in range(3)]
        email_sender.handler(queue_event(*batch, queue_arn=cloud.arn(queue)))
        ses.faults.set(throttle_next=1)
        email_sender.handler(queue_event(request_event(), queue_arn=cloud.arn(queue)))
    ses.faults.set(throttle_next=1)
    email_sender.handler(request_event())
    ses.faults.clear()
    cloud.put("State", pk="stop#campaign#spring")
    email_sender.handler(request_event(campaign="spring"))


def hear(cloud: Cloud, ses: ThreadedSimulator) -> None:
    """Every fate of an email, and a report that only SES's own id leads to its row.

    The recipients have unsubscribed from everything, by rows of a person's hand.
    """
    for mailbox in ("success", "open", "bounce", "complaint", "mailboxfull", "ooto", "delay"):
        before = len(ses.events)
        cloud.put("Suppression", email=f"{mailbox}+x@simulator.example.com", suppressionType="unsubscribe")
        # Bounces of SES's own simulator are not counted; those of a domain that only looks like it are.
        to = f"{mailbox}+x@simulator.example.com"
        email_sender.handler(request_event(to=to, templateData={"name": "Ada", "more": TOO_LARGE_FOR_A_ROW}))
        reports = [event.body for event in ses.events[before:]]
        feedback_processor.handler(sns_event(*reports))
        untagged = json.loads(reports[-1])
        del untagged["mail"]["tags"]["emailId"]
        feedback_processor.handler(sns_event(json.dumps(untagged)))


def seed(cloud: Cloud, recorder: Recorder) -> None:
    client: Any = boto3.client("s3", endpoint_url=cloud.endpoint)
    recorder.listen_to(client)
    template_seeder.seed(client, cloud.bucket, Path(__file__).parents[2] / "starter_templates")


def visit() -> None:
    """A person who unsubscribes and comes back."""
    ask("GET", LINKS.url(ADA))
    for body in (ONE_CLICK, "topic=news&action=subscribe"):
        ask("POST", LINKS.url(ADA), body, content_type=FORM)


# -- the roles -----------------------------------------------------------------------------------------------

ROLES = {"sender": SENDER, "processor": PROCESSOR, "seeder": SEEDER, "page": PAGE}


def hosted(**given: Any) -> Deployed:
    """The stack with all its functions."""
    return deployed(HostedUnsubscribe="true", **given)


@pytest.mark.parametrize("who", ROLES)
def test_a_role_may_do_all_that_its_function_asks_for(calls: Wiretap, who: str) -> None:
    statements = hosted(DefaultSenderEmail="no-reply@shop.example").statements(ROLES[who])
    asked: set[Ask] = getattr(calls, who).asked
    assert asked
    assert [ask for ask in asked if not allows(statements, ask)] == []


@pytest.mark.parametrize("who", ROLES)
def test_a_role_may_do_nothing_that_its_function_never_asks_for(calls: Wiretap, who: str) -> None:
    statements = hosted().statements(ROLES[who])
    asked: set[Ask] = getattr(calls, who).asked
    needless = [
        grant
        for grant in grants(statements)
        if not any(serves(grant, ask) for ask in asked) and not is_for_lambda(grant)
    ]
    assert needless == []


def is_for_lambda(grant: tuple[str, str]) -> bool:
    action, resource = grant
    return any(part in resource for part in FOR_LAMBDA.get(action, ()))


def test_no_call_of_the_code_is_missing_from_the_record(calls: Wiretap) -> None:
    assert set(called_in_source()) - calls.operations() == set()


def called_in_source() -> Iterator[str]:
    """Operations whose method is called on anything in `engine.aws`, the only place that knows the SDK."""
    operations = {
        xform_name(operation): operation
        for service in ("dynamodb", "events", "s3", "sesv2", "sqs")
        for operation in get_session().get_service_model(service).operation_names
    }
    for file in Path(engine.aws.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if node.func.attr in operations and owner.rpartition(".")[2] in {
                    "client",
                    "_client",
                    "store",
                }:
                    yield operations[node.func.attr]


# -- their limits --------------------------------------------------------------------------------------------


def may(handler: str, action: str, resource: str, **context: str) -> bool:
    asked = Ask(action, resource, tuple((name.replace("_", ":"), value) for name, value in context.items()))
    return allows(deployed(DefaultSenderEmail="no-reply@shop.example").statements(handler), asked)


IDENTITY = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/shop.example"


@pytest.mark.parametrize("action", ["ses:SendEmail", "ses:SendRawEmail", "ses:SendBulkEmail"])
def test_the_sender_sends_from_allowed_senders_only(action: str) -> None:
    assert may(SENDER, action, IDENTITY, ses_FromAddress="Anybody@shop.example")
    assert not may(SENDER, action, IDENTITY, ses_FromAddress="ceo@bank.example")
    assert not may(SENDER, action, IDENTITY, ses_FromAddress="no-reply@shop.example.evil.example")


def test_an_email_names_its_sender_to_iam_and_a_bulk_call_may_not() -> None:
    assert not may(SENDER, "ses:SendEmail", IDENTITY)
    assert may(SENDER, "ses:SendBulkEmail", IDENTITY)
    assert may(SENDER, "ses:SendBulkEmail", f"arn:aws:ses:{REGION}:{ACCOUNT}:template/any")


def test_an_address_in_the_list_of_senders_is_taken_in_whatever_case_and_its_neighbours_are_not() -> None:
    statements = deployed(AllowedSenders="news@shop.example").statements(SENDER)
    for sender, allowed in (("News@shop.example", True), ("ceo@shop.example", False)):
        ask = Ask("ses:SendEmail", IDENTITY, (("ses:FromAddress", sender),))
        assert allows(statements, ask) is allowed


def test_the_sender_sends_with_this_stacks_configuration_set_only() -> None:
    sets = f"arn:aws:ses:{REGION}:{ACCOUNT}:configuration-set"
    sender = {"ses_FromAddress": "no-reply@shop.example"}
    assert may(SENDER, "ses:SendEmail", f"{sets}/mail-ConfigSet", **sender)
    assert not may(SENDER, "ses:SendEmail", f"{sets}/other-ConfigSet", **sender)


@pytest.mark.parametrize("handler", [PROCESSOR, SEEDER])
def test_nobody_but_the_sender_may_send(handler: str) -> None:
    assert not may(handler, "ses:SendEmail", IDENTITY, ses_FromAddress="no-reply@shop.example")


def test_the_sender_only_reads_suppression() -> None:
    suppression = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mail-Suppression"
    allowed = {
        action for action, resource in grants(deployed().statements(SENDER)) if resource == suppression
    }
    assert allowed == {"dynamodb:BatchGetItem"}


def test_only_asking_for_the_send_quota_is_allowed_on_every_resource() -> None:
    everywhere = [
        action
        for handler in ROLES.values()
        for action, resource in grants(hosted().statements(handler))
        if resource == "*"
    ]
    assert everywhere == ["ses:GetAccount"]


def test_no_action_is_a_pattern() -> None:
    for handler in ROLES.values():
        assert not [action for action, _ in grants(hosted().statements(handler)) if "*" in action]


def test_no_role_has_a_policy_from_elsewhere_or_another_principal_than_its_service() -> None:
    stack = deployed()
    assert stack.all("AWS::IAM::Policy") == {}
    roles = stack.all("AWS::IAM::Role").values()
    trusted = []
    for role in roles:
        assert "ManagedPolicyArns" not in role["Properties"]
        (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        trusted.append(trust["Principal"])
    services = ("events", *["lambda"] * 3, "scheduler")
    assert sorted(trusted, key=str) == [{"Service": f"{name}.amazonaws.com"} for name in services]
