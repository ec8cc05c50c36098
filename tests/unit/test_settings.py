"""The environment, read once and checked as a whole."""

from collections.abc import Mapping
from typing import Any

import pytest

from engine.bootstrap.settings import FeedbackSettings, SenderSettings, SettingsError, read_settings
from engine.schemas.request import Lane
from engine.sending.sender import SenderPolicy
from engine.sending.streams import Stream
from engine.tracking.bounce_quota import QuotaPolicy

FEEDBACK = {
    "TRACKING_TABLE": "Mail-EmailTracking",
    "SUPPRESSION_TABLE": "Mail-Suppression",
    "STATE_TABLE": "Mail-State",
    "RETRY_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/Mail-EmailRetryQueue",
    "EVENT_BUS_NAME": "Mail-EmailBus",
}
SENDER = FEEDBACK | {
    "TEMPLATE_BUCKET": "mail-templates-123456789012",
    "SES_CONFIGURATION_SET": "Mail-ConfigSet",
    "DEFAULT_SENDER_EMAIL": "no-reply@shop.example",
}


def problems(environ: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read_settings(SenderSettings, environ)
    return caught.value.problems


def test_what_is_not_set_has_the_default_of_the_contract() -> None:
    settings = read_settings(SenderSettings, SENDER)
    assert settings.quota == QuotaPolicy(threshold=5.0, min_sends=100, holds_bulk=False)
    assert settings.parked_queue_url == ""
    assert (settings.data_retention_days, settings.ses_max_send_rate) == (90, 0.0)
    assert (settings.template_cache_seconds, settings.reconcile_seconds) == (300.0, 300.0)
    assert (settings.environment, settings.log_level) == ("prod", "INFO")
    assert settings.sender == SenderPolicy("no-reply@shop.example", "", ("shop.example",))


def test_every_variable_is_read() -> None:
    settings = read_settings(
        SenderSettings,
        SENDER
        | {
            "DEFAULT_SENDER_NAME": "The Shop",
            "ALLOWED_SENDERS": "shop.example, billing@other.example",
            "BOUNCE_RATE_THRESHOLD": "2.5",
            "BOUNCE_RATE_MIN_SENDS": "10",
            "BOUNCE_RATE_ACTION": "hold-bulk",
            "PARKED_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/Mail-ParkedEmailQueue",
            "DATA_RETENTION_DAYS": "30",
            "SES_MAX_SEND_RATE": "14",
            "TEMPLATE_CACHE_SECONDS": "0",
            "RECONCILE_SECONDS": "60",
            "ENVIRONMENT": "staging",
            "LOG_LEVEL": "debug",
        },
    )
    assert settings.tracking_table == "Mail-EmailTracking"
    assert settings.suppression_table == "Mail-Suppression"
    assert settings.state_table == "Mail-State"
    assert settings.template_bucket == "mail-templates-123456789012"
    assert settings.retry_queue_url.endswith("/Mail-EmailRetryQueue")
    assert settings.event_bus_name == "Mail-EmailBus"
    assert settings.ses_configuration_set == "Mail-ConfigSet"
    assert settings.sender.default_name == "The Shop"
    assert settings.sender.allowed == ("shop.example", "billing@other.example")
    assert settings.quota == QuotaPolicy(threshold=2.5, min_sends=10, holds_bulk=True)
    assert settings.parked_queue_url.endswith("/Mail-ParkedEmailQueue")
    assert (settings.data_retention_days, settings.ses_max_send_rate) == (30, 14.0)
    assert (settings.template_cache_seconds, settings.reconcile_seconds) == (0.0, 60.0)
    assert (settings.environment, settings.log_level) == ("staging", "DEBUG")


def test_one_error_lists_everything_that_is_missing() -> None:
    assert sorted(problems({})) == sorted(
        f"{name} is missing"
        for name in (
            "TRACKING_TABLE",
            "SUPPRESSION_TABLE",
            "STATE_TABLE",
            "TEMPLATE_BUCKET",
            "RETRY_QUEUE_URL",
            "EVENT_BUS_NAME",
            "SES_CONFIGURATION_SET",
            "DEFAULT_SENDER_EMAIL",
        )
    )


def test_one_error_lists_everything_that_is_wrong_at_once() -> None:
    wrong = {
        "TRACKING_TABLE": " ",
        "RETRY_QUEUE_URL": "Mail-EmailRetryQueue",
        "DEFAULT_SENDER_EMAIL": "no-reply",
        "DEFAULT_SENDER_NAME": "The\nShop",
        "ALLOWED_SENDERS": "shop.example,not a domain",
        "BOUNCE_RATE_THRESHOLD": "five",
        "BOUNCE_RATE_ACTION": "hold",
        "PARKED_QUEUE_URL": "Mail-ParkedEmailQueue",
        "DATA_RETENTION_DAYS": "14",
        "LOG_LEVEL": "LOUD",
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(SenderSettings, SENDER | wrong)
    assert sorted(problem.split()[0] for problem in caught.value.problems) == sorted(wrong)
    assert all(problem in str(caught.value) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("BOUNCE_RATE_THRESHOLD", "101", "a percentage from 0 to 100"),
        ("BOUNCE_RATE_THRESHOLD", "nan", "a percentage from 0 to 100"),
        ("BOUNCE_RATE_MIN_SENDS", "-1", "a whole number of recipients, 0 or more"),
        ("BOUNCE_RATE_MIN_SENDS", "1.5", "a whole number of recipients, 0 or more"),
        ("DATA_RETENTION_DAYS", "14", "a whole number of days from 15 to 3650"),
        ("DATA_RETENTION_DAYS", "3651", "a whole number of days from 15 to 3650"),
        ("SES_MAX_SEND_RATE", "-1", "recipients a second, 0 or more (0 asks SES)"),
        ("SES_MAX_SEND_RATE", "inf", "recipients a second, 0 or more (0 asks SES)"),
        ("TEMPLATE_CACHE_SECONDS", "86401", "seconds from 0 to 86400"),
        ("RECONCILE_SECONDS", "soon", "seconds from 0 to 43200"),
    ],
)
def test_a_malformed_number_is_named_with_what_was_expected(variable: str, value: str, expected: str) -> None:
    assert problems(SENDER | {variable: value}) == (f"{variable} must be {expected}, not {value!r}",)


def test_a_log_level_that_does_not_exist_is_named_with_those_that_do() -> None:
    (problem,) = problems(SENDER | {"LOG_LEVEL": "loud"})
    assert problem == "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'LOUD'"


@pytest.mark.parametrize(
    ("variable", "value", "starts"),
    [
        ("RETRY_QUEUE_URL", "Mail-EmailRetryQueue", "RETRY_QUEUE_URL must be a queue URL"),
        (
            "DEFAULT_SENDER_EMAIL",
            "shop.example",
            "DEFAULT_SENDER_EMAIL must be an email address: 'shop.example'",
        ),
        ("DEFAULT_SENDER_NAME", "a\r\nBcc: b", "DEFAULT_SENDER_NAME must hold no line break"),
        ("ALLOWED_SENDERS", "a b", "ALLOWED_SENDERS must be addresses and domains, split by commas: 'a b'"),
    ],
)
def test_a_malformed_text_is_named_with_what_was_expected(variable: str, value: str, starts: str) -> None:
    (problem,) = problems(SENDER | {variable: value})
    assert problem.startswith(starts)


@pytest.mark.parametrize("variable", ["BOUNCE_RATE_THRESHOLD", "ALLOWED_SENDERS", "ENVIRONMENT", "LOG_LEVEL"])
def test_an_empty_variable_is_one_that_is_not_set(variable: str) -> None:
    assert read_settings(SenderSettings, SENDER | {variable: "  "}) == read_settings(SenderSettings, SENDER)


def test_the_message_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"Set these variables on the function"):
        read_settings(SenderSettings, {})


