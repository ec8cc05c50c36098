"""What every command that operates a stack shares: options, screens, errors and exit codes."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
import typer
from botocore.exceptions import ClientError
from rich.console import Console
from tests.support.cloud import Cloud
from typer.testing import CliRunner, Result

from engine.cli.operate.command import Call, YesOption, stack_command
from engine.concurrency import concurrently
from engine.errors import EngineError
from engine.operations.ledger_reader import open_ledger
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict


class Facts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the tests' command finds."""

    email_count: int


Work = Callable[[DeployedStack], Coroutine[Any, Any, Any]]


async def count(stack: DeployedStack) -> int:
    return len(await (await open_ledger(stack)).read(["one"]))


def application(work: Work = count, *, good: bool = True) -> typer.Typer:
    app = typer.Typer()

    @stack_command(app, "count")
    def count_emails(call: Call, address: str = "nobody") -> None:
        """Count."""
        facts = Facts(email_count=call.run(work))

        def draw(console: Console) -> None:
            console.print(f"{facts.email_count} to {address}")

        verdict = Verdict(good=good, sentence="Counted.", next_command=f"more{call.address.options}")
        call.show(facts, verdict, draw)

    @stack_command(app, "drop")
    def drop(call: Call, *, yes: YesOption = False) -> None:
        """Drop."""
        call.confirm("Drop it?", yes=yes)
        call.show(Facts(email_count=0), Verdict(good=True, sentence="Dropped."), lambda _: None)

    return app


@pytest.fixture
def invoke(cloud: Cloud) -> Callable[..., Result]:
    """Run the command against the test's stack."""

    def run(*words: str, work: Work = count, good: bool = True) -> Result:
        given = ["--stack", cloud.stack, "--region", "eu-west-1", "--endpoint-url", cloud.endpoint]
        command, *rest = words or ("count",)
        # What is given twice counts as it is given last.
        return CliRunner().invoke(application(work, good=good), [command, *given, *rest])

    return run


def failing_with(code: str) -> Work:
    async def fail(_: DeployedStack) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "of the service"}}, "Query")

    return fail


def test_people_get_a_table_the_verdict_and_the_next_command(
    invoke: Callable[..., Result], cloud: Cloud
) -> None:
    cloud.put("EmailTracking", emailId="one")
    result = invoke("count", "--address", "ada")
    assert result.output == (
        f"1 to ada\nCounted.\nNext: more --stack {cloud.stack} --region eu-west-1"
        f" --endpoint-url {cloud.endpoint}\n"
    )
    assert result.exit_code == 0


def test_programs_get_the_facts_and_the_verdict_as_json(invoke: Callable[..., Result]) -> None:
    answer = json.loads(invoke("count", "--json").output)
    assert answer["emailCount"] == 0
    assert (answer["verdict"]["good"], answer["verdict"]["sentence"]) == (True, "Counted.")
    assert answer["verdict"]["nextCommand"].startswith("more --stack")


def test_a_verdict_that_is_not_good_exits_with_1(invoke: Callable[..., Result]) -> None:
    assert invoke("count", good=False).exit_code == 1
    assert invoke("count", "--json", good=False).exit_code == 1


def test_a_wrong_option_exits_with_2(invoke: Callable[..., Result]) -> None:
    assert invoke("count", "--colour", "red").exit_code == 2


def test_a_stack_that_is_not_there_is_named_with_where_it_was_looked_for(
    invoke: Callable[..., Result],
) -> None:
    result = invoke("count", "--stack", "elsewhere")
    assert result.exit_code == 1
    assert "BatchGetItem found no such resource of the stack 'elsewhere' in region eu-west-1" in result.output
    assert "--profile" in result.output


@pytest.mark.parametrize("as_json", [False, True])
def test_credentials_that_may_not_are_told_which_policy_lets_them(
    invoke: Callable[..., Result], cloud: Cloud, *, as_json: bool
) -> None:
    result = invoke("count", *(["--json"] if as_json else []), work=failing_with("AccessDeniedException"))
    sentence = json.loads(result.output)["verdict"]["sentence"] if as_json else result.output
    assert "may not call Query" in sentence
    assert f"{cloud.stack}-Support" in sentence
    assert result.exit_code == 1


def test_any_other_refusal_is_told_in_the_services_words(invoke: Callable[..., Result]) -> None:
    result = invoke("count", work=failing_with("ThrottlingException"))
    assert result.output == "AWS refused Query: ThrottlingException: of the service\n"


def test_an_error_of_one_of_several_questions_is_told_as_if_it_were_asked_alone(
    invoke: Callable[..., Result],
) -> None:
    async def ask_together(stack: DeployedStack) -> None:
        await concurrently([failing_with("AccessDenied")(stack), count(stack)])

    assert "may not call Query" in invoke("count", work=ask_together).output


def test_a_bug_is_not_dressed_up_as_an_answer(invoke: Callable[..., Result]) -> None:
    async def fail(_: DeployedStack) -> None:
        await concurrently([_divide()])

    async def _divide() -> None:
        raise ZeroDivisionError

    assert isinstance(invoke("count", work=fail).exception, ExceptionGroup)


def test_what_the_engine_says_of_itself_is_told_as_it_is(invoke: Callable[..., Result]) -> None:
    async def fail(_: DeployedStack) -> None:
        raise EngineError("the queue is asleep")

    assert invoke("count", work=fail).output == "the queue is asleep\n"


def test_a_profile_that_is_not_there_is_named(invoke: Callable[..., Result]) -> None:
    result = invoke("count", "--profile", "nobody")
    assert result.exit_code == 1
    assert "(nobody) could not be found" in result.output


@pytest.mark.parametrize(
    "text", ["127.0.0.1:4566", "http://", "http://[::1", "http://a:b", "http://a b", "http://a:0", "nonsense"]
)
def test_an_endpoint_that_is_no_url_is_a_wrong_option(invoke: Callable[..., Result], text: str) -> None:
    result = invoke("count", "--endpoint-url", text)
    assert result.exit_code == 2
    assert "is no URL such as" in " ".join(result.stderr.replace("│", " ").split())


def test_an_endpoint_that_nobody_listens_at_is_told(invoke: Callable[..., Result]) -> None:
    result = invoke("count", "--endpoint-url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "Could not connect to the endpoint URL" in result.output


def test_without_credentials_that_is_what_is_told(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    result = invoke("count")
    assert result.exit_code == 1
    assert "No AWS credentials were found: name a profile by --profile" in result.output


def test_an_interrupt_ends_it_without_a_trace(invoke: Callable[..., Result]) -> None:
    async def interrupt(_: DeployedStack) -> None:
        raise KeyboardInterrupt

    assert invoke("count", work=interrupt).exit_code == 130


def test_without_a_terminal_nothing_is_done_unless_yes_is_said(invoke: Callable[..., Result]) -> None:
    asked = invoke("drop")
    assert (asked.exit_code, "--yes" in asked.output) == (1, True)
    assert invoke("drop", "--json").exit_code == 1
    told = invoke("drop", "--yes")
    assert (told.exit_code, told.output) == (0, "Dropped.\n")


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_on_a_terminal_it_asks(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    result = CliRunner().invoke(application(), ["drop", "--stack", cloud.stack], input=answer)
    assert result.exit_code == code
    assert ("Nothing was done." in result.output) is bool(code)
