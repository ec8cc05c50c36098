"""No log line of any test holds personal data: what watches over it finds some where it is."""

import logging

import pytest
from tests.support.fakes import FakeTelemetry
from tests.support.log_watch import LOG_WATCH, LogWatch

from engine.telemetry import PowertoolsTelemetry

ADDRESS = "grace" + "@" + "example.com"


@pytest.mark.parametrize("personal", [ADDRESS, "to Ada", f"SES said <{ADDRESS}>", "a countess"])
def test_a_line_of_the_engine_that_holds_personal_data_is_found(personal: str) -> None:
    telemetry = PowertoolsTelemetry("EmailSender", "test", "INFO")
    telemetry.record("email-settled", email_id="e-1", status="sent")
    assert LOG_WATCH.take() == []
    telemetry.record("service-unavailable", problem=personal)
    (line,) = LOG_WATCH.take()
    assert personal in line


def test_a_line_of_a_fake_is_found_too() -> None:
    FakeTelemetry().record("service-unavailable", problem=ADDRESS)
    assert len(LOG_WATCH.take()) == 1


def test_what_a_library_logs_is_found_and_so_is_an_exception_that_it_shows() -> None:
    try:
        raise ValueError(ADDRESS)  # noqa: TRY301 - to be logged right here
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    assert len(LOG_WATCH.take()) == 1


def test_a_test_that_logged_personal_data_fails_with_the_line_and_only_once() -> None:
    watch = LogWatch()
    watch.look('"email_id":"e-1","status":"sent"')
    watch.fail_where_found()
    watch.look(f'"problem":"{ADDRESS}"')
    with pytest.raises(pytest.fail.Exception, match="Personal data was logged") as caught:
        watch.fail_where_found()
    assert ADDRESS in str(caught.value)
    watch.fail_where_found()


def test_the_session_watches() -> None:
    assert LOG_WATCH in logging.getLogger().handlers