def test_settings_can_not_be_changed() -> None:
    settings: Any = read_settings(SenderSettings, SENDER)
    with pytest.raises(AttributeError):
        settings.tracking_table = "another"


def test_feedback_needs_less_and_says_so_in_one_error_too() -> None:
    assert read_settings(FeedbackSettings, FEEDBACK).soft_bounce_retry_seconds == 900
    with pytest.raises(SettingsError) as caught:
        read_settings(FeedbackSettings, {"SOFT_BOUNCE_RETRY_SECONDS": "901"})
    *missing, delay = caught.value.problems
    assert set(missing) == {f"{name} is missing" for name in FEEDBACK}
    assert delay.startswith("SOFT_BOUNCE_RETRY_SECONDS must be whole seconds from 0 to 900")


def test_the_retry_of_a_soft_bounce_may_come_sooner() -> None:
    settings = read_settings(
        FeedbackSettings, FEEDBACK | {"SOFT_BOUNCE_RETRY_SECONDS": "5", "ENVIRONMENT": "local"}
    )
    assert (settings.soft_bounce_retry_seconds, settings.environment) == (5, "local")


def test_both_lanes_leave_by_one_set_unless_bulk_mail_has_its_own() -> None:
    settings = read_settings(SenderSettings, SENDER | {"TENANT_NAME": "shop"})
    assert set(settings.streams.values()) == {Stream("Mail-ConfigSet", "shop")}
    more = {"BULK_CONFIGURATION_SET": "Mail-BulkConfigSet", "BULK_TENANT_NAME": "news"}
    assert read_settings(SenderSettings, SENDER | more).streams == {
        Lane.TRANSACTIONAL: Stream("Mail-ConfigSet"),
        Lane.BULK: Stream("Mail-BulkConfigSet", "news"),
    }
