"""Signed webhooks: what the function posts, refuses and fails on, and what the commands keep of them."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from aiohttp import web
from tests.integration.test_webhooks import URL, Stack
from tests.support.cloud import Cloud, request_event

from engine.aws.signed_webhooks import WebhookFailedError, signature
from engine.handlers import webhook

# The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


def test_the_signature_is_the_one_of_the_standards_own_example() -> None:
    made = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


class Endpoint:
    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def _take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers={"Location": self.url})

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Endpoint"]:
        application = web.Application()
        application.router.add_post("/mail", self._take)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mail"
            yield self
        finally:
            await runner.cleanup()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint().running() as endpoint:
        yield endpoint


@pytest.fixture
def _function(cloud: Cloud, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    secrets = boto3.client("secretsmanager", endpoint_url=cloud.endpoint)
    kept = json.dumps({"url": endpoint.url, "secret": SECRET})
    secrets.create_secret(Name=cloud.name("webhook-crm"), SecretString=kept)
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    monkeypatch.setenv("WEBHOOK_SECRET_PREFIX", cloud.name("webhook-"))
    monkeypatch.setenv("WEBHOOK_ALLOW_PRIVATE", "true")
    yield
    webhook.environment.close()


async def deliver() -> dict[str, Any]:
    event = request_event()
    await asyncio.to_thread(webhook.handler, {"webhook": "crm", "event": event})
    return event


@pytest.mark.usefixtures("_function")
async def test_the_event_is_posted_under_its_id_and_signed(endpoint: Endpoint) -> None:
    event = await deliver()
    ((headers, body),) = endpoint.got
    assert json.loads(body) == event
    assert headers["webhook-id"] == event["id"]
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature(SECRET, event["id"], stamp, body)


@pytest.mark.usefixtures("_function")
@pytest.mark.parametrize("status", [302, 404, 500])
async def test_any_answer_but_2xx_fails_and_no_redirect_is_followed(endpoint: Endpoint, status: int) -> None:
    endpoint.status = status
    with pytest.raises(WebhookFailedError, match=f"crm answered {status}"):
        await deliver()
    assert len(endpoint.got) == 1


@pytest.mark.usefixtures("_function")
async def test_a_private_address_is_refused_when_it_connects(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEBHOOK_ALLOW_PRIVATE")
    with pytest.raises(WebhookFailedError, match="could not be reached"):
        await deliver()
    assert endpoint.got == []


# -- the commands --------------------------------------------------------------------------------------------

ADD = ("add", URL, "--events", "bounced", "--name", "crm", "--signed", "--yes")


def deploy_function(cloud: Cloud) -> str:
    """The alias's ARN."""
    iam = boto3.client("iam", endpoint_url=cloud.endpoint)
    role = iam.create_role(RoleName=cloud.name("r"), AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions = boto3.client("lambda", endpoint_url=cloud.endpoint)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("code.py", "")
    name = cloud.name("Webhook")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="code.handler",
        Code={"ZipFile": content.getvalue()},
        Publish=True,
    )
    arn: str = functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")["AliasArn"]
    return arn


def test_adding_one_needs_the_function_that_signs(cloud: Cloud) -> None:
    answer = Stack(cloud).run(*ADD)
    assert answer.exit_code == 1
    assert "SignedWebhooks=true" in answer.output


def test_adding_one_keeps_url_and_secret_and_names_it_to_the_function(cloud: Cloud) -> None:
    stack, arn = Stack(cloud), deploy_function(cloud)
    added = stack.facts(*ADD)
    kept = json.loads(stack.secrets.get_secret_value(SecretId=stack.own)["SecretString"])
    assert kept == {"url": URL, "secret": added["secret"]}
    assert added["secret"].startswith("whsec_")
    (target,) = cloud.events.list_targets_by_rule(Rule=stack.own, EventBusName=cloud.bus)["Targets"]
    assert target["Arn"].rpartition(":")[0] == arn.rpartition(":")[0]
    template = target["InputTransformer"]["InputTemplate"].replace("<aws.events.event.json>", '{"id": "1"}')
    assert json.loads(template) == {"webhook": "crm", "event": {"id": "1"}}
    assert target["DeadLetterConfig"] == {"Arn": cloud.arn("WebhookDLQ")}
    (listed,) = stack.facts("list")["webhooks"]
    assert (listed["url"], listed["signed"], listed["state"]) == (URL, True, "active")
    assert added["secret"] not in stack.run("list", "--json").output


def test_removing_one_leaves_no_secret(cloud: Cloud) -> None:
    stack, _ = Stack(cloud), deploy_function(cloud)
    stack.run(*ADD)
    assert stack.run("remove", "crm", "--yes").exit_code == 0
    assert stack.left() == []
    secrets = stack.secrets.list_secrets()["SecretList"]
    assert [secret for secret in secrets if secret["Name"] == stack.own] == []


@pytest.mark.parametrize("more", [("--rate", "5"), ("--header", "X-Key=k")])
def test_a_rate_or_a_header_is_refused_with_it(cloud: Cloud, more: tuple[str, str]) -> None:
    assert Stack(cloud).run(*ADD, *more).exit_code == 2
