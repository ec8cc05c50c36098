"""What a deployment may choose, and how it hears of a bad choice."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from infra import account
from infra.settings import StackSettings, StackSettingsError

SENDER = {"defaultSenderEmail": "no-reply@example.com"}


def test_everything_has_a_default() -> None:
    assert StackSettings.from_context({}) == StackSettings()


def test_context_from_the_command_line_comes_as_text_and_is_read() -> None:
    settings = StackSettings.from_context(
        {**SENDER, "senderConcurrency": "50", "bounceRateThreshold": "2.5", "environment": "staging"}
    )
    assert (settings.sender_concurrency, settings.bounce_rate_threshold) == (50, 2.5)
    assert settings.environment == "staging"
    assert settings.pinned == {
        "default_sender_email",
        "sender_concurrency",
        "bounce_rate_threshold",
        "environment",
    }


def test_names_of_the_stack_and_of_the_machine_are_no_parameters() -> None:
    settings = StackSettings.from_context({"stackName": "shop-mail", "target": "local"})
    assert (settings.stack_name, settings.target, settings.pinned) == ("shop-mail", "local", frozenset())


def test_one_error_lists_every_value_that_cannot_be_read() -> None:
    with pytest.raises(StackSettingsError) as caught:
        StackSettings.from_context(
            {"defaultSenderEmail": 5, "senderMemory": "much", "environment": "production"}
        )
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "defaultSenderEmail",
        "senderMemory",
        "environment",
    ]
    for problem in caught.value.problems:
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("stackName", "SESMailEngine", "lower-case"),
        ("defaultSenderEmail", "nobody", "@-sign"),
        ("defaultSenderName", "two\nlines", "one line"),
        ("defaultSenderName", "x" * 129, "128 characters"),
        ("allowedSenders", "example.com,nobody at all", "not an email address"),
        ("adminEmail", "ops@", "email address"),
        ("bounceRateThreshold", "0", "from 0.1 to 100"),
        ("bounceRateThreshold", "101", "to 100"),
        ("bounceRateThreshold", "a few", "expected a number"),
        ("bounceRateThreshold", "nan", "expected a number"),
        ("bounceRateMinSends", "0", "1 to 1000000"),
        ("dataRetentionDays", "14", "15 to 3650 days"),
        ("trackingDomain", "https://click.shop.example", "a domain such as click.example.com"),
        ("trackClicks", "yes", "one of true, false"),
        ("sesMaxSendRate", "-1", "0 \\(ask SES\\)"),
        ("bulkShare", "0", "0.1 to 1"),
        ("bulkCallSize", "51", "1 to 50"),
        ("templateCacheSeconds", "-1", "0 to 86400 seconds"),
        ("senderMemory", "64", "128 to 10240 MB"),
        ("senderTimeout", "5", "10 to 900 seconds"),
        ("feedbackTimeout", "901", "3 to 900 seconds"),
        ("feedbackConcurrency", "-1", "0 \\(nothing is reserved\\) to 10000"),
        ("retryConcurrency", "1", "2 to 1000"),
        ("senderConcurrency", "10", "more than bulkConcurrency \\+ retryConcurrency \\(10\\)"),
        ("bulkBatchSize", "0", "1 to 10000"),
        ("bulkBatchSize", "1.5", "expected a whole number"),
        ("logRetentionDays", "31", "one of 1, 3, 5, 7, 14, 30"),
        ("registerSchemas", "yes", "one of true, false"),
        ("target", "mars", "one of lambda, local"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_was_expected(key: str, value: str, expected: str) -> None:
    with pytest.raises(StackSettingsError, match=f"{key}: .*{expected}"):
        StackSettings.from_context({**SENDER, key: value})


class TestConcurrency:
    def test_more_than_the_accounts_limit_is_refused_with_the_ways_out(self) -> None:
        with pytest.raises(StackSettingsError) as caught:
            StackSettings.from_context(SENDER, account_concurrency=10)
        (problem,) = caught.value.problems
        assert "at most 0, because this account's limit is 10" in problem
        assert "got 114" in problem
        assert "set all to 0" in problem
        assert "Service Quotas" in problem

    @pytest.mark.parametrize("limit", [214, 1000, None])
    def test_what_fits_or_is_not_known_is_taken(self, limit: int | None) -> None:
        assert StackSettings.from_context(SENDER, limit).sender_concurrency == 14

    def test_the_hundred_that_lambda_keeps_are_not_to_be_had(self) -> None:
        with pytest.raises(StackSettingsError, match="at most 113"):
            StackSettings.from_context(SENDER, account_concurrency=213)

    def test_the_page_and_the_function_that_signs_count_where_they_are_wanted(self) -> None:
        wanted = {**SENDER, "hostedUnsubscribe": "true", "signedWebhooks": "true"}
        with pytest.raises(StackSettingsError, match=r"webhookConcurrency: at most 125, .* got 126"):
            StackSettings.from_context(wanted, account_concurrency=225)

    def test_nothing_reserved_fits_into_any_account(self) -> None:
        context = {**SENDER, "senderConcurrency": "0", "feedbackConcurrency": "0"}
        assert StackSettings.from_context(context, account_concurrency=10).sender_concurrency == 0


WITH_CREDENTIALS = {"CDK_DEFAULT_ACCOUNT": "111122223333", "CDK_DEFAULT_REGION": "eu-west-1"}


class TestAccount:
    @staticmethod
    def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
        """A Lambda that answers so; the regions it was asked in."""
        regions = []

        def ask() -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        def create_client(_service: str, *, region_name: str, config: object) -> Any:
            assert config
            regions.append(region_name)
            return SimpleNamespace(get_account_settings=ask)

        monkeypatch.setattr(account, "get_session", lambda: SimpleNamespace(create_client=create_client))
        return regions

    def test_lambda_is_asked_where_the_cdk_has_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        regions = self.answering(monkeypatch, {"AccountLimit": {"ConcurrentExecutions": 1000}})
        assert account.concurrency_limit(WITH_CREDENTIALS) == 1000
        assert regions == ["eu-west-1"]

    def test_nobody_is_asked_without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert account.concurrency_limit({"CDK_DEFAULT_REGION": "eu-west-1"}) is None
        assert self.answering(monkeypatch, {}) == []

    @pytest.mark.parametrize("answer", [NoCredentialsError(), {}])
    def test_no_answer_is_no_obstacle(self, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
        self.answering(monkeypatch, answer)
        assert account.concurrency_limit(WITH_CREDENTIALS) is None
