"""What `explain` says of an email: every fate of the demo, played through both functions, and every other."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.support.cloud import request_event
from tests.support.fakes import FakeTemplate
from tests.support.harness import Harness, plenty

from engine.errors import FailureCode
from engine.local.cases import SOURCE, Case, cases
from engine.local.ses.mail_object import MailObject
from engine.local.ses.outcomes import SENT as SEND
from engine.local.ses.outcomes import group_by_outcome
from engine.operations.advice import judge_email
from engine.operations.asking import Unknown
from engine.operations.explain import EmailFacts, history
from engine.operations.ses_list import SesEntry
from engine.requests.addresses import address_key
from engine.requests.email_job import email_id
from engine.schemas.request import EmailRequest
from engine.schemas.rows import BrakeRow, SuppressionRow, TrackingRow
from engine.schemas.times import iso
from engine.tracking.consent import UNSUBSCRIBE, opt_out_key, opt_out_keys

SNAPSHOTS = Path(__file__).parent / "snapshots" / "explain"
ASKED = "2026-03-02T09:30:00.000Z"
ROW = TrackingRow(
    email_id="e1",
    original_email_id="e1",
    to_email="ada@example.com",
    template_name="welcome",
    campaign="spring",
    lane="bulk",
    original_source="shop",
    timestamp=ASKED,
    status="sent",
    sent_at=ASKED,
    ses_message_id="m1",
)


class Played:
    """The demo's emails, sent and reported on in memory."""

    def __init__(self) -> None:
        self.harness = Harness()
        self.aws = self.harness.fake_aws
        names = ("invoice", "password-reset")
        self.aws.templates.templates |= {name: FakeTemplate(name) for name in names}
        self.aws.templates.templates["newsletter"] = FakeTemplate("newsletter", topic="newsletter")
        self._reported: set[str] = set()
        self._received: Counter[str] = Counter()

    async def play(self, case: Case) -> None:
        if case.unsubscribed:
            key = opt_out_key(address_key(case.request.to), "newsletter")
            since = iso(self.aws.clock())
            self.aws.suppression.rows[key] = SuppressionRow(
                email=key,
                suppression_type=UNSUBSCRIBE,
                reason="one-click",
                added_to_suppression_date=since,
                added_by="recipient",
            )
        for request in case.requests()[:1]:
            for _ in range(case.publishes):
                if not request.template_data:  # the fakes' templates need nothing
                    error = "template 'welcome' lacks the variables name, link"
                    self.aws.templates.templates["welcome"] = FakeTemplate("welcome", error=error)
                event = request_event(**detail(request)) | {"time": iso(self.aws.clock())}
                await self.harness.lanes.direct(event, plenty)
                self.aws.templates.templates["welcome"] = FakeTemplate("welcome")
                await self._report()
        for message, seconds in self.aws.retry_queue.retries:
            self.aws.clock.advance(seconds)
            await self.harness.deliver(msgspec.to_builtins(message))
            await self._report()
        self.aws.retry_queue.retries.clear()
        self.aws.clock.advance(60)

    async def _report(self) -> None:
        for ses_id in [ses_id for ses_id in self.aws.mailer.sent if ses_id not in self._reported]:
            self._reported.add(ses_id)
            message = self.aws.mailer.sent[ses_id]
            mail = MailObject(
                message_id=ses_id, sent_at=self.aws.clock(), to=(message.to,), tags=dict(message.tags)
            )
            ((outcome, recipients),) = group_by_outcome([message.to], self._received.__getitem__)
            self._received[message.to] += 1
            for step in (SEND, *outcome):
                self.aws.clock.advance(1)
                report = step.build(mail, recipients, self.aws.clock())
                await self.harness.feedback.process([json.dumps(report)])

    def facts(self, case: Case) -> EmailFacts | None:
        request = case.requests()[0]
        first = email_id(SOURCE, request.idempotency_key or "")
        rows = [row for row in self.aws.ledger.rows.values() if row.original_email_id == first]
        rows.sort(key=lambda row: row.retry_attempt)
        if not rows:
            return None
        address, topic = address_key(request.to), rows[0].topic
        keys = (address, *(opt_out_keys(topic, address) if topic else ()))
        suppressed = [row for key in keys if (row := self.aws.suppression.rows.get(key))]
        return EmailFacts(attempts=rows, suppressed=suppressed)


