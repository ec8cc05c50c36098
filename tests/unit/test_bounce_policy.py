"""The bounce policy, line by line of its table, and what no line may break."""

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.ses_examples import bounce, event, text

from engine.errors import FailureCode
from engine.feedback.bounce_policy import (
    COMPLAINT,
    HARD_BOUNCE,
    SOFT_BOUNCE_EXCEEDED,
    SOFT_BOUNCE_LIMIT,
    Facts,
    Suppression,
    Verdict,
    judge,
    may_be_soft_bounce,
)
from engine.feedback.reports import Report, reports
from engine.schemas.ses_events import SesEvent, decode
from engine.tracking.lifecycle import Status, can_transition

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FIRST = Facts(attempt=0)
RETRY = Facts(attempt=1)
DSN = {"status": "4.2.2", "action": "failed", "diagnostic": "smtp; 452 4.2.2 mailbox full"}


def report_of(of: dict[str, object]) -> Report:
    found = decode(text(of))
    assert isinstance(found, SesEvent)
    return reports(found, NOW)[0]


def bounced(kind: str, subtype: str, **dsn: str) -> Report:
    return report_of(bounce(kind, subtype, **dsn))


def outcome(verdict: Verdict) -> tuple[Status | None, Suppression | None, bool, bool]:
    return verdict.to, verdict.suppress, verdict.retry, verdict.counts


# -- permanent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subtype",
    [
        "General",
        "NoEmail",
        "Suppressed",
        "OnAccountSuppressionList",
        "OnTenantSuppressionList",
        "Brand-New",
        "",
    ],
)
@pytest.mark.parametrize("facts", [FIRST, RETRY, Facts(delivered=True)])
def test_a_permanent_bounce_of_any_subtype_suppresses_and_counts(subtype: str, facts: Facts) -> None:
    verdict = judge(bounced("Permanent", subtype), facts)
    assert outcome(verdict) == (Status.BOUNCED, HARD_BOUNCE, False, True)


@pytest.mark.parametrize("subtype", ["General", "MailboxFull", "CustomTimeoutExceeded", "Brand-New"])
@pytest.mark.parametrize("facts", [FIRST, RETRY, Facts(delivered=True)])
def test_a_transient_bounce_with_a_permanent_code_is_permanent(subtype: str, facts: Facts) -> None:
    verdict = judge(bounced("Transient", subtype, status="5.1.1"), facts)
    assert outcome(verdict) == (Status.BOUNCED, HARD_BOUNCE, False, True)


def test_why_is_told_in_words_and_kept_in_the_row() -> None:
    verdict = judge(
        bounced("Permanent", "NoEmail", status="5.1.1", diagnostic="smtp; 550 no such user"), FIRST
    )
    assert verdict.reason is not None
    assert verdict.reason.code == "hard-bounce"
    assert verdict.reason.message == "Permanent NoEmail 5.1.1: smtp; 550 no such user"
    assert verdict.notes == {
        "bounceType": "Permanent",
        "bounceSubType": "NoEmail",
        "diagnosticCode": "smtp; 550 no such user",
    }


# -- transient -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subtype", ["General", "MailboxFull", "CustomTimeoutExceeded"])
def test_a_soft_bounce_of_a_first_attempt_is_retried(subtype: str) -> None:
    assert outcome(judge(bounced("Transient", subtype, **DSN), FIRST)) == (
        Status.SOFT_BOUNCED,
        None,
        True,
        False,
    )


@pytest.mark.parametrize("subtype", ["General", "MailboxFull", "CustomTimeoutExceeded", "Brand-New"])
def test_a_soft_bounce_of_a_retry_fails_without_blame(subtype: str) -> None:
    verdict = judge(bounced("Transient", subtype, **DSN), RETRY)
    assert outcome(verdict) == (Status.FAILED, None, False, False)
    assert verdict.refusal is not None
    assert verdict.refusal.code is FailureCode.SOFT_BOUNCE_RETRY_FAILED
    assert verdict.reason is not None
    assert verdict.reason.code == "soft-bounce-retry-failed"


def test_an_unknown_subtype_is_soft_but_nobody_knows_that_a_second_try_helps() -> None:
    verdict = judge(bounced("Transient", "Brand-New", **DSN), FIRST)
    assert outcome(verdict) == (Status.SOFT_BOUNCED, None, False, False)


@pytest.mark.parametrize("subtype", ["MessageTooLarge", "ContentRejected", "AttachmentRejected"])
@pytest.mark.parametrize("status", ["", "4.3.4", "5.3.4", "5.7.1"])
@pytest.mark.parametrize("facts", [FIRST, RETRY, Facts(soft_bounces=99)])
def test_refused_content_fails_and_the_recipient_is_not_blamed(
    subtype: str, status: str, facts: Facts
) -> None:
    verdict = judge(bounced("Transient", subtype, status=status), facts)
    assert outcome(verdict) == (Status.FAILED, None, False, False)
    assert verdict.refusal is not None
    assert verdict.refusal.code is FailureCode.CONTENT_BOUNCE


