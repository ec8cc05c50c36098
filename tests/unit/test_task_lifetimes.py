"""Nothing outlives an invocation, whatever goes wrong in it."""

import asyncio
import gc
from typing import Any

import pytest
from tests.support.cloud import LARGE, request_event
from tests.support.fakes import FakeTemplate
from tests.support.harness import INVOCATION, Harness

from engine.delivery.lanes import DeferralAnswer
from engine.schemas.rows import SuppressionRow

POINTS = [
    "ledger.claim:before",
    "ledger.record:before",
    "pre_send.read:before",
    "quota.count_sends:before",
    "templates.load:before",
    "payloads.save:before",
    "gate.reserve:before",
    "mailer.send:before",
    "status_events.publish:before",
]


@pytest.fixture
def harness() -> Harness:
    return Harness()


def asked(*numbers: int, **detail: Any) -> list[dict[str, Any]]:
    return [request_event(event_id=f"event-{n}", **({"to": f"{n}@example.com"} | detail)) for n in numbers]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("suppressed", [False, True])
async def test_a_bug_leaves_nothing_under_way(harness: Harness, point: str, suppressed: bool) -> None:  # noqa: FBT001 - a parameter
    async def reach(here: str) -> None:
        if here == point:
            raise ZeroDivisionError(here)
        for _ in range(50):
            await asyncio.sleep(0)

    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    if suppressed:
        harness.fake_aws.suppression.rows["0@example.com"] = SuppressionRow(email="0@example.com")
    harness.fake_aws.switch(reach)
    await asyncio.gather(harness.ask(to="0@example.com", **LARGE), return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()
    assert not unheard


async def test_a_bug_met_by_one_template_fails_its_emails_and_no_others(harness: Harness) -> None:
    async def reach(here: str) -> None:
        if here == "templates.load:before" and next(turns):
            raise ZeroDivisionError

    turns = iter([False, True])  # templates are asked for by their names
    harness.fake_aws.templates.templates["zebra"] = FakeTemplate("zebra")
    harness.fake_aws.templates.on_await = reach
    answer = await harness.deliver(*asked(0), *asked(1, templateName="zebra"), *asked(2))
    assert [failure.item_identifier for failure in answer.batch_item_failures] == ["message-1"]
    assert sorted(message.to for message in harness.fake_aws.mailer.sent.values()) == [
        "0@example.com",
        "2@example.com",
    ]
    assert "bug" in harness.fake_aws.telemetry.names


@pytest.mark.parametrize("slow", ["payloads.save:before"])
async def test_an_email_that_could_leave_too_late_does_not_leave_though_it_has_its_slot(
    harness: Harness, slow: str
) -> None:
    """A send that the end of the invocation cuts off has an unknown outcome."""
    granted = asyncio.Event()
    begins = harness.fake_aws.clock()

    async def reach(here: str) -> None:
        if here == "gate.reserve:after":
            granted.set()
        if here == slow:
            await granted.wait()
            harness.fake_aws.clock.advance(INVOCATION - 2)

    harness.fake_aws.switch(reach)
    answer = await harness.ask(
        **LARGE, seconds_left=lambda: INVOCATION - (harness.fake_aws.clock() - begins).total_seconds()
    )
    assert isinstance(answer, DeferralAnswer)
    assert answer.reason == "out-of-time"
    assert not harness.fake_aws.mailer.sent
    assert harness.row.lease_until is None
