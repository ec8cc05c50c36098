"""The runbook, docs/operations.md, played section by section against the whole engine on the emulator.

Every command is run as it stands there; tests/unit/test_runbook_page.py sees to it that none is left out.
"""

import csv
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
from tests.support.cloud import request_event, sns_event
from tests.support.runbook import Operator, until

from engine.local.cases import request
from engine.local.environment import running_environment
from engine.local.ses import events
from engine.local.ses.mail_object import MailObject
from engine.requests.email_job import email_id
from engine.schemas.request import EmailRequest

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SOURCE: Final = "shop"
ADA: Final = "ada@example.com"
DLQS: Final = ("EventBridgeDLQ", "EmailRetryDLQ", "BulkEmailDLQ", "FeedbackProcessorDLQ")
CAMPAIGN: Final = 200
# What an account looks at again after five minutes.
PARAMETERS: Final = {"TemplateCacheSeconds": "1"}


class Night(Operator):
    """The operator, and the application whose mail it is about."""

    async def ask(self, key: str, to: str, template: str = "welcome", **more: Any) -> str:
        """Publish a request; the email's id."""
        async with self.local.emails(SOURCE) as emails:
            return await emails.send(request(to, template, idempotency_key=key, **more))

    async def deliver(self, key: str, to: str, template: str = "welcome", **more: Any) -> str:
        own_id = await self.ask(key, to, template, **more)
        await self.reached(own_id, "delivered")
        return own_id

    async def status(self) -> Any:
        return await self.play("sesmailengine status", good=None)

    async def waiting(self, queue: str) -> int:
        """How many messages a lane or a dead-letter queue holds, hidden ones too."""
        found = await self.status()
        (depth,) = (each for each in (*found["lanes"], *found["deadLetters"]) if each["queue"] == queue)
        return int(depth["visible"] + depth["inFlight"] + depth["delayed"])

    async def holds(self, queue: str, count: int) -> None:
        async def there() -> bool:
            return await self.waiting(queue) == count

        await until(there, f"{count} messages in {queue}")

    async def configure_sender(self, name: str, value: str) -> None:
        """As an update of the stack does: a new version, behind the alias that all call."""
        async with self.local.client("lambda") as functions:
            function = self.local.deployment.email_sender_function
            found = await functions.get_function_configuration(FunctionName=function)
            variables = found["Environment"]["Variables"] | {name: value}
            await functions.update_function_configuration(
                FunctionName=function, Environment={"Variables": variables}
            )
            version = (await functions.publish_version(FunctionName=function))["Version"]
            await functions.update_alias(FunctionName=function, Name="live", FunctionVersion=version)

    async def put(self, queue: str, body: object, error: str = "") -> None:
        attributes = {"ERROR_CODE": {"DataType": "String", "StringValue": error}} if error else {}
        async with self.local.client("sqs") as sqs:
            url = (await sqs.get_queue_url(QueueName=f"sesmailengine-{queue}"))["QueueUrl"]
            text = body if isinstance(body, str) else json.dumps(body)
            await sqs.send_message(QueueUrl=url, MessageBody=text, MessageAttributes=attributes)


@dataclass(frozen=True)
class Pause:
    """What `status` said while SES had paused the account, and the email that waited for its end."""

    email: str
    said: Any


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Night]:
    folder = tmp_path_factory.mktemp("runbook")
    with pytest.MonkeyPatch.context() as patch:
        async with running_environment(
            lambda _doing: None, inbox_port=0, folder=folder, parameters=PARAMETERS
        ) as local:
            for name, value in local.emulator.environment.items():
                patch.setenv(name, value)
            patch.chdir(folder)
            yield Night(local)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def paused(night: Night) -> Pause:
    """A pause of the account. What it delays is tried again after a minute: others play meanwhile."""
    night.local.simulator.faults.set(sending_paused=True)
    own_id = await night.ask("paused", "paused@example.com")
    await night.holds("EmailRetryQueue", 1)
    said = await night.status()
    night.local.simulator.faults.clear()
    return Pause(own_id, said)