@pytest.mark.parametrize("facts", [FIRST, RETRY, Facts(soft_bounces=99)])
@pytest.mark.parametrize("kind", ["Undetermined", "Baffling"])
def test_an_undetermined_bounce_is_soft_and_has_no_consequence(kind: str, facts: Facts) -> None:
    verdict = judge(bounced(kind, "Undetermined"), facts)
    assert outcome(verdict) == (Status.SOFT_BOUNCED, None, False, False)


# -- out of office -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", [0, 1])
def test_an_out_of_office_answer_after_the_delivery_is_only_noted(attempt: int) -> None:
    verdict = judge(bounced("Transient", "General"), Facts(attempt=attempt, delivered=True, soft_bounces=99))
    assert outcome(verdict) == (None, None, False, False)
    assert verdict.notes["autoReplyAt"] == "2026-03-02T09:41:02.669Z"


def test_one_that_overtakes_the_delivery_looks_like_a_soft_bounce() -> None:
    assert outcome(judge(bounced("Transient", "General"), FIRST)) == (Status.SOFT_BOUNCED, None, True, False)


def test_one_that_overtakes_the_delivery_of_a_retry_fails_it() -> None:
    verdict = judge(bounced("Transient", "General"), RETRY)
    assert outcome(verdict) == (Status.FAILED, None, False, False)


def test_a_general_bounce_after_the_delivery_of_a_first_attempt_is_never_resent() -> None:
    verdict = judge(bounced("Transient", "General", **DSN), Facts(delivered=True))
    assert outcome(verdict) == (None, None, False, False)


# -- the fifteenth soft bounce -------------------------------------------------------------------------------


@pytest.mark.parametrize("subtype", ["General", "MailboxFull", "CustomTimeoutExceeded", "Brand-New"])
def test_the_fifteenth_soft_bounce_suppresses_and_a_suppressed_address_gets_no_retry(subtype: str) -> None:
    verdict = judge(bounced("Transient", subtype, **DSN), Facts(soft_bounces=SOFT_BOUNCE_LIMIT))
    assert outcome(verdict) == (Status.SOFT_BOUNCED, SOFT_BOUNCE_EXCEEDED, False, False)
    assert verdict.reason is not None
    assert verdict.reason.code == "soft-bounce-exceeded"


def test_the_fourteenth_does_not() -> None:
    verdict = judge(bounced("Transient", "MailboxFull", **DSN), Facts(soft_bounces=SOFT_BOUNCE_LIMIT - 1))
    assert outcome(verdict) == (Status.SOFT_BOUNCED, None, True, False)


def test_the_fifteenth_on_a_retry_fails_and_suppresses() -> None:
    verdict = judge(bounced("Transient", "MailboxFull", **DSN), replace(RETRY, soft_bounces=15))
    assert outcome(verdict) == (Status.FAILED, SOFT_BOUNCE_EXCEEDED, False, False)


@pytest.mark.parametrize(
    ("report", "counted"),
    [
        (bounced("Transient", "MailboxFull"), True),
        (bounced("Transient", "General", **DSN), True),
        (bounced("Transient", "MailboxFull", status="5.2.2"), False),
        (bounced("Transient", "ContentRejected"), False),
        (bounced("Undetermined", "Undetermined"), False),
        (bounced("Permanent", "General"), False),
        (report_of(event("Complaint")), False),
    ],
)
def test_the_ledger_is_asked_only_where_the_answer_matters(report: Report, counted: bool) -> None:  # noqa: FBT001 - a table's cell
    assert may_be_soft_bounce(report) is counted


# -- everything else -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("feedback_type", ["abuse", "fraud", "virus", "other", "auth-failure", None])
def test_a_complaint_suppresses(feedback_type: str | None) -> None:
    verdict = judge(report_of(event("Complaint", complaintFeedbackType=feedback_type)), FIRST)
    assert outcome(verdict) == (Status.COMPLAINED, COMPLAINT, False, False)


@pytest.mark.parametrize("spelling", ["not-spam", " Not-Spam "])
def test_a_recipient_who_says_not_spam_is_only_noted(spelling: str) -> None:
    verdict = judge(report_of(event("Complaint", complaintFeedbackType=spelling)), FIRST)
    assert outcome(verdict) == (None, None, False, False)
    assert "notSpamAt" in verdict.notes


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("Reject", FailureCode.REJECTED, "Bad content"),
        ("Rendering Failure", FailureCode.RENDERING_FAILURE, "attributeName"),
    ],
)
def test_what_ses_drops_has_failed(kind: str, code: FailureCode, words: str) -> None:
    verdict = judge(report_of(event(kind)), FIRST)
    assert outcome(verdict) == (Status.FAILED, None, False, False)
    assert verdict.refusal is not None
    assert verdict.refusal.code is code
    assert words in verdict.refusal.message


@pytest.mark.parametrize(
    ("kind", "to"), [("Send", Status.SENT), ("Delivery", Status.DELIVERED), ("Open", Status.OPENED)]
)
def test_progress_moves_the_row(kind: str, to: Status) -> None:
    assert outcome(judge(report_of(event(kind)), FIRST)) == (to, None, False, False)


