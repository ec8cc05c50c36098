"""The installer's flags, questions and parameters, and how every failure reads."""

import json
import shlex
from pathlib import Path

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    SSOTokenLoadError,
)
from tests.support.installer_aws import (
    ACCOUNT,
    SENDER,
    STACK,
    FakeAccount,
    FakeScreen,
    refusal,
    unpacked_package,
)

from installer import account as accounts
from installer import main as command_line
from installer.errors import InstallError, install_error
from installer.first_email import first_email
from installer.parameters import choose, listing
from installer.release import Release, read_release


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return unpacked_package(tmp_path)


@pytest.fixture
def release(package: Path) -> Release:
    return read_release(package)


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("DefaultSenderEmail", "nobody", "it must be an address, got 'nobody'"),
            ("SenderMemory", "64", "got '64'"),
            ("SenderMemory", "much", "got 'much'"),
            ("LogLevel", "LOUD", "got 'LOUD'"),
            ("AdminEmail", "x" * 21, "got 'xxx"),
            ("Colour", "red", "this release has no such parameter"),
            ("CodeBucket", "mine", "this release has no such parameter"),
            ("SenderConcurrency", "10", "more than BulkConcurrency + RetryConcurrency (10)"),
        ],
    )
    def test_what_cloudformation_would_refuse_is_refused_here_with_the_reason(
        self, release: Release, name: str, value: str, expected: str
    ) -> None:
        with pytest.raises(InstallError) as caught:
            choose(release, {**SENDER, name: value}, {}, FakeScreen().screen)
        assert f"{name}: " in caught.value.message
        assert expected in caught.value.message

    def test_zero_reserves_nothing_and_is_fine(self, release: Release) -> None:
        parameters = choose(release, {**SENDER, "SenderConcurrency": "0"}, {}, FakeScreen().screen)
        assert parameters["SenderConcurrency"] == "0"

    def test_a_person_is_asked_until_the_answer_can_be_used(self, release: Release) -> None:
        talk = FakeScreen("nobody", "hello@shop.example", "ops@shop.example")
        parameters = choose(release, {}, {}, talk.screen)
        assert parameters["DefaultSenderEmail"] == "hello@shop.example"
        assert parameters["AdminEmail"] == "ops@shop.example"
        assert "it must be an address, got 'nobody'" in talk.said
        assert len(talk.questions) == 3

    def test_where_nobody_can_be_asked_the_flag_is_named(self, release: Release) -> None:
        with pytest.raises(InstallError, match="nobody can be asked") as caught:
            choose(release, {}, {}, FakeScreen().screen)
        assert caught.value.remedy == "Give it with --sender."

    def test_the_listing_names_flag_default_and_meaning_and_leaves_the_code_out(
        self, release: Release
    ) -> None:
        lines = list(listing(release))
        assert "DefaultSenderEmail (--sender, required): Address that sends" in lines
        assert not [line for line in lines if "Code" in line]


