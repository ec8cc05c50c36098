"""The judge of real processes bites: evidence of each fault, beside evidence of a run that went well."""

import asyncio
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.processes.evidence import Evidence, Letter, Queue, RealWorld
from tests.processes.proxy import Exchange
from tests.simulation.dynamodb import STATE, SUPPRESSION, TRACKING
from tests.simulation.plan import Plan
from tests.simulation.workload import requests

from engine.local.ses.message import Message
from engine.local.ses.outcomes import DELIVERED, SENT, Step
from engine.local.ses.outgoing import SimulatedEvent
from engine.schemas.status import EmailStatusChanged, PublishedStatus

RECONCILE = 20.0
PLAN = Plan(seed=1, emails=2, bulk=0.0, trouble=0.0, odd=0.0)


class Clock(RealWorld):
    """Time stands still until it is moved."""

    moment = 0.0

    def time(self) -> float:
        return self.moment


class Story:
    """Two emails on their way; each step is what a run would have seen."""

    def __init__(self, world: Clock) -> None:
        self.world = world
        self.evidence = Evidence(world, list(requests(PLAN)), RECONCILE)
        self.first, self.second = self.evidence.witness.asked
        self.rows: dict[str, Any] = {}

    def row(self, email_id: str, status: str, rank: int) -> None:
        ttl = datetime.now(UTC).timestamp() + 90 * 86_400
        self.rows[email_id] = {
            "emailId": {"S": email_id},
            "status": {"S": status},
            "statusRank": {"N": str(rank)},
            "ttl": {"N": f"{ttl:.0f}"},
        }
        self.evidence.looked(TRACKING, self.rows)

    def tell(self, email_id: str, status: PublishedStatus) -> None:
        self.evidence.told(
            EmailStatusChanged(
                email_id=email_id,
                original_email_id=email_id,
                to="ada@example.com",
                template_name="welcome",
                status=status,
                previous_status="sending",
                reason=None,
                ses_message_id=None,
                original_source="shop",
                retry_attempt=0,
                timestamp=datetime.now(UTC).isoformat(),
            )
        )

    def count(self, sends: int) -> None:
        self.evidence.looked(STATE, {"quota#today#0": {"pk": {"S": ""}, "sends": {"N": str(sends)}}})

    def suppress(self, address: str) -> None:
        self.evidence.looked(SUPPRESSION, {address: {"email": {"S": address}, "addedBy": {"S": "operator"}}})

    def take(self, email_id: str, to: str) -> Message:
        """SES takes an email, and its sender hears of it."""
        message = Message(
            message_id=f"message-{len(self.evidence.ses.acceptances[email_id])}-{email_id}",
            accepted_at=datetime.now(UTC),
            sender="no-reply@example.com",
            to=(to,),
            tags={"emailId": email_id},
        )
        self.evidence.ses_did(message)
        self.evidence.called(
            Exchange(
                operation="POST /v2/email/outbound-emails",
                request=json.dumps({"EmailTags": [{"Name": "emailId", "Value": email_id}]}).encode(),
                fault=None,
                status=200,
                answer=json.dumps({"MessageId": message.message_id}).encode(),
            )
        )
        return message

    def send(self, number: int) -> None:
        """An email's whole way, as it should be."""
        asked = self.evidence.witness.asked[number]
        self.row(asked.email_id, "sending", 0)
        message = self.take(asked.email_id, asked.detail["to"])
        steps: tuple[tuple[Step, PublishedStatus, int], ...] = (SENT, "sent", 1), (DELIVERED, "delivered", 3)
        for step, status, rank in steps:
            self.evidence.ses_did(
                SimulatedEvent(message=message, step=step, recipients=message.to, at=datetime.now(UTC))
            )
            self.tell(asked.email_id, status)
            self.row(asked.email_id, status, rank)

    def broken(self) -> set[str]:
        self.evidence.judge()
        return {one.invariant for one in self.world.violations}


@pytest.fixture
async def story() -> Story:
    return Story(Clock(PLAN, random.Random(1), asyncio.TaskGroup()))  # noqa: S311 - dice


async def test_a_run_that_went_well_breaks_nothing(story: Story) -> None:
    story.send(0)
    story.send(1)
    story.count(2)
    assert story.broken() == set()


def _lost(story: Story) -> None:
    """The second email's claim is all that there is of it."""
    story.row(story.second.email_id, "sending", 0)


def _doubled(story: Story) -> None:
    story.send(1)
    story.world.moment += RECONCILE / 2
    story.take(story.second.email_id, story.second.detail["to"])


def _doubled_though_settled(story: Story) -> None:
    story.send(1)
    story.world.moment += 100
    story.take(story.second.email_id, story.second.detail["to"])


def _back(story: Story) -> None:
    story.send(1)
    story.row(story.second.email_id, "sent", 1)
    story.row(story.second.email_id, "delivered", 3)


def _untold(story: Story) -> None:
    story.send(1)
    story.row(story.second.email_id, "opened", 4)
    story.row(story.second.email_id, "delivered", 3)


def _suppressed(story: Story) -> None:
    story.suppress(story.second.detail["to"])
    story.world.moment += 60
    story.send(1)


def _contradicted(story: Story) -> None:
    story.tell(story.second.email_id, "failed")
    story.send(1)


def _wrong(story: Story) -> None:
    story.send(1)
    story.tell(story.second.email_id, "bounced")
    story.row(story.second.email_id, "bounced", 6)


def _uncounted(story: Story) -> None:
    story.send(1)
    story.count(1)


def _mangled(story: Story) -> None:
    """It lies in a dead-letter queue, but not whole."""
    detail = {**story.second.detail, "templateData": {}}
    body = json.dumps({"id": story.second.event_id, "detail": detail})
    story.evidence.dead["EventBridgeDLQ"] = Queue("EventBridgeDLQ", {"1": Letter(body)})


@pytest.mark.parametrize(
    ("fault", "invariant"),
    [
        (_lost, "lost"),
        (_mangled, "lost"),
        (_doubled, "doubled"),
        (_doubled_though_settled, "doubled"),
        (_back, "rank"),
        (_untold, "untold"),
        (_suppressed, "suppressed"),
        (_contradicted, "contradicted"),
        (_wrong, "wrong status"),
        (_uncounted, "counters"),
    ],
)
async def test_each_fault_is_caught(story: Story, fault: Callable[[Story], None], invariant: str) -> None:
    story.send(0)
    story.count(2)
    fault(story)
    assert invariant in story.broken()


async def test_a_request_that_lies_whole_in_a_dead_letter_queue_is_not_lost(story: Story) -> None:
    story.send(0)
    story.count(1)
    body = json.dumps({"requestPayload": {"id": story.second.event_id, "detail": story.second.detail}})
    story.evidence.dead["EventBridgeDLQ"] = Queue("EventBridgeDLQ", {"1": Letter(body)})
    assert story.broken() == set()


async def test_a_second_send_is_excused_where_no_report_had_settled_the_first(story: Story) -> None:
    story.send(0)
    story.count(3)
    story.take(story.second.email_id, story.second.detail["to"])
    story.world.moment += 100
    story.send(1)
    assert story.broken() == set()
    assert story.evidence.witness.unsettled == [story.second.email_id]
