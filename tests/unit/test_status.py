"""What a stack's status means, and how little is read to tell it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.stand_ins import stack_of

from engine.operations.health import judge_status, waits_for
from engine.operations.queues import QueueDepth
from engine.operations.ses_account import SesAccount
from engine.operations.status import Alarm, StackStatus, stack_status
from engine.operations.today import Culprit, Reputation, StatusCounts, Trouble
from engine.schemas.rows import BrakeRow
from engine.tracking.bounce_quota import QuotaPolicy

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACCOUNT = SesAccount(
    sending_enabled=True,
    production=True,
    enforcement="HEALTHY",
    max_send_rate=14,
    daily_quota=50_000,
    sent_last_24_hours=100,
)
NO_TROUBLE = Trouble(count=0, whole=True, template=None, campaign=None)
BULK = QueueDepth(queue="BulkEmailQueue", visible=8_400)
WELL = StackStatus(
    ses=ACCOUNT,
    lanes=[BULK],
    dead_letters=[QueueDepth(queue="EmailRetryDLQ", visible=0)],
    today=StatusCounts(source="rows", by_status={}, whole=True),
    reputation=Reputation(sends=2_000, bounces=10, bounced=NO_TROUBLE, complained=NO_TROUBLE),
    quota=QuotaPolicy(5, 100),
    brakes=[],
    alarms=[],
    unknown={},
)
PAUSED = replace(ACCOUNT, sending_enabled=False)
BRAKE = BrakeRow(pk="stop#template#welcome", because="typo", by="ada", since="2026-11-24T11:00:00.000Z")
BY_NEWS = Trouble(count=40, whole=True, template=Culprit(name="news", count=30), campaign=None)


def test_a_stack_that_is_well_says_so_and_what_it_does_not_know() -> None:
    assert judge_status(WELL).sentence == "Nothing is wrong."
    verdict = judge_status(replace(WELL, unknown={"alarms": "DescribeAlarms answered AccessDenied"}))
    assert (verdict.good, verdict.sentence) == (True, "Nothing is wrong. Not known: alarms.")


def test_a_day_on_which_most_mail_failed_is_pointed_to() -> None:
    today = replace(WELL.today, by_status={"failed": 4_000, "delivered": 300})
    verdict = judge_status(replace(WELL, today=today))
    assert verdict.good
    assert verdict.sentence == "Nothing is wrong with the stack. More emails failed today than arrived."
    assert verdict.next_command == "sesmailengine find --status failed --since 1d"


@pytest.mark.parametrize(
    ("changes", "sentence", "command"),
    [
        ({"ses": PAUSED}, "SES does not let the account send", "doctor"),
        ({"ses": replace(ACCOUNT, enforcement="SHUTDOWN")}, "SES does not let the account send", "doctor"),
        ({"ses": replace(ACCOUNT, enforcement="PROBATION")}, "under review (PROBATION)", "doctor"),
        ({"ses": replace(ACCOUNT, sent_last_24_hours=50_000)}, "daily quota is used up", "doctor"),
        (
            {"reputation": Reputation(sends=1_000, bounces=60, bounced=BY_NEWS, complained=NO_TROUBLE)},
            "find out why addresses bounce before sending on. Most of it comes of template news (30 of 40).",
            "find --status bounced --since 1d",
        ),
        ({"brakes": [BRAKE]}, "Mail is stopped: stop#template#welcome, set by ada", "go --template welcome"),
        (
            {"dead_letters": [QueueDepth(queue="EventBridgeDLQ", visible=1_200)]},
            "Given up, and to be looked at: 1,200 messages in EventBridgeDLQ.",
            "dlq show EventBridgeDLQ",
        ),
        (
            {"reputation": Reputation(sends=1_000, bounces=0, bounced=NO_TROUBLE, complained=BY_NEWS)},
            "4.00 % of today's recipients complained",
            "find --status complained --since 1d",
        ),
        (
            {"alarms": [Alarm(name="s-SES-Paused", since="2026-11-24T11:00:00+00:00", says="Look.")]},
            "The alarm s-SES-Paused rings since 2026-11-24 at 11:00 UTC: Look.",
            None,
        ),
    ],
)
def test_what_is_wrong_is_told_with_the_command_that_helps(
    changes: dict[str, Any], sentence: str, command: str | None
) -> None:
    verdict = judge_status(replace(WELL, **changes), " --stack x")
    assert not verdict.good
    assert sentence in verdict.sentence
    assert verdict.next_command == (f"sesmailengine {command} --stack x" if command else None)


def test_over_the_quota_the_bulk_lane_alone_is_held_where_it_is_to_be_so() -> None:
    over = Reputation(sends=1_000, bounces=60, bounced=BY_NEWS, complained=NO_TROUBLE)
    policy = QuotaPolicy(5, 100, holds_bulk=True)
    sentence = judge_status(replace(WELL, reputation=over, quota=policy)).sentence
    assert sentence.startswith("The engine holds bulk mail: today's bounce rate is 6.00 %")


def test_the_worst_comes_first_and_its_command_with_it() -> None:
    verdict = judge_status(replace(WELL, ses=PAUSED, brakes=[BRAKE]))
    assert verdict.sentence.index("SES does not let") < verdict.sentence.index("Mail is stopped")
    assert verdict.next_command == "sesmailengine doctor"


def test_a_cancelled_campaign_is_nothing_wrong() -> None:
    assert judge_status(replace(WELL, brakes=[BrakeRow(pk="cancel#campaign#spring")])).good


@pytest.mark.parametrize(
    ("lane", "changes", "reason"),
    [
        (replace(BULK, visible=0), {}, ""),
        (BULK, {}, "its turn: at least 10 min at the account's rate"),
        (BULK, {"ses": PAUSED}, "SES, which has paused the account"),
        (BULK, {"ses": replace(ACCOUNT, sent_last_24_hours=60_000)}, "SES's daily quota, which is used up"),
        (BULK, {"brakes": [BrakeRow(pk="stop#bulk")]}, "`go`: the lane is stopped"),
        (replace(BULK, queue="EmailRetryQueue"), {"brakes": [BrakeRow(pk="stop#bulk")]}, "its turn"),
        (replace(BULK, queue="ParkedEmailQueue"), {}, "`go`: it is parked under a brake"),
    ],
)
def test_what_a_lane_waits_for(lane: QueueDepth, changes: dict[str, Any], reason: str) -> None:
    assert waits_for(lane, replace(WELL, **changes)) == reason


class BusyTable:
    """A DynamoDB with more rows of today than anybody should read; it counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.rows_read = 0

    async def query(self, *, IndexName: str, Limit: int, **_: Any) -> Any:
        self.asked.append("query")
        key = "emailId" if IndexName == "date-partition-index" else "email"
        items = [{key: {"S": f"{len(self.asked)}-{number}"}} for number in range(Limit)]
        return {"Items": items, "LastEvaluatedKey": items[-1]}

    async def batch_get_item(self, *, RequestItems: Any) -> Any:
        self.asked.append("batch_get_item")
        ((table, wanted),) = RequestItems.items()
        self.rows_read += len(wanted["Keys"])
        found = [] if table.endswith("State") else [key | {"status": {"S": "sent"}} for key in wanted["Keys"]]
        return {"Responses": {table: found}}

    async def get_item(self, **_: Any) -> Any:
        self.asked.append("get_item")
        return {}


async def test_a_day_of_any_size_costs_a_bounded_number_of_calls_and_no_scan() -> None:
    table = BusyTable()
    status = await stack_status(stack_of({"dynamodb": table}), NOW)
    assert status.today == StatusCounts(source="rows", by_status={"sent": 5_000}, whole=False)
    assert table.asked.count("query") == 3  # a page of the day, and one each of bounces and complaints
    assert len(table.asked) <= 80
    assert table.rows_read <= 5_000 + 2 * 1_000 + 20


async def test_what_may_not_be_asked_is_named_and_hides_nothing_else() -> None:
    status = await stack_status(stack_of({"dynamodb": BusyTable()}), NOW)
    assert set(status.unknown) == {"ses", "queues", "alarms", "settings"}
    assert status.unknown["ses"] == "get_account answered AccessDeniedException"
