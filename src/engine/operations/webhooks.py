"""Webhooks: rules on the stack's bus whose events EventBridge posts to an HTTPS endpoint.

A webhook is a connection (the header that it sends), an API destination (the URL and the rate), a rule and an
alarm, all called `{stack}-webhook-{name}`. Nothing else keeps it: what AWS lists is what there is.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from engine.aws.error_codes import is_code
from engine.aws.event_bus import put_events
from engine.aws.signed_webhooks import SignedWebhook
from engine.errors import EngineError
from engine.operations.stack import DeployedStack
from engine.operations.webhook import Webhook, is_signed, posted_webhook, signed_webhook
from engine.operations.webhook_names import WebhookNames
from engine.operations.webhook_target import WebhookRefusedError, pattern
from engine.schemas.status import STATUS_EVENT_SOURCE
from engine.schemas.times import iso
from engine.schemas.webhook_test import WEBHOOK_TEST_DETAIL_TYPE, WebhookTest

# EventBridge's own, and the most: it gives an event up after either.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
_RETRIES: Final = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
_TARGET: Final = "webhook"
_LONGEST_DESCRIPTION: Final = 512  # of a rule


class NoSuchWebhookError(EngineError):
    """Names the webhooks there are."""


class Webhooks:
    """`events`, `alarms`: clients of EventBridge and CloudWatch."""

    def __init__(self, events: Any, alarms: Any, names: WebhookNames) -> None:
        self._events = events
        self._alarms = alarms
        self._names = names

    async def add(self, webhook: Webhook, header: tuple[str, str]) -> None:
        """Make all of it, or nothing. Raises WebhookRefusedError where the name is taken."""
        await self._check_name(webhook.name)
        own = self._names.prefix + webhook.name
        key, value = header
        connection = await self._events.create_connection(
            Name=own,
            AuthorizationType="API_KEY",
            AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": key, "ApiKeyValue": value}},
        )
        try:
            destination = await self._events.create_api_destination(
                Name=own,
                ConnectionArn=connection["ConnectionArn"],
                InvocationEndpoint=webhook.url,
                HttpMethod="POST",
                InvocationRateLimitPerSecond=webhook.rate,
            )
            # The alarm first: no event is posted that nobody would hear about.
            await self._alarms.put_metric_alarm(**self._names.failing(webhook.name))
            target = {"Arn": destination["ApiDestinationArn"], "RoleArn": self._names.role_arn}
            await self._route(webhook, target)
        except BaseException:  # Ctrl-C too: nothing of it stays half made
            await self._delete(webhook.name)
            raise

    async def add_signed(self, webhook: Webhook, secret: str, functions: Any, secrets: Any) -> None:
        """As `add`, by the stack's function. `functions`, `secrets`: clients of Lambda, Secrets Manager."""
        await self._check_name(webhook.name)
        own = self._names.prefix + webhook.name
        arn = ""
        with _if_there():
            function = await functions.get_function_configuration(
                FunctionName=f"{self._names.stack}-Webhook", Qualifier="live"
            )
            arn = function["FunctionArn"]
        if not arn:
            raise WebhookRefusedError(
                "This stack has no function that signs: deploy it with the parameter SignedWebhooks=true."
            )
        kept = msgspec.json.encode(SignedWebhook(url=webhook.url, secret=secret)).decode()
        await secrets.create_secret(Name=own, SecretString=kept)
        try:
            template = f'{{"webhook": "{webhook.name}", "event": <aws.events.event.json>}}'
            await self._route(webhook, {"Arn": arn, "InputTransformer": {"InputTemplate": template}})
        except BaseException:  # Ctrl-C too: nothing of it stays half made
            await self._delete(webhook.name)
            await self.forget_secret(webhook.name, secrets)
            raise

    async def forget_secret(self, name: str, secrets: Any) -> None:
        """Delete what a signed webhook was signed with, if it was one, at once: the name is free again."""
        with _if_there():
            await secrets.delete_secret(SecretId=self._names.prefix + name, ForceDeleteWithoutRecovery=True)

    async def _check_name(self, name: str) -> None:
        if any(each.name == name for each in await self.list()):
            raise WebhookRefusedError(
                f"There is a webhook {name} already: give another --name, or remove it first."
            )

    async def _route(self, webhook: Webhook, target: dict[str, Any]) -> None:
        own, bus = self._names.prefix + webhook.name, self._names.bus
        wanted = msgspec.json.encode(pattern(webhook.name, webhook.events, webhook.source)).decode()
        told = {"Description": webhook.url[:_LONGEST_DESCRIPTION]} if webhook.signed else {}
        await self._events.put_rule(Name=own, EventBusName=bus, EventPattern=wanted, State="ENABLED", **told)
        target = {
            **target,
            "Id": _TARGET,
            "RetryPolicy": _RETRIES,
            "DeadLetterConfig": {"Arn": self._names.queue_arn},
        }
        answer = await self._events.put_targets(Rule=own, EventBusName=bus, Targets=[target])
        if answer["FailedEntryCount"]:
            failed = answer["FailedEntries"][0]
            raise WebhookRefusedError(f"EventBridge took no target: {failed.get('ErrorMessage', failed)}")

    async def list(self) -> list[Webhook]:
        rules = self._events.get_paginator("list_rules").paginate(
            NamePrefix=self._names.prefix, EventBusName=self._names.bus
        )
        found = [rule async for page in rules for rule in page["Rules"]]
        return [await self._described(rule) for rule in found]

    async def _described(self, rule: dict[str, Any]) -> Webhook:
        own = rule["Name"]
        name = own.removeprefix(self._names.prefix)
        if is_signed(rule):
            return signed_webhook(name, rule)
        destination: dict[str, Any] = {}
        connection: dict[str, Any] = {}
        with _if_there():
            destination = await self._events.describe_api_destination(Name=own)
        with _if_there():
            connection = await self._events.describe_connection(Name=own)
        return posted_webhook(name, rule, destination, connection)

    async def test(self, name: str, now: datetime) -> Webhook:
        """Publish an event for this webhook alone. Raises NoSuchWebhookError, ServiceUnavailable."""
        found = {each.name: each for each in await self.list()}
        if name not in found:
            raise _no_such(name, list(found))
        detail = msgspec.json.encode(WebhookTest(webhook=name, timestamp=iso(now))).decode()
        left = await put_events(
            self._events,
            [
                {
                    "EventBusName": self._names.bus,
                    "Source": STATUS_EVENT_SOURCE,
                    "DetailType": WEBHOOK_TEST_DETAIL_TYPE,
                    "Detail": detail,
                }
            ],
        )
        if left:
            raise WebhookRefusedError(f"EventBridge did not take the test event: {left[0].message}")
        return found[name]

    async def remove(self, name: str) -> None:
        """All that there is of it. Raises NoSuchWebhookError."""
        if not await self._delete(name):
            raise _no_such(name, [each.name for each in await self.list()])

    async def _delete(self, name: str) -> bool:
        """Whether there was anything; the rule first, so that nothing is posted to what is half gone."""
        own, bus = self._names.prefix + name, self._names.bus
        rules = await self._events.list_rules(NamePrefix=own, EventBusName=bus)
        found = any(rule["Name"] == own for rule in rules["Rules"])
        with _if_there():
            await self._events.remove_targets(Rule=own, EventBusName=bus, Ids=[_TARGET])
        with _if_there():
            await self._events.delete_rule(Name=own, EventBusName=bus)
        with _if_there():
            await self._events.delete_api_destination(Name=own)
            found = True
        with _if_there():
            await self._events.delete_connection(Name=own)
            found = True
        await self._alarms.delete_alarms(AlarmNames=[self._names.alarm_of(name)])
        return found


@contextmanager
def _if_there() -> Iterator[None]:
    """What is not there needs no step."""
    try:
        yield
    except ClientError as error:
        if not is_code(error, "ResourceNotFoundException"):
            raise


def _no_such(name: str, there: Sequence[str]) -> NoSuchWebhookError:
    return NoSuchWebhookError(f"There is no webhook {name!r}; there are: {', '.join(there) or 'none'}.")


async def open_webhooks(stack: DeployedStack) -> Webhooks:
    """Raises ClientError where the stack has no WebhookDLQ, as those of an older version."""
    sqs = await stack.client("sqs")
    answer = await sqs.get_queue_attributes(
        QueueUrl=await stack.queue_url("WebhookDLQ"), AttributeNames=["QueueArn"]
    )
    names = WebhookNames.of_queue(answer["Attributes"]["QueueArn"])
    return Webhooks(await stack.client("events"), await stack.client("cloudwatch"), names)
