"""One loop and one set of clients for as long as a Lambda environment lives."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.cloud import Cloud, request_event

from engine.bootstrap.email_sender import EmailSender, open_email_sender
from engine.bootstrap.feedback_processor import open_feedback_processor
from engine.bootstrap.runtime import CONFIG, SES_CONFIG, Environment, seconds_left
from engine.bootstrap.settings import SettingsError
from engine.local.ses.threaded import ThreadedSimulator

PATIENCE = 10.0  # seconds; only a test that fails waits so long


@dataclass
class Work:
    """Knows on which loop it was opened, and when it is closed."""

    number: int
    diary: list[str]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def close(self) -> None:
        self.diary.append(f"close {self.number}")


@dataclass
class Opener:
    """Opens one work after another; raises the given problems first."""

    diary: list[str] = field(default_factory=list)
    problems: list[Exception] = field(default_factory=list)
    variables: list[Mapping[str, str]] = field(default_factory=list)

    async def __call__(self, variables: Mapping[str, str]) -> Work:
        if self.problems:
            raise self.problems.pop(0)
        self.variables.append(variables)
        self.diary.append(f"open {len(self.variables)}")
        return Work(len(self.variables), self.diary)


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def environment(opener: Opener) -> Iterator[Environment[Work]]:
    environment = Environment(opener)
    yield environment
    environment.close()


async def number(work: Work) -> int:
    assert asyncio.get_running_loop() is work.loop
    return work.number


def loop_threads() -> int:
    return sum(thread.name == "engine-loop" for thread in threading.enumerate())


# -- one environment -----------------------------------------------------------------------------------------


def test_nothing_is_opened_before_the_first_invocation(opener: Opener) -> None:
    before = loop_threads()
    Environment(opener)
    assert (opener.diary, loop_threads()) == ([], before)


def test_every_invocation_works_with_the_same_clients_on_their_loop(
    environment: Environment[Work], opener: Opener
) -> None:
    assert [environment.invoke(number) for _ in range(3)] == [1, 1, 1]
    assert opener.diary == ["open 1"]


async def test_a_caller_may_stand_on_a_running_loop(environment: Environment[Work]) -> None:
    """A test or a notebook calls the handler so; `asyncio.run` would refuse."""
    assert environment.invoke(number) == 1


def test_threads_invoke_at_once_and_share_the_clients(environment: Environment[Work], opener: Opener) -> None:
    together = asyncio.Barrier(8)

    async def meet(work: Work) -> int:
        async with asyncio.timeout(PATIENCE), together:  # opens only where all eight run at the same time
            return work.number

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(environment.invoke, [meet] * 8))
    assert found == [1] * 8
    assert opener.diary == ["open 1"]


def test_an_error_reaches_the_caller_and_harms_no_later_invocation(environment: Environment[Work]) -> None:
    async def fail(_: Work) -> None:
        raise ValueError("this invocation fails")

    with pytest.raises(ValueError, match="this invocation fails"):
        environment.invoke(fail)
    assert environment.invoke(number) == 1


def test_closing_ends_the_loop_and_the_next_invocation_opens_anew(opener: Opener) -> None:
    before = loop_threads()
    environment = Environment(opener)
    environment.invoke(number)
    environment.close()
    assert loop_threads() == before
    assert environment.invoke(number) == 2
    environment.close()
    assert opener.diary == ["open 1", "close 1", "open 2", "close 2"]
    assert loop_threads() == before


# -- its variables -------------------------------------------------------------------------------------------


def test_the_variables_are_those_of_the_process(
    environment: Environment[Work], opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_TABLE", "one")
    environment.invoke(number)
    assert opener.variables[0]["TRACKING_TABLE"] == "one"


def test_a_variable_that_changes_reopens_the_clients(
    environment: Environment[Work], opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.invoke(number)
    monkeypatch.setenv("TRACKING_TABLE", "another")
    assert [environment.invoke(number), environment.invoke(number)] == [2, 2]
    assert opener.diary == ["open 1", "close 1", "open 2"]


@pytest.mark.parametrize(
    "name", ["_X_AMZN_TRACE_ID", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]
)
def test_what_lambda_sets_anew_for_itself_changes_nothing(
    environment: Environment[Work], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for value in ("first", "second"):
        monkeypatch.setenv(name, value)
        assert environment.invoke(number) == 1


def test_what_can_not_be_opened_is_said_at_every_invocation_until_it_can(
    environment: Environment[Work], opener: Opener
) -> None:
    before = loop_threads()
    opener.problems = [SettingsError(["STATE_TABLE is missing"]), SettingsError(["STATE_TABLE is missing"])]
    for _ in range(2):
        with pytest.raises(SettingsError, match="STATE_TABLE is missing"):
            environment.invoke(number)
    assert loop_threads() == before
    assert environment.invoke(number) == 1


def in_a_thread(work: Callable[[], int]) -> Future[int]:
    """Not of a pool: a pool would wait for good for an invocation whose loop has stopped."""
    done: Future[int] = Future()
    threading.Thread(target=lambda: done.set_result(work()), daemon=True).start()
    return done


class Watched(threading.Condition):
    """Tells when somebody has come to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        self.awaited.set()
        return super().wait_for(predicate, timeout)


