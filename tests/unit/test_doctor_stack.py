"""What the doctor makes of an account and a stack, from what AWS answered."""

from typing import Any

import pytest

from engine.operations.account_checks import Finding, sending_account
from engine.operations.doctor import stack_checks

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail-SESFeedback"
ACCOUNT = {
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": True,
    "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 1_200.0},
    "SendingEnabled": True,
}
DESTINATION: dict[str, Any] = {
    "Name": "feedback",
    "Enabled": True,
    "MatchingEventTypes": [
        "SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "RENDERING_FAILURE", "DELIVERY_DELAY"
    ],
    "SnsDestination": {"TopicArn": TOPIC},
}  # fmt: skip


def only(findings: Any) -> Finding:
    (finding,) = findings
    assert isinstance(finding, Finding)
    return finding


def quota(sent: float, daily: float = 50_000) -> dict[str, Any]:
    return {**ACCOUNT, "SendQuota": {"Max24HourSend": daily, "MaxSendRate": 14.0, "SentLast24Hours": sent}}


class TestAccount:
    def test_one_in_production_shows_what_it_may_send_and_has_sent(self) -> None:
        said = only(sending_account(ACCOUNT))
        assert (said.level, said.what) == (
            "ok",
            "SES is in production: 50,000 emails a day, 14 a second; 1,200 sent in the last 24 hours",
        )

    @pytest.mark.parametrize(
        ("changed", "text"),
        [
            ({"SendingEnabled": False}, "paused sending"),
            ({"EnforcementStatus": "PROBATION"}, "under PROBATION"),
            ({"ProductionAccessEnabled": False}, "in the sandbox"),
        ],
    )
    def test_what_keeps_mail_back_is_a_problem(self, changed: dict[str, Any], text: str) -> None:
        problems = [each for each in sending_account({**ACCOUNT, **changed}) if each.level == "problem"]
        assert text in only(problems).what

    @pytest.mark.parametrize(
        ("sent", "levels"),
        [(39_999, ["ok"]), (40_000, ["ok", "note"]), (49_999, ["ok", "note"]), (50_000, ["ok", "problem"])],
    )
    def test_a_daily_quota_is_short_from_eighty_percent_on_and_then_used_up(
        self, sent: float, levels: list[str]
    ) -> None:
        assert [each.level for each in sending_account(quota(sent))] == levels

    def test_an_account_without_a_quota_never_runs_short(self) -> None:
        assert only(sending_account(quota(10_000_000, -1))).level == "ok"


class TestStack:
    @pytest.mark.parametrize(
        ("status", "level"),
        [
            ("CREATE_COMPLETE", "ok"),
            ("UPDATE_COMPLETE", "ok"),
            ("UPDATE_ROLLBACK_COMPLETE", "ok"),
            ("IMPORT_COMPLETE", "ok"),
            ("UPDATE_IN_PROGRESS", "note"),
            ("ROLLBACK_COMPLETE", "problem"),
            ("UPDATE_ROLLBACK_FAILED", "problem"),
            ("DELETE_FAILED", "problem"),
        ],
    )
    def test_only_what_a_failed_operation_left_is_a_problem(self, status: str, level: str) -> None:
        stack = {"StackName": "mail", "StackStatus": status}
        assert only(stack_checks.stack_status(stack, "1.0.0")).level == level

    def test_another_version_than_the_commands_is_worth_knowing(self) -> None:
        outputs = [{"OutputKey": "Version", "OutputValue": "0.9.0"}]
        stack = {"StackName": "mail", "StackStatus": "CREATE_COMPLETE", "Outputs": outputs}
        assert [each.level for each in stack_checks.stack_status(stack, "1.0.0")] == ["ok", "note"]
        assert [each.level for each in stack_checks.stack_status(stack, "0.9.0")] == ["ok"]


CONFIRMED = {"SubscriptionArn": f"{TOPIC}:0a1b", "Protocol": "email", "Endpoint": "ops@shop.example"}
WAITING = {"SubscriptionArn": "PendingConfirmation", "Protocol": "email", "Endpoint": "cto@shop.example"}


class TestAlarms:
    @pytest.mark.parametrize(
        ("subscriptions", "level"),
        [([CONFIRMED], "ok"), ([], "note"), ([CONFIRMED, WAITING], "note"), ([WAITING], "problem")],
    )
    def test_a_subscription_counts_once_it_is_confirmed(
        self, subscriptions: list[dict[str, str]], level: str
    ) -> None:
        assert stack_checks.alarm_subscriptions(TOPIC, subscriptions).level == level

    def test_the_address_that_waits_is_not_printed(self) -> None:
        assert "cto@" not in stack_checks.alarm_subscriptions(TOPIC, [WAITING]).what