def detail(request: EmailRequest) -> dict[str, Any]:
    given = msgspec.to_builtins(request)
    return {"source": SOURCE} | {name: value for name, value in given.items() if value not in (None, {}, [])}


def told(facts: EmailFacts, played: Played) -> str:
    """The timeline and the verdict, as text."""
    now = played.aws.clock()
    lines = []
    for moment in history(facts, now).timeline:
        about = f": {moment.about}" if moment.about else ""
        lines.append(f"{(moment.at or '')[:19]:20}{moment.who:12}{moment.title}{about}")
    verdict = judge_email(facts, now, " --stack x")
    return "\n".join([*lines, "", verdict.sentence, f"Next: {verdict.next_command}", ""])


async def test_every_fate_of_the_demo_is_told_as_it_should_be() -> None:
    played = Played()
    texts: dict[str, str] = {}
    for case in cases():
        await played.play(case)
        facts = played.facts(case)
        if facts is None:
            assert case.status == "dry_run"  # leaves no row; `find` and `explain` say so
            continue
        assert (facts.row.status, facts.row.failure_code) == (case.status, case.code)
        texts[case.key] = told(facts, played)
    stored = {path.stem: path.read_text() for path in SNAPSHOTS.glob("*.txt")}
    assert texts == stored


NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def verdict(row: TrackingRow = ROW, **more: Any) -> tuple[bool, str, str | None]:
    facts = EmailFacts(attempts=[row], **more)
    judged = judge_email(facts, NOW)
    return judged.good, judged.sentence, judged.next_command


def sending(**more: Any) -> TrackingRow:
    changes: dict[str, Any] = {"status": "sending", "sent_at": None, "ses_message_id": None} | more
    return replace(ROW, **changes)


def test_an_email_that_is_being_sent_is_well() -> None:
    good, sentence, _ = verdict(sending(lease_until=NOW.timestamp() + 12))
    assert (good, sentence) == (True, "It is being sent: an invocation holds its claim for 12 s more.")


def test_an_outcome_that_nobody_knows_is_said_to_be_so() -> None:
    good, sentence, command = verdict(sending(lease_until=NOW.timestamp() - 300))
    assert not good
    assert sentence.startswith("Whether SES took it is not known: the claim ran out 5 min ago")
    assert command == "sesmailengine status"


def test_an_email_that_was_deferred_waits_by_itself() -> None:
    good, sentence, command = verdict(sending())
    assert (good, command) == (False, "sesmailengine status")
    assert "deferred and waits in its lane" in sentence


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("stop#all", "sesmailengine go --all"),
        ("stop#bulk", "sesmailengine go --bulk"),
        ("stop#template#welcome", "sesmailengine go --template welcome"),
        ("stop#campaign#spring", "sesmailengine go --campaign spring"),
        ("cancel#campaign#spring", None),
    ],
)
def test_an_email_under_a_brake_names_it_and_how_to_lift_it(key: str, command: str | None) -> None:
    brake = BrakeRow(pk=key, because="wrong price", by="ada", since=ASKED)
    good, sentence, suggested = verdict(sending(), brakes=[brake])
    assert (good, suggested) == (False, command)
    assert f"{key}, set by ada at {ASKED}: wrong price" in sentence


def test_a_sent_email_without_a_report_is_looked_at_after_an_hour() -> None:
    assert verdict(replace(ROW, sent_at="2026-03-02T11:30:00.000Z"))[:2] == (
        True,
        "SES took it 30 min ago; the receiving server has not answered yet.",
    )
    good, sentence, command = verdict()
    assert (good, command) == (False, "sesmailengine status")
    assert "reports don't come in" in sentence


