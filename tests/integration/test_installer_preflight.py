"""What the installer finds out about the account before it changes anything."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.installer_aws import STACK, FakeAccount, Functions, Ses, unpacked_package

from engine.operations.account_checks import Finding
from installer import preflight
from installer.parameters import StackParameters
from installer.release import Release, read_release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return read_release(unpacked_package(tmp_path))


def told(results: Iterator[Finding]) -> list[tuple[bool, str]]:
    return [(result.level == "problem", f"{result.what} {result.remedy}") for result in results]


class TestSenderIdentity:
    @pytest.mark.parametrize("verified", ["hello@shop.example", "shop.example"])
    def test_a_verified_address_or_its_domain_is_enough(self, verified: str) -> None:
        account = FakeAccount(sesv2=Ses({verified: True}))
        ((stops, text),) = told(preflight.sender_identity(account.aws, "hello@shop.example"))
        assert not stops
        assert f"{verified} is verified" in text

    def test_a_verified_parent_domain_is_enough(self) -> None:
        account = FakeAccount(sesv2=Ses({"shop.example": True}))
        ((stops, _),) = told(preflight.sender_identity(account.aws, "hello@mail.eu.shop.example"))
        assert not stops

    def test_an_unknown_identity_stops_with_the_command_that_makes_it(self) -> None:
        account = FakeAccount(sesv2=Ses({}))
        ((stops, text),) = told(preflight.sender_identity(account.aws, "hello@shop.example"))
        assert stops
        assert "neither the address nor shop.example is verified in eu-west-1" in text
        assert "create-email-identity --region eu-west-1 --email-identity shop.example" in text

    @pytest.mark.parametrize(
        ("identity", "advice"), [("hello@shop.example", "Open the link"), ("shop.example", "DKIM records")]
    )
    def test_an_identity_that_waits_stops_with_what_it_waits_for(self, identity: str, advice: str) -> None:
        account = FakeAccount(sesv2=Ses({identity: False}))
        ((stops, text),) = told(preflight.sender_identity(account.aws, "hello@shop.example"))
        assert stops
        assert f"{identity} waits for its verification" in text
        assert advice in text


class TestSendingAccount:
    def test_production_shows_quota_and_rate(self) -> None:
        ((stops, text),) = told(preflight.sending_account(FakeAccount().aws))
        assert not stops
        assert "in production: 50,000 emails a day, 14 a second" in text

    def test_the_sandbox_is_told_with_its_limits_and_the_way_out(self) -> None:
        account = FakeAccount(sesv2=Ses(production=False))
        ((stops, text),) = told(preflight.sending_account(account.aws))
        assert not stops
        assert "in the sandbox: 200 emails a day" in text
        assert "request production access" in text

    def test_paused_sending_is_told(self) -> None:
        paused, _ = told(preflight.sending_account(FakeAccount(sesv2=Ses(sending=False)).aws))
        assert "SES has paused sending" in paused[1]


class TestRegion:
    def check(self, release: Release, region: str, **given: str) -> list[tuple[bool, str]]:
        account = replace(FakeAccount().aws, region=region)
        return told(preflight.region(account, StackParameters(release.parameters, given, {}), release))

    def test_a_region_that_has_everything_is_not_mentioned(self, release: Release) -> None:
        assert self.check(release, "eu-west-1") == []

    def test_a_region_without_snapstart_is_told_unless_it_is_not_wanted(self, release: Release) -> None:
        ((stops, text),) = self.check(release, "us-gov-west-1")
        assert not stops
        assert "us-gov-west-1 has no Lambda SnapStart: the functions start without it" in text
        assert self.check(release, "us-gov-west-1", SnapStart="false") == []

    def test_a_region_that_was_not_checked_is_told_with_those_that_were(self, release: Release) -> None:
        ((stops, text),) = self.check(release, "mars-1")
        assert not stops
        assert "not checked for mars-1" in text
        assert "eu-west-1" in text


class TestConcurrency:
    def check(self, release: Release, functions: Functions, **given: str) -> tuple[bool, str]:
        account = FakeAccount(functions=functions)
        parameters = StackParameters(release.parameters, given, {})
        (found,) = told(preflight.concurrency(account.aws, STACK, parameters, release))
        return found

    def test_room_for_both_functions_and_a_hundred_more_is_enough(self, release: Release) -> None:
        assert self.check(release, Functions(limit=1000, free=214)) == (
            False,
            "Lambda has room: 114 of 214 concurrent executions get reserved ",
        )

    def test_an_account_with_a_limit_of_ten_is_told_how_to_get_more_and_how_to_do_without(
        self, release: Release
    ) -> None:
        stops, text = self.check(release, Functions(limit=10))
        assert stops
        assert "reserve 14 + 100 concurrent executions" in text
        assert "makes 214; of the account's 10 in eu-west-1, 10 are free" in text
        assert "request-service-quota-increase --region eu-west-1 --service-code lambda" in text
        assert "--quota-code L-B99A9384 --desired-value 1000" in text
        assert "install with --parameter SenderConcurrency=0" in text

    def test_functions_that_a_parameter_switches_on_count_where_it_does(self, release: Release) -> None:
        none = {"SenderConcurrency": "0", "FeedbackConcurrency": "0"}
        assert not self.check(release, Functions(limit=10), **none)[0]
        stops, text = self.check(release, Functions(limit=10), HostedUnsubscribe="true", **none)
        assert stops
        assert "reserve 2 concurrent executions" in text
        assert "--parameter UnsubscribeConcurrency=0" in text
        none |= {"UnsubscribeConcurrency": "0"}
        assert not self.check(release, Functions(limit=10), HostedUnsubscribe="true", **none)[0]

    def test_one_too_few_stops(self, release: Release) -> None:
        assert self.check(release, Functions(limit=1000, free=213))[0]

    def test_more_than_a_thousand_is_asked_for_where_that_is_too_little(self, release: Release) -> None:
        _, text = self.check(release, Functions(limit=1000, free=100))
        assert "--desired-value 1114" in text

    def test_what_the_installed_stack_reserves_already_counts_as_free(self, release: Release) -> None:
        reserved = {f"{STACK}-EmailSender": 14, f"{STACK}-FeedbackProcessor": 100}
        stops, _ = self.check(release, Functions(limit=250, free=136, reserved=reserved))
        assert not stops

    def test_without_reservations_every_account_has_room(self, release: Release) -> None:
        nothing = replace(release, reserved={"SenderConcurrency": ""})
        stops, text = self.check(nothing, Functions(limit=10), SenderConcurrency="0")
        assert not stops
        assert "No Lambda concurrency is reserved" in text