def test_opens_and_clicks_keep_their_first_time() -> None:
    assert judge(report_of(event("Open")), FIRST).notes == {"openedAt": "2026-03-02T09:50:19.652Z"}
    assert judge(report_of(event("Click")), FIRST).notes == {"clickedAt": "2026-03-02T09:51:25.570Z"}
    assert judge(report_of(event("Click")), FIRST).to is Status.OPENED


def test_a_delay_changes_no_status_and_is_told_aside() -> None:
    verdict = judge(report_of(event("DeliveryDelay")), FIRST)
    assert outcome(verdict) == (None, None, False, False)
    assert verdict.notes == {
        "delayType": "TransientCommunicationFailure",
        "delayExpiresAt": "2026-03-02T23:55:40.914Z",
    }
    assert verdict.aside is not None
    assert verdict.aside.code == "delivery-delayed"
    assert "tries until 2026-03-02T23:55:40.914Z" in verdict.aside.message


def test_a_preference_in_ses_own_lists_is_noted_and_suppresses_nothing() -> None:
    verdict = judge(report_of(event("Subscription")), FIRST)
    assert outcome(verdict) == (None, None, False, False)
    assert verdict.notes == {"subscriptionChangedAt": "2026-03-02T10:00:17.910Z"}


# -- copies --------------------------------------------------------------------------------------------------


def test_a_copy_that_bounces_costs_the_address_and_the_quota_but_not_the_row() -> None:
    report = bounced("Permanent", "NoEmail", status="5.1.1")
    verdict = judge(report, Facts(primary=False))
    assert outcome(verdict) == (None, HARD_BOUNCE, False, True)
    assert verdict.aside is not None
    assert verdict.aside.code == "copy-bounced"
    assert verdict.aside.message == "copy to recipient@example.com: Permanent NoEmail 5.1.1"


def test_a_copy_that_complains_is_suppressed() -> None:
    verdict = judge(report_of(event("Complaint")), Facts(primary=False))
    assert outcome(verdict) == (None, COMPLAINT, False, False)
    assert verdict.aside is not None
    assert verdict.aside.code == "copy-complained"


@pytest.mark.parametrize(
    "report",
    [
        report_of(event("Delivery")),
        report_of(event("DeliveryDelay")),
        bounced("Transient", "MailboxFull"),
        bounced("Transient", "ContentRejected"),
        bounced("Undetermined", "Undetermined"),
    ],
)
def test_anything_less_about_a_copy_is_nothing(report: Report) -> None:
    assert judge(report, Facts(primary=False)) == Verdict()


# -- what holds for every bounce -----------------------------------------------------------------------------

any_bounce = st.builds(
    bounced,
    st.sampled_from(["Permanent", "Transient", "Undetermined", "Baffling"]),
    st.sampled_from(["General", "MailboxFull", "CustomTimeoutExceeded", "MessageTooLarge", "NoEmail", "?"]),
    status=st.sampled_from(["", "4.2.2", "5.1.1", "5.7.1"]),
)
any_facts = st.builds(
    Facts,
    attempt=st.integers(0, 3),
    delivered=st.booleans(),
    soft_bounces=st.integers(1, 20),
    primary=st.booleans(),
)


@given(any_bounce, any_facts)
def test_only_hard_bounces_count_and_they_always_suppress(report: Report, facts: Facts) -> None:
    verdict = judge(report, facts)
    assert verdict.counts == (verdict.suppress == HARD_BOUNCE)


@given(any_bounce, any_facts)
def test_nothing_is_retried_twice_nor_to_a_suppressed_address(report: Report, facts: Facts) -> None:
    verdict = judge(report, facts)
    if verdict.retry:
        assert facts.attempt == 0
        assert facts.primary
        assert not facts.delivered or report.subtype != "General"
        assert verdict.suppress is None
        assert verdict.to is Status.SOFT_BOUNCED


@given(any_bounce, any_facts)
def test_whether_the_delivery_came_first_makes_no_difference_in_the_end(report: Report, facts: Facts) -> None:
    assume(report.has_dsn)  # an automatic answer is no bounce, but only a delivery before tells it from one
    before = judge(report, replace(facts, delivered=False))
    after = judge(report, replace(facts, delivered=True))
    assert ends(before, Status.DELIVERED) is ends(after, Status.DELIVERED)
    assert (before.suppress, before.counts) == (after.suppress, after.counts)


def ends(verdict: Verdict, other: Status) -> Status:
    return verdict.to if verdict.to and can_transition(other, verdict.to) else other


@given(any_bounce, any_facts)
def test_every_failure_has_a_code_and_every_move_for_the_worse_a_reason(report: Report, facts: Facts) -> None:
    verdict = judge(report, facts)
    assert (verdict.to is Status.FAILED) == (verdict.refusal is not None)
    assert (verdict.to is not None) == (verdict.reason is not None)