class TestFirstEmail:
    def test_a_posix_shell_reads_it_back_as_the_event_that_was_meant(self) -> None:
        text = first_email(bus="b", region="eu-west-1", profile="work", data={"a": "it's"}, windows=False)
        words = shlex.split(text)
        assert words[:7] == ["aws", "events", "put-events", "--region", "eu-west-1", "--profile", "work"]
        (entry,) = json.loads(words[-1])
        assert json.loads(entry["Detail"])["templateData"] == {"a": "it's"}

    def test_the_command_prompt_gets_its_own_quotes(self) -> None:
        text = first_email(bus="b", region="eu-west-1", profile=None, data={}, windows=True)
        assert r'--entries "[{\"EventBusName\": \"b\"' in text


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _nothing_configured(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    def run(self, package: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
        code = command_line.main(["--yes", *arguments], folder=package)
        return code, " ".join(capsys.readouterr().out.split())

    @pytest.mark.parametrize(
        ("arguments", "problem", "remedy"),
        [
            ("", "Region, such as eu-west-1 is not given", "--region"),
            ("--region eu-west-1", "There are no usable AWS credentials while asking who", "aws sso login"),
            ("--profile wrok", "The config profile (wrok) could not be found", "aws configure list-profiles"),
            ("--stack-name Shop", "'Shop' can't be the stack's name", "lower-case letters"),
            ("--parameter LogLevel", "--parameter LogLevel has no value", "--parameter Name=value"),
        ],
    )
    def test_what_can_not_be_used_is_said_with_what_to_do(
        self, package: Path, capsys: pytest.CaptureFixture[str], arguments: str, problem: str, remedy: str
    ) -> None:
        code, said = self.run(package, capsys, *arguments.split())
        assert code == 1
        assert f"FAILED: {problem}" in said
        assert remedy in said

    def test_a_package_with_a_file_missing_is_not_used(
        self, package: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (package / "lambda" / "email-sender.zip").unlink()
        code, said = self.run(package, capsys)
        assert code == 1
        assert "email-sender.zip is missing" in said

    def test_the_parameters_can_be_listed_without_an_account(
        self, package: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, said = self.run(package, capsys, "--show-parameters")
        assert code == 0
        assert "LogLevel (default 'INFO')" in said

    def test_deleting_data_goes_with_uninstalling_only(self, package: Path) -> None:
        with pytest.raises(SystemExit):
            command_line.main(["--delete-data"], folder=package)

    @pytest.mark.parametrize(
        ("flags", "done"),
        [
            (["--sender", "hello@shop.example"], "CREATE_COMPLETE"),
            (["--upgrade"], "UPDATE_COMPLETE"),
            (["--uninstall"], "DELETE_COMPLETE"),
        ],
    )
    def test_each_command_reaches_its_end(
        self,
        package: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        flags: list[str],
        done: str,
    ) -> None:
        account = FakeAccount()
        if flags[0] != "--sender":
            account.cloudformation.status = "CREATE_COMPLETE"
            account.cloudformation.parameters = SENDER
        monkeypatch.setattr(command_line, "connect", lambda *_: account.aws)
        code, said = self.run(package, capsys, "--stack-name", STACK, "--parameter", "LogLevel=DEBUG", *flags)
        assert code == 0, said
        assert account.cloudformation.status == done

    @pytest.mark.parametrize(
        ("error", "code", "expected"),
        [
            (KeyboardInterrupt(), 130, "Interrupted. What CloudFormation has begun goes on"),
            (EOFError(), 130, "Interrupted"),
            (ZeroDivisionError("oh"), 1, "a mistake in the installer: ZeroDivisionError: oh"),
            (refusal("ExpiredToken"), 1, "The credentials have expired"),
        ],
    )
    def test_whatever_happens_there_is_no_traceback(
        self,
        package: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        *,
        error: BaseException,
        code: int,
        expected: str,
    ) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(command_line, "connect", fail)
        ended, said = self.run(package, capsys)
        assert ended == code
        assert expected in said

    def test_a_developer_gets_the_traceback(self, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(command_line, "connect", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            command_line.main(["--yes", "--debug"], folder=package)


class TestConnecting:
    def test_the_region_that_a_person_names_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[str] = []

        class Session:
            def __init__(self, *, profile_name: str | None, region_name: str | None) -> None:
                assert profile_name == "work"
                self.region_name = region_name

            def client(self, service: str) -> "Session":
                made.append(f"{service} {self.region_name}")
                return self

            def get_caller_identity(self) -> dict[str, str]:
                return {"Account": ACCOUNT, "Arn": f"arn:aws-cn:iam::{ACCOUNT}:user/ada"}

        monkeypatch.setattr("boto3.Session", Session)
        account = accounts.connect("work", None, lambda: "cn-north-1")
        assert (account.account_id, account.region, account.partition) == (ACCOUNT, "cn-north-1", "aws-cn")
        assert account.client("s3") is account.client("s3")
        assert made == ["sts cn-north-1", "s3 cn-north-1"]
        with pytest.raises(InstallError, match="No region is given"):
            accounts.connect("work", None, lambda: "")


class TestExplanations:
    @pytest.mark.parametrize(
        ("error", "what", "do"),
        [
            (refusal("InvalidClientTokenId"), "AWS does not know these credentials", "--profile"),
            (refusal("UnrecognizedClientException"), "does not know", "region may not be enabled"),
            (
                refusal("AccessDenied", "no s3:PutObject"),
                "Not allowed while x: no s3:PutObject",
                "docs/install",
            ),
            (refusal("Odd", "strange"), "AWS refused while x: Odd: strange", "run again"),
            (EndpointConnectionError(endpoint_url="https://ses"), "could not be reached", "proxy"),
            (ConnectTimeoutError(endpoint_url="https://ses"), "could not be reached", "network"),
            (SSOTokenLoadError(error_msg="gone"), "no usable AWS credentials", "aws sso login"),
        ],
    )
    def test_an_error_says_what_it_means_and_what_to_do(
        self, error: ClientError | BotoCoreError, what: str, do: str
    ) -> None:
        explained = install_error(error, "x")
        assert what in explained.message
        assert do in explained.remedy