def test_a_delay_says_until_when_ses_tries() -> None:
    row = replace(ROW, delay_type="MailboxFull", delay_expires_at="2026-03-03T09:30:00.000Z")
    sentence = verdict(row)[1]
    assert "can't deliver it yet (MailboxFull); it goes on trying until 2026-03-03 at 09:30 UTC" in sentence


def test_a_soft_bounce_says_whether_it_is_tried_again() -> None:
    row = replace(ROW, status="soft_bounced", bounce_type="Transient", bounce_sub_type="MailboxFull")
    assert "the engine tries once more, 15 min later" in verdict(row)[1]
    assert "It is not tried again" in verdict(replace(row, bounce_type="Undetermined"))[1]
    suppressed = SuppressionRow(email="ada@example.com", reason="soft-bounce-exceeded")
    good, sentence, command = verdict(row, suppressed=[suppressed])
    assert "is not tried again. Later mail to it is refused: it is in our table" in sentence
    assert (good, command) == (False, "sesmailengine suppression show ada@example.com")


def test_an_address_on_sess_own_list_is_named_as_such() -> None:
    row = replace(ROW, status="bounced", bounce_type="Permanent", bounce_sub_type="OnAccountSuppressionList")
    listing = SesEntry(address="ada@example.com", reason="BOUNCE", since=ASKED)
    sentence = verdict(row, ses_listing=listing)[1]
    assert "SES did not even try: the address is on a list of its own (OnAccountSuppressionList)." in sentence
    assert "on SES's list of the account since 2026-03-02 at 09:30 UTC (BOUNCE)" in sentence


def test_an_address_that_is_suppressed_no_longer_may_be_asked_for_again() -> None:
    row = sending(status="failed", failure_code="suppressed", failure_reason="suppressed since May.")
    good, sentence, command = verdict(row)
    assert (good, command) == (False, None)
    assert sentence == (
        "It was not sent (suppressed): suppressed since May. The address is so no longer: the application may"
        " ask again, under another key."
    )


def test_an_opt_out_of_one_topic_stands_not_in_the_way_of_other_mail() -> None:
    opted_out = SuppressionRow(email="*#ada@example.com", suppression_type="unsubscribe")
    row = replace(ROW, status="delivered", delivered_at=ASKED)
    good, sentence, command = verdict(row, suppressed=[opted_out])
    assert (good, command) == (True, None)
    assert "refused" not in sentence


@pytest.mark.parametrize("code", [*FailureCode, "of-a-newer-version"])
def test_every_failure_is_told_with_its_reason(code: str) -> None:
    good, sentence, _ = verdict(sending(status="failed", failure_code=code, failure_reason="the reason"))
    assert not good
    assert code in sentence
    assert "the reason" in sentence


def test_what_a_newer_version_calls_a_status_is_shown_as_it_is() -> None:
    sentence = verdict(replace(ROW, status="archived"))[1]
    assert sentence == "Its status is 'archived', which this version does not know."


def test_the_timeline_tells_how_long_an_email_waited() -> None:
    row = replace(ROW, sent_at="2026-03-02T09:44:00.000Z")
    moments = history(EmailFacts(attempts=[row], ses_listing=Unknown(why="denied")), NOW).timeline
    assert [(moment.title, moment.about) for moment in moments] == [
        ("Asked", "shop: welcome, campaign spring, bulk lane"),
        ("Accepted", "as m1; it had waited 14 min"),
        ("Told", "the bus got Email Status Changed: sent"),
    ]


def test_what_the_email_said_is_in_no_answer() -> None:
    row = replace(ROW, kept_request=b"secret", metadata={"order": "secret"}, tags={"kind": "secret"})
    assert b"secret" not in msgspec.json.encode(history(EmailFacts(attempts=[row]), NOW))