def test_an_invocation_under_way_ends_before_changed_variables_reopen(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment(opener)
    watched = environment._idle = Watched()
    started, release = threading.Event(), threading.Event()

    async def long(work: Work) -> int:
        started.set()
        await asyncio.get_running_loop().run_in_executor(None, release.wait, PATIENCE)
        opener.diary.append("long one done")
        return work.number

    first = in_a_thread(lambda: environment.invoke(long))
    assert started.wait(PATIENCE)
    watched.awaited.clear()
    monkeypatch.setenv("TRACKING_TABLE", "another")
    second = in_a_thread(lambda: environment.invoke(number))
    assert watched.awaited.wait(PATIENCE)
    release.set()
    assert (first.result(PATIENCE), second.result(PATIENCE)) == (1, 2)
    environment.close()
    assert opener.diary == ["open 1", "long one done", "close 1", "open 2", "close 2"]


# -- time ----------------------------------------------------------------------------------------------------


class Context:
    def __init__(self, milliseconds: int) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def test_the_time_left_is_that_of_the_invocation() -> None:
    context = Context(30_000)
    left = seconds_left(context)
    assert left() == 30
    context.milliseconds = 1500
    assert left() == 1.5


@pytest.mark.parametrize("context", [None, object()])
def test_without_a_clock_the_time_of_the_deployed_function_runs(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("engine.bootstrap.runtime.time.monotonic", lambda: now[0])
    left = seconds_left(context)
    now[0] += 12
    assert left() == 18


# -- the clients of AWS --------------------------------------------------------------------------------------


def test_ses_is_called_once_and_every_other_service_up_to_three_times() -> None:
    configs: list[Any] = [SES_CONFIG, CONFIG]
    assert [config.retries["total_max_attempts"] for config in configs] == [1, 3]


def test_an_invocation_has_time_for_all_tries_of_a_service() -> None:
    config: Any = CONFIG
    tries = config.retries["total_max_attempts"]
    assert tries * (config.connect_timeout + config.read_timeout) < 30


def test_the_sender_sends_from_many_threads_at_once(cloud: Cloud, ses: ThreadedSimulator) -> None:
    environment = Environment(open_email_sender)

    def send(position: int) -> Any:
        event = request_event(to=f"a{position}@example.com")

        async def direct(sender: EmailSender) -> Any:
            return await sender.lanes.direct(event, lambda: 30.0)

        return environment.invoke(direct)

    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(send, range(8)))
    finally:
        environment.close()
    assert [answer.status for answer in answers] == ["sent"] * 8
    assert {row["status"] for row in cloud.rows()} == {"sent"}
    assert sorted(message.to[0] for message in ses.messages) == [f"a{n}@example.com" for n in range(8)]


@pytest.mark.parametrize("open_work", [open_email_sender, open_feedback_processor])
def test_a_function_with_a_wrong_environment_says_all_that_is_wrong_at_its_first_invocation(
    open_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_TABLE", "Mail-EmailTracking")
    environment = Environment(open_work)
    with pytest.raises(SettingsError) as caught:
        environment.invoke(number)
    assert {"SUPPRESSION_TABLE is missing", "STATE_TABLE is missing"} <= set(caught.value.problems)
