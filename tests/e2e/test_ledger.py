"""The tracking table. One suite over the real ledger and the fake one, so that the fake tells the truth.

The real one is on the emulator: moto has no PartiQL with parameters.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any, Protocol

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from msgspec.structs import replace
from tests.support.fake_tables import FakeLedger
from tests.support.real_clients import items, make_table, opened

from engine.aws.dynamodb import to_item
from engine.aws.ledger import SES_MESSAGE_ID_INDEX, TrackingLedger
from engine.errors import FailureCode, Refusal, ServiceUnavailable
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.tracking.ledger import FeedbackLedger, Move, SenderLedger
from engine.tracking.lifecycle import RANK, Status, can_transition

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
LEASE = NOW.timestamp() + 35.123456
CLAIM = TrackingRow(
    email_id="e1",
    to_email="ada@example.com",
    timestamp=iso(NOW),
    date_partition="2026-11-24",
    original_email_id="e1",
    original_source="shop",
    template_name="welcome",
    idempotency_key="order-1042",
    ttl=int(NOW.timestamp()) + 7_776_000,
    claim_id="claim-1",
    lease_until=LEASE,
    request_hash="hash",
    metadata={"order": "1042"},
    tags={"campaign": "spring"},
)
_REPORTED = [status for status in Status if status is not Status.SENDING]
REFUSAL = Refusal(FailureCode.CONTENT_BOUNCE, "the message is too large for the recipient")


class Ledger(SenderLedger, FeedbackLedger, Protocol):
    """Both ports, which one table serves."""


def standing(status: Status, **changes: Any) -> TrackingRow:
    """A row that has reached a status; a settled one has no lease."""
    lease = LEASE if status is Status.SENDING else None
    return replace(CLAIM, **({"status": status, "status_rank": RANK[status], "lease_until": lease} | changes))


def rival(number: int, lease: float = LEASE + 60) -> TrackingRow:
    """The same row, as another invocation would claim it."""
    return replace(CLAIM, claim_id=f"rival-{number}", lease_until=lease)


async def put(ledger: Ledger, *rows: TrackingRow) -> None:
    """Rows of any kind, in tables that hold none of them."""
    assert await ledger.claim(rows) == [None] * len(rows)


async def row(ledger: Ledger, email_id: str = "e1") -> TrackingRow:
    found = await ledger.read(email_id)
    assert found
    return found


@pytest.fixture
async def client(endpoint: str) -> AsyncIterator[Any]:
    async with opened("dynamodb", endpoint) as client:
        yield client


@pytest.fixture(params=["real", "fake"])
async def ledger(request: pytest.FixtureRequest, client: Any) -> Ledger:
    return FakeLedger() if request.param == "fake" else await ledger_on(client)


async def ledger_on(client: Any) -> TrackingLedger:
    table = await make_table(client, "emailId", {SES_MESSAGE_ID_INDEX: ("sesMessageId",)})
    return TrackingLedger(client, table)


# -- the claim -----------------------------------------------------------------------------------------------


async def test_a_claimed_row_reads_back_as_it_was_written(ledger: Ledger) -> None:
    assert await ledger.claim([CLAIM]) == [None]
    assert await ledger.read("e1") == CLAIM


async def test_a_claim_that_is_taken_is_answered_with_the_row_that_is_there(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    second = replace(rival(2), request_hash="other")
    assert await ledger.claim([second]) == [CLAIM]
    assert await ledger.read("e1") == CLAIM


async def test_a_claim_that_is_written_twice_is_still_ones_own(ledger: Ledger) -> None:
    """The SDK repeats a write whose answer was lost, and finds the row that it wrote itself."""
    assert await ledger.claim([CLAIM]) == [None]
    assert await ledger.claim([CLAIM]) == [None]
    assert await ledger.read("e1") == CLAIM


async def test_a_row_without_a_claim_is_nobodys_own(ledger: Ledger) -> None:
    old = replace(CLAIM, claim_id=None)
    await put(ledger, old)
    assert await ledger.claim([old]) == [old]


async def test_of_many_concurrent_claims_exactly_one_wins(ledger: Ledger) -> None:
    rivals = [rival(number) for number in range(20)]
    answers = await asyncio.gather(*(ledger.claim([rival]) for rival in rivals))
    winners = [one for one, answer in zip(rivals, answers, strict=True) if answer == [None]]
    assert winners == [await row(ledger)]


async def test_a_batch_of_claims_is_answered_row_by_row_in_order(ledger: Ledger) -> None:
    rows = [replace(CLAIM, email_id=f"e{number}") for number in range(5)]
    await put(ledger, rows[1], rows[3])
    mine = [replace(row, claim_id="claim-2") for row in rows]
    assert await ledger.claim(mine) == [None, rows[1], None, rows[3], None]


async def test_a_lease_is_taken_over_by_whoever_saw_it(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    assert await ledger.reclaim(rival(2), LEASE)
    assert await row(ledger) == rival(2)


async def test_a_takeover_that_is_written_twice_is_still_ones_own(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    assert await ledger.reclaim(rival(2), LEASE)
    assert await ledger.reclaim(rival(2), LEASE)
    assert not await ledger.reclaim(rival(3, LEASE + 90), LEASE)
    assert await row(ledger) == rival(2)


async def test_a_lease_that_has_changed_since_is_not_taken_over(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    assert not await ledger.reclaim(rival(2), LEASE - 1)
    assert not await ledger.reclaim(rival(2), None)
    assert await ledger.read("e1") == CLAIM


async def test_of_many_who_saw_a_dead_lease_exactly_one_takes_over(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    rivals = [rival(number, LEASE + number) for number in range(1, 11)]
    won = await asyncio.gather(*(ledger.reclaim(rival, LEASE) for rival in rivals))
    assert [one for one, taken in zip(rivals, won, strict=True) if taken] == [await row(ledger)]


@pytest.mark.parametrize("status", _REPORTED)
async def test_a_row_that_moved_on_is_neither_taken_over_nor_given_back(
    ledger: Ledger, status: Status
) -> None:
    moved = standing(status, lease_until=LEASE)
    await put(ledger, moved)
    assert not await ledger.reclaim(rival(2), LEASE)
    await ledger.release("e1", LEASE)
    assert await ledger.read("e1") == moved


async def test_a_claim_given_back_is_free_for_one_who_saw_no_lease(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    await ledger.release("e1", LEASE)
    free = await row(ledger)
    assert free == replace(CLAIM, lease_until=None)
    won = await asyncio.gather(*(ledger.reclaim(rival(n, LEASE + n), None) for n in (1, 2)))
    assert sorted(won) == [False, True]


async def test_only_ones_own_claim_is_given_back(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    await ledger.release("e1", LEASE + 1)
    assert await ledger.read("e1") == CLAIM


async def test_nothing_comes_of_a_row_that_is_not_there(ledger: Ledger) -> None:
    assert not await ledger.reclaim(CLAIM, None)
    await ledger.release("e1", LEASE)
    await ledger.record([Move(email_id="e1", to=Status.SENT, at=NOW)])
    await ledger.note("e1", {"bounceType": "Permanent"})
    assert not await ledger.mark("e1", "counted:f")
    assert await ledger.read("e1") is None
    assert await ledger.find_by_ses_message_id("ses-1") is None


# -- the record ----------------------------------------------------------------------------------------------


async def test_a_send_is_recorded_with_its_time_and_message_id_and_ends_the_claim(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    await ledger.record([Move(email_id="e1", to=Status.SENT, at=LATER, ses_message_id="ses-1")])
    assert await ledger.read("e1") == standing(Status.SENT, sent_at=iso(LATER), ses_message_id="ses-1")
    assert await ledger.find_by_ses_message_id("ses-1") == await row(ledger)


async def test_a_refusal_is_recorded_with_its_code_and_reason(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    await ledger.record([Move(email_id="e1", to=Status.FAILED, at=LATER, refusal=REFUSAL)])
    assert await ledger.read("e1") == standing(
        Status.FAILED,
        failed_at=iso(LATER),
        failure_code="content-bounce",
        failure_reason="the message is too large for the recipient",
    )


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("to", "kept"), [(Status.SENT, b"request"), (Status.FAILED, None)])
async def test_a_record_leaves_the_kept_request_only_where_a_retry_may_follow(
    ledger: Ledger, batch: int, to: Status, kept: bytes | None
) -> None:
    rows = [replace(CLAIM, email_id=f"e{number}", kept_request=b"request") for number in range(batch)]
    await put(ledger, *rows)
    await ledger.record([Move(email_id=row.email_id, to=to, at=LATER) for row in rows])
    for claimed in rows:
        assert (await row(ledger, claimed.email_id)).kept_request == kept


async def test_a_batch_is_recorded_row_by_row(ledger: Ledger) -> None:
    await put(ledger, CLAIM, replace(CLAIM, email_id="e2"))
    moves = [
        Move(email_id=email_id, to=Status.SENT, at=LATER, ses_message_id=f"ses-{email_id}")
        for email_id in ("e1", "e2")
    ]
    await ledger.record(moves)
    assert [(await row(ledger, email_id)).ses_message_id for email_id in ("e1", "e2")] == ["ses-e1", "ses-e2"]


async def test_the_record_of_a_send_leaves_alone_what_feedback_has_said_already(ledger: Ledger) -> None:
    delivered = standing(Status.DELIVERED, ses_message_id="ses-1", delivered_at=iso(NOW))
    await put(ledger, delivered)
    await ledger.record([Move(email_id="e1", to=Status.SENT, at=LATER, ses_message_id="ses-1")])
    assert await ledger.read("e1") == delivered


# -- feedback ------------------------------------------------------------------------------------------------


async def test_a_row_moves_exactly_where_the_lifecycle_says_so(ledger: Ledger) -> None:
    for current, to in product(Status, _REPORTED):
        email_id = f"{current} to {to}"
        await put(ledger, standing(current, email_id=email_id))
        advance = await ledger.advance(email_id, to, at=LATER, fingerprint="f")
        now = await row(ledger, email_id)
        assert (advance.moved, advance.previous, advance.row) == (can_transition(current, to), current, now)
        assert now.status == (to if advance.moved else current)
        assert now.status_rank == RANK[Status(now.status)]


async def test_the_kept_request_goes_with_the_move_that_no_retry_can_follow(ledger: Ledger) -> None:
    for to in _REPORTED:
        await put(ledger, replace(CLAIM, email_id=to, kept_request=b"request"))
        advance = await ledger.advance(to, to, at=LATER, fingerprint="f")
        assert advance.row == await row(ledger, to)
        assert (advance.row.kept_request is not None) == (to in {Status.SENT, Status.SOFT_BOUNCED})


async def test_every_order_of_reports_ends_in_the_same_status_and_no_rank_goes_down(ledger: Ledger) -> None:
    for order in permutations([Status.SENT, Status.DELIVERED, Status.BOUNCED, Status.COMPLAINED]):
        email_id = " then ".join(order)
        await put(ledger, replace(CLAIM, email_id=email_id))
        reached = [
            (await ledger.advance(email_id, to, at=LATER, fingerprint=to)).row.status_rank for to in order
        ]
        assert reached == sorted(reached)
        assert (await row(ledger, email_id)).status == Status.COMPLAINED


async def test_reports_that_come_at_once_end_in_the_highest_status(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    reports = [Status.SENT, Status.DELIVERED, Status.OPENED, Status.BOUNCED, Status.COMPLAINED]
    await asyncio.gather(*(ledger.advance("e1", to, at=LATER, fingerprint=to) for to in reports))
    assert (await row(ledger)).status == Status.COMPLAINED


async def test_a_move_answers_with_the_row_as_it_is_now(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    advance = await ledger.advance(
        "e1", Status.FAILED, at=LATER, fingerprint="f", ses_message_id="ses-1", refusal=REFUSAL
    )
    assert (advance.moved, advance.already_published, advance.previous) == (True, False, Status.SENDING)
    assert advance.row == await row(ledger)
    assert advance.row == standing(
        Status.FAILED,
        failed_at=iso(LATER),
        failure_code=REFUSAL.code,
        failure_reason=REFUSAL.message,
        ses_message_id="ses-1",
        moves=frozenset({"failed:f"}),
    )


async def test_the_first_message_id_stays(ledger: Ledger) -> None:
    await put(ledger, standing(Status.SENT, ses_message_id="ses-1"))
    advance = await ledger.advance("e1", Status.DELIVERED, at=LATER, fingerprint="f", ses_message_id="ses-2")
    assert advance.row.ses_message_id == "ses-1"
    assert advance.row == await row(ledger)


async def test_a_report_that_moved_the_row_is_known_again_and_another_of_its_kind_is_not(
    ledger: Ledger,
) -> None:
    await put(ledger, CLAIM)
    answers = [
        await ledger.advance("e1", Status.OPENED, at=LATER, fingerprint=fingerprint)
        for fingerprint in ("first", "first", "second", "second", "first")
    ]
    assert [(a.moved, a.already_published) for a in answers] == [
        (True, False),
        (False, True),
        (False, False),
        (False, False),
        (False, True),
    ]
    assert (await row(ledger)).moves == {"opened:first"}


async def test_a_redelivery_is_known_even_after_the_row_went_on(ledger: Ledger) -> None:
    await put(ledger, CLAIM)
    await ledger.advance("e1", Status.DELIVERED, at=NOW, fingerprint="f")
    await ledger.advance("e1", Status.COMPLAINED, at=LATER, fingerprint="g")
    again = await ledger.advance("e1", Status.DELIVERED, at=NOW, fingerprint="f")
    assert (again.moved, again.already_published, again.row.status) == (False, True, Status.COMPLAINED)


async def test_a_report_about_no_row_raises(ledger: Ledger) -> None:
    with pytest.raises(LookupError, match="e1"):
        await ledger.advance("e1", Status.DELIVERED, at=NOW, fingerprint="f")
    assert await ledger.read("e1") is None


async def test_a_note_is_kept_once_and_never_written_over(ledger: Ledger) -> None:
    await put(ledger, standing(Status.DELIVERED))
    await ledger.note("e1", {"clickedAt": "first", "delayType": "MailboxFull"})
    await ledger.note("e1", {"clickedAt": "second", "notSpamAt": "first"})
    assert await ledger.read("e1") == standing(
        Status.DELIVERED, clicked_at="first", delay_type="MailboxFull", not_spam_at="first"
    )


async def test_a_mark_is_new_exactly_once(ledger: Ledger) -> None:
    await put(ledger, standing(Status.BOUNCED, moves=frozenset({"bounced:f"})))
    news = await asyncio.gather(*(ledger.mark("e1", "counted:f") for _ in range(5)))
    assert sorted(news) == [False, False, False, False, True]
    assert await ledger.mark("e1", "counted:g")
    assert (await row(ledger)).moves == {"bounced:f", "counted:f", "counted:g"}


# -- the table itself ----------------------------------------------------------------------------------------


async def test_attributes_are_named_and_typed_as_the_contract_says(client: Any) -> None:
    ledger = await ledger_on(client)
    await put(ledger, CLAIM)
    move = Move(
        email_id="e1", to=Status.SENT, at=LATER, ses_message_id="ses-1", template_version="0123456789abcdef"
    )
    await ledger.record([move])
    assert await items(client, ledger._table) == [
        {
            "emailId": {"S": "e1"},
            "toEmail": {"S": "ada@example.com"},
            "status": {"S": "sent"},
            "statusRank": {"N": "1"},
            "sesMessageId": {"S": "ses-1"},
            "timestamp": {"S": "2026-11-24T08:00:00.000Z"},
            "datePartition": {"S": "2026-11-24"},
            "retryAttempt": {"N": "0"},
            "originalEmailId": {"S": "e1"},
            "originalSource": {"S": "shop"},
            "templateName": {"S": "welcome"},
            "templateVersion": {"S": "0123456789abcdef"},
            "idempotencyKey": {"S": "order-1042"},
            "ttl": {"N": "1803283200"},  # 90 days on, in seconds
            "claimId": {"S": "claim-1"},
            "requestHash": {"S": "hash"},
            "metadata": {"M": {"order": {"S": "1042"}}},
            "tags": {"M": {"campaign": {"S": "spring"}}},
            "recipients": {"N": "1"},
            "sentAt": {"S": "2026-11-24T08:05:00.000Z"},
        }
    ]


async def test_a_row_of_another_hand_moves_and_keeps_what_is_its_own(client: Any) -> None:
    ledger = await ledger_on(client)
    item = {"emailId": {"S": "e1"}, "status": {"S": "sent"}, "someoneElses": {"L": [{"S": "attribute"}]}}
    await client.put_item(TableName=ledger._table, Item=item)
    advance = await ledger.advance("e1", Status.DELIVERED, at=LATER, fingerprint="f")
    assert (advance.moved, advance.previous, advance.row.status_rank) == (True, Status.SENT, 3)
    (after,) = await items(client, ledger._table)
    assert after["someoneElses"] == item["someoneElses"]


# -- batches -------------------------------------------------------------------------------------------------


def claims(count: int, claim_id: str = "claim-1") -> list[TrackingRow]:
    return [replace(CLAIM, email_id=f"e{number:03}", claim_id=claim_id) for number in range(count)]


def sends(count: int) -> list[Move]:
    return [
        Move(
            email_id=row.email_id,
            to=Status.SENT,
            at=LATER,
            ses_message_id=f"ses-{row.email_id}",
            template_version="0123456789abcdef",
        )
        for row in claims(count)
    ]


class Alone(TrackingLedger):
    """Claims and records each row by a call of its own."""

    async def claim(self, rows: Sequence[TrackingRow]) -> list[TrackingRow | ServiceUnavailable | None]:
        return [(await super(Alone, self).claim([row]))[0] for row in rows]

    async def record(self, moves: Sequence[Move]) -> None:
        for move in moves:
            await super().record([move])


async def test_a_batch_is_claimed_and_recorded_as_row_by_row(client: Any) -> None:
    async def live(ledger: TrackingLedger) -> list[object]:
        fresh = claims(9)
        before = [
            replace(fresh[1], claim_id="other"),
            replace(fresh[2], request_hash="another request"),
            replace(standing(Status.SENT), email_id="e003"),
            replace(standing(Status.DELIVERED), email_id="e004"),
            replace(fresh[5], claim_id=None, lease_until=None),
            replace(standing(Status.FAILED), email_id="e006"),
        ]
        answers: list[object] = [await ledger.claim(rows) for rows in (before, fresh, fresh)]
        refused = Move(email_id="e007", to=Status.FAILED, at=NOW, refusal=REFUSAL)
        missing = Move(email_id="missing", to=Status.SENT, at=NOW, ses_message_id="ses-missing")
        await ledger.record([*sends(7), refused, missing])
        await ledger.record([replace(move, at=NOW, ses_message_id="ses-again") for move in sends(9)])
        return [*answers, *[await ledger.read(row.email_id) for row in fresh], await ledger.read("missing")]

    batched, alone = await ledger_on(client), await ledger_on(client)
    assert await live(batched) == await live(Alone(client, alone._table))


async def test_a_row_of_a_batch_is_written_as_put_item_writes_it(client: Any) -> None:
    ledger = await ledger_on(client)
    odd = replace(
        CLAIM,
        to_email="o'brien@example.com",
        lease_until=1764000000.123456,
        kept_request=b"\x00\xff",
        metadata={'quote"d': "it's {{x}} ? \\", "ключ": "значение"},
        moves=frozenset({"a", "b"}),
    )
    await put(ledger, odd, replace(odd, email_id="e2"))
    await client.put_item(TableName=ledger._table, Item=to_item(odd) | {"emailId": {"S": "e3"}})
    written = {item.pop("emailId")["S"]: item for item in await items(client, ledger._table)}
    assert written["e1"] == written["e2"] == written["e3"]


async def test_of_batches_that_meet_each_row_is_won_by_one(ledger: Ledger) -> None:
    names = [f"claim-{number}" for number in range(4)]
    answers = await asyncio.gather(*(ledger.claim(claims(30, name)) for name in names))
    won = [
        won.email_id
        for name, batch in zip(names, answers, strict=True)
        for won, answer in zip(claims(30, name), batch, strict=True)
        if answer is None and (await row(ledger, won.email_id)).claim_id == name
    ]
    assert sorted(won) == [claim.email_id for claim in claims(30)]


class Watched:
    """A client that lists its calls, and does with batches of statements what it is told to, in turn."""

    def __init__(self, client: Any, *script: Callable[[Any], Awaitable[Any]]) -> None:
        self._client = client
        self._script = list(script)
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def call(**request: Any) -> Any:
            self.calls.append(name)

            def execute() -> Awaitable[Any]:
                return getattr(self._client, name)(**request)  # type: ignore[no-any-return] # a client of any kind

            scripted = name == "batch_execute_statement" and self._script
            return await (self._script.pop(0)(execute) if scripted else execute())

        return call


async def done_twice(execute: Callable[[], Awaitable[Any]]) -> Any:
    """The answer was lost, and the SDK repeated the call."""
    await execute()
    return await execute()


async def done_without_answer(execute: Callable[[], Awaitable[Any]]) -> Any:
    await execute()
    raise ReadTimeoutError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")


async def throttle(_: Any) -> Any:
    raise throttling("BatchExecuteStatement")


async def executed(execute: Callable[[], Awaitable[Any]]) -> Any:
    return await execute()


def watched(ledger: TrackingLedger, *script: Any) -> tuple[TrackingLedger, list[str]]:
    """The same table through a client that is watched, and its calls."""
    client: Any = Watched(ledger._client, *script)
    return TrackingLedger(client, ledger._table), client.calls


async def test_a_hundred_claims_and_records_take_eight_calls(client: Any) -> None:
    ledger, calls = watched(await ledger_on(client))
    assert await ledger.claim(claims(100)) == [None] * 100
    await ledger.record(sends(100))
    assert calls == ["batch_execute_statement"] * 8


async def test_the_rows_behind_a_hundred_lost_claims_are_read_in_one_call(client: Any) -> None:
    ledger = await ledger_on(client)
    await put(ledger, *claims(100, "other"))
    ledger, calls = watched(ledger)
    assert await ledger.claim(claims(100)) == claims(100, "other")
    assert calls == ["batch_execute_statement"] * 4 + ["batch_get_item"]


async def test_a_single_claim_is_one_call_that_answers_with_the_row_itself(client: Any) -> None:
    ledger, calls = watched(await ledger_on(client))
    await ledger.claim(claims(1))
    assert await ledger.claim(claims(1, "other")) == claims(1)
    await ledger.record(sends(1))
    assert calls == ["put_item", "put_item", "update_item"]


async def test_claims_that_were_written_twice_are_still_ones_own(client: Any) -> None:
    ledger = await ledger_on(client)
    await put(ledger, *claims(3, "other"))
    ledger, _ = watched(ledger, done_twice)
    assert await ledger.claim(claims(6)) == [*claims(3, "other"), None, None, None]


@pytest.mark.parametrize("outcome", [throttle, done_without_answer])
async def test_claims_without_an_answer_leave_the_other_calls_standing(client: Any, outcome: Any) -> None:
    ledger, _ = watched(await ledger_on(client), outcome)
    answers = await ledger.claim(claims(30))
    assert [isinstance(answer, ServiceUnavailable) for answer in answers] == [True] * 25 + [False] * 5
    assert answers[25:] == [None] * 5


@pytest.mark.parametrize("outcome", [throttle, done_without_answer])
async def test_a_record_without_an_answer_raises_once_the_others_are_written(
    client: Any, outcome: Any
) -> None:
    ledger, _ = watched(await ledger_on(client), executed, executed, outcome)
    await put(ledger, *claims(30))
    with pytest.raises(ServiceUnavailable):
        await ledger.record(sends(30))
    assert {(await row(ledger, claim.email_id)).status for claim in claims(30)[25:]} == {"sent"}


async def test_rows_that_can_not_be_read_stand_without_an_answer_and_won_claims_stay_won(client: Any) -> None:
    ledger = await ledger_on(client)
    await put(ledger, *claims(2, "other"))

    class Blind(Watched):
        async def batch_get_item(self, **_: Any) -> Any:
            raise throttling("BatchGetItem")

    blind: Any = Blind(client)
    first, second, *won = await TrackingLedger(blind, ledger._table).claim(claims(5))
    assert isinstance(first, ServiceUnavailable)
    assert isinstance(second, ServiceUnavailable)
    assert won == [None] * 3


async def test_a_row_that_is_gone_by_when_it_is_read_is_asked_for_again(client: Any) -> None:
    ledger = await ledger_on(client)
    await put(ledger, *claims(2, "other"))

    async def gone_since(execute: Callable[[], Awaitable[Any]]) -> Any:
        answer = await execute()
        await client.delete_item(TableName=ledger._table, Key={"emailId": {"S": "e000"}})
        return answer

    gone, there = await watched(ledger, gone_since)[0].claim(claims(2))
    assert isinstance(gone, ServiceUnavailable)
    assert there == claims(2, "other")[1]


# -- a table that does not answer ----------------------------------------------------------------------------


def throttling(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, operation)


class Throttled:
    """Answers every call with a throttle."""

    def __getattr__(self, name: str) -> Any:
        async def call(**_: Any) -> Any:
            raise throttling(name)

        return call


def throttled() -> TrackingLedger:
    client: Any = Throttled()
    return TrackingLedger(client, "table")


async def test_a_single_claim_without_an_answer_is_said_as_for_a_batch() -> None:
    (answer,) = await throttled().claim([CLAIM])
    assert isinstance(answer, ServiceUnavailable)
    assert str(answer) == "DynamoDB (EmailTracking) put_item answered ThrottlingException"


@pytest.mark.parametrize(
    "call",
    [
        lambda ledger: ledger.read("e1"),
        lambda ledger: ledger.reclaim(CLAIM, LEASE),
        lambda ledger: ledger.release("e1", LEASE),
        lambda ledger: ledger.record([Move(email_id="e1", to=Status.SENT, at=NOW)]),
        lambda ledger: ledger.advance("e1", Status.SENT, at=NOW, fingerprint="f"),
        lambda ledger: ledger.note("e1", {"clickedAt": "now"}),
        lambda ledger: ledger.mark("e1", "f"),
        lambda ledger: ledger.find_by_ses_message_id("ses-1"),
    ],
)
async def test_a_throttled_table_is_a_service_that_is_unavailable(call: Any) -> None:
    with pytest.raises(ServiceUnavailable, match=r"^DynamoDB \(EmailTracking\) \w+ answered \w+$"):
        await call(throttled())