class TestDeadLetters:
    def test_each_queue_that_holds_something_is_told_with_the_command_that_looks_into_it(self) -> None:
        first, second = stack_checks.dead_letters(
            {"BulkEmailDLQ": 1_200, "EmailRetryDLQ": 0, "EventBridgeDLQ": 1}
        )
        assert (first.level, first.what) == ("problem", "BulkEmailDLQ holds 1,200.")
        assert "dlq show EventBridgeDLQ" in second.remedy

    def test_one_that_is_gone_is_a_problem(self) -> None:
        assert only(stack_checks.dead_letters({"BulkEmailDLQ": None, "EmailRetryDLQ": 0})).level == "problem"

    def test_empty_ones_are_well(self) -> None:
        assert only(stack_checks.dead_letters({"BulkEmailDLQ": 0, "EmailRetryDLQ": 0})).level == "ok"


class TestRoom:
    def check(self, free: int, sender: int | None, processor: int | None) -> list[Finding]:
        limits = {"ConcurrentExecutions": 1_000, "UnreservedConcurrentExecutions": free}
        return list(stack_checks.room_to_run(limits, {"EmailSender": sender, "FeedbackProcessor": processor}))

    def test_what_is_reserved_and_what_is_left_is_told(self) -> None:
        assert only(self.check(886, 14, 100)) == Finding(
            "ok",
            "Lambda has room: 14 for EmailSender, 100 for FeedbackProcessor; of the account's 1,000"
            " concurrent executions 886 are not reserved",
        )

    def test_a_function_that_was_switched_off_by_a_reservation_of_nothing_is_a_problem(self) -> None:
        said = only(self.check(986, 0, 100))
        assert (said.level, said.what) == (
            "problem",
            "EmailSender may not run: its reserved concurrency is 0.",
        )

    @pytest.mark.parametrize(("free", "level"), [(100, "ok"), (99, "note")])
    def test_without_a_reservation_what_is_left_must_do(self, free: int, level: str) -> None:
        assert only(self.check(free, None, None)).level == level


class TestReports:
    def check(self, of_set: dict[str, Any] | None = None, *destinations: dict[str, Any]) -> list[Finding]:
        return list(stack_checks.reports_of_ses("mail-ConfigSet", of_set or {}, destinations, TOPIC))

    def test_all_that_statuses_are_made_of_is_well(self) -> None:
        assert only(self.check(None, DESTINATION)).level == "ok"

    @pytest.mark.parametrize(
        "changed",
        [
            {"Enabled": False},
            {"SnsDestination": {"TopicArn": f"{TOPIC}-of-another"}},
            {"MatchingEventTypes": ["SEND", "DELIVERY", "COMPLAINT"]},
        ],
    )
    def test_reports_that_do_not_reach_the_stack_are_named(self, changed: dict[str, Any]) -> None:
        said = only(self.check(None, {**DESTINATION, **changed}))
        assert said.level == "problem"
        assert "BOUNCE" in said.what

    def test_a_set_that_may_not_send_is_a_problem(self) -> None:
        said = self.check({"SendingOptions": {"SendingEnabled": False}}, DESTINATION)
        assert [each.level for each in said] == ["problem", "ok"]


class TestTracking:
    def check(self, *events: str, html: str = '<a class="b" href="{{ url }}">Reset</a>') -> list[Finding]:
        destination = {**DESTINATION, "MatchingEventTypes": list(events)}
        return list(stack_checks.tracking([destination], {"password-reset": html}))

    def test_neither_opens_nor_clicks_is_well(self) -> None:
        assert only(self.check("SEND")).level == "ok"

    def test_rewritten_links_of_security_mail_are_worth_knowing(self) -> None:
        said = only(self.check("CLICK"))
        assert (said.level, said.what) == ("note", "SES rewrites links of password-reset.")

    def test_links_that_are_marked_are_left_alone(self) -> None:
        assert self.check("CLICK", html='<a ses:no-track href="{{ url }}">Reset</a>') == []

    def test_the_picture_in_security_mail_is_worth_knowing(self) -> None:
        assert "invisible picture into password-reset" in only(self.check("OPEN")).what

    @pytest.mark.parametrize(
        "template", ["password-reset", "email-verification", "account-alert", "login_code", "magicLink"]
    )
    def test_security_mail_is_known_by_its_name(self, template: str) -> None:
        assert stack_checks.is_security_mail(template)

    @pytest.mark.parametrize("template", ["order-confirmation", "newsletter", "welcome", "invoice"])
    def test_other_mail_is_not_taken_for_it(self, template: str) -> None:
        assert not stack_checks.is_security_mail(template)