def write_customers(people: list[str]) -> None:
    with Path("customers.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("to", "userName", "companyName"))
        rows.writerows((to, "Ada", "Northwind") for to in people)


def read(pattern: str) -> str:
    """The one file that a command has written."""
    (file,) = Path().glob(pattern)
    return file.read_text(encoding="utf-8")


async def test_a_pause_of_ses_is_told_with_what_waits_for_it(night: Night, paused: Pause) -> None:
    assert not paused.said["verdict"]["good"]
    assert "SES does not let the account send" in paused.said["verdict"]["sentence"]
    assert (await night.status())["ses"]["sendingEnabled"]


async def test_a_receipt_is_found_and_explained(night: Night) -> None:
    await night.play("sesmailengine find --key shop order-1042", good=False)
    receipt = await night.deliver("order-1042", ADA)
    by_address = await night.play("sesmailengine find ada@example.com")
    by_key = await night.play("sesmailengine find --key shop order-1042")
    told = await night.play("sesmailengine explain ada@example.com")
    assert [each["emailId"] for each in by_address["emails"]] == [receipt]
    assert [each["emailId"] for each in by_key["emails"]] == [receipt]
    assert [moment["title"] for moment in told["timeline"]][:3] == ["Asked", "Accepted", "Delivered"]


async def test_what_harms_the_domain_and_what_the_month_cost_is_told(night: Night) -> None:
    assert await night.play("sesmailengine doctor")
    assert (await night.play("sesmailengine doctor --domain example.com"))["domain"] == "example.com"
    for line_facts in (
        await night.play("sesmailengine cost", good=False),
        await night.play("sesmailengine cost --month 2026-10", good=False),
    ):
        assert "CloudWatch has no metric" in line_facts["verdict"]["sentence"]  # the emulator has none


async def test_a_campaign_is_stopped_after_50_and_each_email_goes_once(night: Night) -> None:
    people = [f"customer{number}@example.com" for number in range(CAMPAIGN)]
    write_customers(people)

    def sent() -> int:
        return sum(message.to[0] in wanted for message in night.local.simulator.messages)

    wanted = set(people)
    plan = await night.play("sesmailengine campaign plan customers.csv --template welcome")
    assert plan["emails"] == CAMPAIGN
    rehearsed = await night.play(
        "sesmailengine send --template welcome --recipients customers.csv --campaign spring --bulk --dry-run"
    )
    assert rehearsed["left"] == CAMPAIGN
    assert not sent()

    async def publishes() -> bool:
        said = await night.play(
            "sesmailengine send --template welcome --recipients customers.csv --campaign spring --bulk"
            " --first 500 --then-wait 30m",
            {"500": "20", "30m": "2s"},
            good=None,
        )
        return "The rest was not asked for" not in said["verdict"]["sentence"]

    await until(publishes, "the first 20 to be judged")

    async def fifty_left() -> bool:
        return sent() >= 50

    await until(fifty_left, "50 of the campaign to leave")
    await night.play('sesmailengine stop --campaign spring --because "wrong price"')

    async def rest_is_parked() -> bool:
        return sent() + await night.waiting("ParkedEmailQueue") == CAMPAIGN

    await until(rest_is_parked, "the rest of the campaign to be parked")
    left = sent()
    assert left < CAMPAIGN
    stands = await night.play("sesmailengine campaign status spring", good=False)
    assert "wrong price" in stands["verdict"]["sentence"]
    assert sent() == left
    came_back = await night.play("sesmailengine go --campaign spring")
    assert came_back["returned"]["moved"] == CAMPAIGN - left

    async def delivered() -> bool:
        report = await night.play(
            "sesmailengine campaign report spring --recipients customers.csv", good=None
        )
        return bool(report["counts"]["byStatus"].get("delivered") == CAMPAIGN)

    await until(delivered, "the whole campaign to be delivered")
    assert sorted(message.to[0] for message in night.local.simulator.messages if message.to[0] in wanted) == (
        sorted(people)
    )
    missing = await night.play(
        "sesmailengine send --template welcome --recipients customers.csv --campaign spring --bulk --missing"
    )
    assert "never seen" in missing["verdict"]["sentence"]
    assert missing["requested"] == missing["left"] == 0
    assert ADA not in await night.play(
        "sesmailengine campaign report spring --not-delivered > not-delivered.csv"
    )
    assert sent() == CAMPAIGN

    await night.play('sesmailengine cancel --campaign spring --because "wrong list"')
    late = await night.ask("late", "late@example.com", campaign="spring", priority="bulk")
    await night.reached(late, "failed")
    assert night.code(late) == "cancelled"


async def test_stopped_mail_waits_until_it_may_go(night: Night) -> None:
    await night.play('sesmailengine stop --all --because "we write to the wrong people"')
    stopped = await night.ask("stopped", "stopped@example.com")
    await night.holds("ParkedEmailQueue", 1)
    assert "wrong people" in (await night.status())["verdict"]["sentence"]
    await night.play("sesmailengine go --all")
    await night.reached(stopped, "delivered")

    for line in (
        await night.play('sesmailengine stop --bulk --because "SES has paused us"'),
        await night.play('sesmailengine stop --bulk --because "too many complaints"'),
    ):
        assert line["scope"] == "bulk"
    bulk = await night.ask("bulk", "bulk@example.com", priority="bulk")
    await night.holds("ParkedEmailQueue", 1)
    await night.deliver("reset", "reset@example.com", "password-reset")
    assert not night.accepted("bulk@example.com")
    await night.play("sesmailengine go --bulk")
    await night.reached(bulk, "delivered")
    await night.play("sesmailengine go --everything", good=None)  # nothing is stopped any more
    assert [night.accepted(f"{name}@example.com") for name in ("stopped", "bulk")] == [1, 1]


async def test_a_bad_template_is_stopped_rolled_back_and_resumed(night: Night) -> None:
    key = "templates/invoice/metadata.json"
    async with night.local.client("s3") as s3:
        bucket = night.local.deployment.template_bucket
        good = json.loads(await (await s3.get_object(Bucket=bucket, Key=key))["Body"].read())
        bad = json.dumps(good | {"subject": "You owe us a million"})
        await s3.put_object(Bucket=bucket, Key=key, Body=bad.encode())
    await night.deliver("bad", "bad@example.com", "invoice")
    await night.play('sesmailengine stop --template invoice --because "wrong amounts since this morning"')
    held = [
        await night.ask(f"invoice{number}", f"bill{number}@example.com", "invoice") for number in range(3)
    ]
    await night.holds("ParkedEmailQueue", len(held))
    assert "metadata.json" in await night.play("sesmailengine templates rollback invoice")
    await night.play("sesmailengine go --template invoice")
    for own_id in held:
        await night.reached(own_id, "delivered")
    assert len((await night.play("sesmailengine find --template invoice --since 2h"))["emails"]) == 4
    subjects = {message.to[0]: message.subject for message in night.local.simulator.messages}
    assert subjects["bad@example.com"] == "You owe us a million"
    assert {subjects[f"bill{number}@example.com"] for number in range(3)} == {
        "Invoice 2026-0318 from Northwind"
    }


async def test_dead_letters_in_every_envelope_are_redriven_and_each_email_goes_once(night: Night) -> None:
    asked = {
        key: request_event(
            idempotencyKey=key,
            to=f"{key}@example.com",
            templateData={"userName": "Ada", "companyName": "Northwind"},
        )
        for key in ("rule", "function", "queue", "again")
    }
    # This one has been sent: its dead letter is a duplicate.
    async with night.local.emails(SOURCE) as emails:
        await emails.send(msgspec.convert(asked["queue"]["detail"], EmailRequest))
    sent = email_id(SOURCE, "queue")
    await night.reached(sent, "delivered")
    opened = json.dumps(events.open_(MailObject(tags={"emailId": sent}), MailObject().sent_at))
    await night.put("EventBridgeDLQ", asked["rule"], "NO_PERMISSIONS")
    await night.put(
        "EventBridgeDLQ", {"requestPayload": asked["function"], "responsePayload": {"errorType": "Boom"}}
    )
    await night.put("EventBridgeDLQ", "no request")
    await night.put("BulkEmailDLQ", asked["queue"])
    await night.put("EmailRetryDLQ", asked["again"])
    await night.put("FeedbackProcessorDLQ", {"Type": "Notification", "Message": opened})
    await night.put("FeedbackProcessorDLQ", {"requestPayload": sns_event(opened)})

    found = await night.play("sesmailengine dlq", good=False)
    held = {each["queue"]: each["messages"]["visible"] for each in found["queues"]}
    assert [held[queue] for queue in DLQS] == [3, 1, 1, 2]
    groups = (await night.play("sesmailengine dlq show EventBridgeDLQ", good=False))["groups"]
    assert {(group["envelope"], group["kind"]) for group in groups} == {
        ("eventbridge", "request"),
        ("lambda", "request"),
        ("sqs", "unreadable"),
    }
    bulk = await night.play(
        "sesmailengine dlq show EventBridgeDLQ", {"EventBridgeDLQ": "BulkEmailDLQ"}, good=False
    )
    assert bulk["groups"][0]["knownAsSent"] == 1
    await night.play("sesmailengine dlq redrive EventBridgeDLQ --dry-run", good=False)
    await night.holds("EventBridgeDLQ", 3)
    for queue in DLQS[:3]:
        await night.play(
            "sesmailengine dlq redrive EventBridgeDLQ", {"EventBridgeDLQ": queue}, good=queue != DLQS[0]
        )
    await night.play(
        'sesmailengine dlq drop EventBridgeDLQ --match kind=unreadable --because "published by a test"'
    )
    await night.play("sesmailengine dlq redrive FeedbackProcessorDLQ --rate 20")
    for key in asked:
        await night.reached(email_id(SOURCE, key), "delivered")
    await night.reached(sent, "opened")
    assert (await night.play("sesmailengine dlq"))["verdict"]["good"]
    assert [night.accepted(f"{key}@example.com") for key in asked] == [1, 1, 1, 1]


async def test_an_address_suppressed_by_mistake_gets_the_mail_that_was_refused(night: Night) -> None:
    person = {ADA: "mistake@example.com"}
    await night.deliver("first", person[ADA])
    (message,) = (each for each in night.local.simulator.messages if person[ADA] in each.to)
    await night.local.simulator.report(message.message_id, "bounce")
    await night.reached(email_id(SOURCE, "first"), "bounced")
    refused = await night.ask("second", person[ADA])
    await night.reached(refused, "failed")
    assert night.code(refused) == "suppressed"
    shown = await night.play("sesmailengine suppression show ada@example.com", person)
    assert (shown["entries"][0]["reason"], shown["ses"][0]["reason"]) == ("hard-bounce", "BOUNCE")
    done = await night.play("sesmailengine suppression remove ada@example.com --resend", person)
    assert (done["ours"], done["ses"]) == ([person[ADA]], [person[ADA]])
    await night.reached(email_id(SOURCE, done["resent"]), "delivered")
    assert night.accepted(person[ADA]) == 2
    await night.play("sesmailengine suppression sync --check")

    by_phone = {ADA: "phone@example.com"}
    await night.play(
        'sesmailengine suppression add ada@example.com --because "asked for it by phone"', by_phone
    )
    unwanted = await night.ask("unwanted", by_phone[ADA])
    await night.reached(unwanted, "failed")
    assert night.code(unwanted) == "suppressed"


async def test_a_person_is_forgotten_and_a_receipt_says_so(night: Night) -> None:
    person = {ADA: "forget@example.com"}
    await night.deliver("forget", person[ADA])
    held = await night.play("sesmailengine person export ada@example.com --to ada.json", person)
    assert held["emails"] == 1
    assert person[ADA] in read("ada.json")
    receipt = await night.play("sesmailengine person forget ada@example.com", person)
    assert receipt["emails"] == 1
    kept = read("forgotten-*.json")
    assert "sha256" in kept.lower()
    assert person[ADA] not in kept
    await night.play("sesmailengine find ada@example.com", person, good=False)


async def test_a_scheduled_email_arrives_and_another_is_taken_back(night: Night) -> None:
    async with night.local.emails(SOURCE) as emails:
        soon = await emails.schedule(
            request("soon@example.com", idempotency_key="soon"), datetime.now(UTC) + timedelta(seconds=3)
        )
        never = await emails.schedule(
            request("never@example.com", idempotency_key="never"), datetime.now(UTC) + timedelta(days=3)
        )
    listed = await night.play("sesmailengine scheduled list")
    assert never in [each["emailId"] for each in listed["emails"]]
    await night.play(
        "sesmailengine scheduled cancel 3f0f2c0e-6f0b-5d7e-9a43-0d7b6f3f8c11",
        {"3f0f2c0e-6f0b-5d7e-9a43-0d7b6f3f8c11": never},
    )
    await night.reached(soon, "delivered")
    assert not (await night.play("sesmailengine scheduled list"))["emails"]


async def test_mail_of_a_paused_account_goes_on_by_itself(night: Night, paused: Pause) -> None:
    await night.reached(paused.email, "delivered")
    assert night.accepted("paused@example.com") == 1


async def test_our_own_quota_refuses_mail_and_says_why(night: Night) -> None:
    """The last one, for it ends the day."""
    complained = await night.ask("complains", "complaint@simulator.example.com")
    await night.reached(complained, "complained")
    await night.play("sesmailengine find --status complained --since 1d")
    today = (await night.status())["reputation"]
    for number in range(max(100 - today["sends"], today["sends"] // 10)):
        await night.ask(f"gone{number}", f"bounce+{number}@simulator.example.com", campaign="autumn")

    async def is_refused() -> bool:
        return "The engine refuses mail" in (await night.status())["verdict"]["sentence"]

    await until(is_refused, "the quota to be reached")
    told = (await night.status())["verdict"]["sentence"]
    assert "campaign autumn" in told
    assert (await night.play("sesmailengine find --status bounced --since 1d"))["emails"]
    refused = await night.ask("refused", "innocent@example.com")
    await night.reached(refused, "failed")
    assert night.code(refused) == "bounce-rate-exceeded"
    failed = (await night.play("sesmailengine find --status failed --since 1d"))["emails"]
    assert refused in [each["emailId"] for each in failed]

    await night.configure_sender("BOUNCE_RATE_ACTION", "hold-bulk")
    held = await night.ask("held", "held@example.com", priority="bulk")
    await night.holds("ParkedEmailQueue", 1)
    assert "The engine holds bulk mail" in (await night.status())["verdict"]["sentence"]
    waiting = (await night.play("sesmailengine find --status sending --since 2h"))["emails"]
    assert held in [each["emailId"] for each in waiting]
    await night.deliver("goes on", "goes-on@example.com")
    # The rate has not become better: the lane stops again.
    assert (await night.play("sesmailengine go --bulk"))["lifted"]
    await night.holds("ParkedEmailQueue", 1)
    assert not night.accepted("held@example.com")
