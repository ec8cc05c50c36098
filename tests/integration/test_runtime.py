"""One loop and one set of clients for as long as a Lambda environment lives."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import MagicMock

import pytest
from tests.support.cloud import Cloud, request_event

from engine.aws.clients import CONFIG, KEEP_ALIVE, SES_CONFIG, Clients
from engine.bootstrap.email_sender import EmailSender, open_email_sender
from engine.bootstrap.feedback_processor import open_feedback_processor
from engine.bootstrap.runtime import Environment, seconds_left
from engine.bootstrap.settings import SettingsError
from engine.local.ses.threaded import ThreadedSimulator


@dataclass(frozen=True)
class Work:
    """Knows on which loop and with which clients it was opened."""

    number: int
    clients: Clients
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


@dataclass
class Opener:
    """Opens one work after another; raises the given problems first."""

    problems: list[Exception] = field(default_factory=list)
    variables: list[Mapping[str, str]] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)

    async def __call__(self, variables: Mapping[str, str], clients: Clients) -> Work:
        if self.problems:
            raise self.problems.pop(0)
        self.variables.append(variables)
        self.works.append(Work(len(self.works) + 1, clients))
        return self.works[-1]


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def environment(opener: Opener) -> Iterator[Environment[Work]]:
    environment = Environment(opener)
    yield environment
    environment.close()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Clients]:
    """The clients that have been closed, in order."""
    closed: list[Clients] = []
    close = Clients.close

    async def noted(clients: Clients) -> None:
        closed.append(clients)
        await close(clients)

    monkeypatch.setattr(Clients, "close", noted)
    return closed


async def number(work: Work) -> int:
    assert asyncio.get_running_loop() is work.loop
    return work.number


# -- one environment -----------------------------------------------------------------------------------------


def test_nothing_is_opened_before_the_first_invocation(opener: Opener) -> None:
    Environment(opener).close()
    assert not opener.works


def test_every_invocation_works_with_the_same_clients_on_their_loop(
    environment: Environment[Work], opener: Opener
) -> None:
    assert [environment.invoke(number) for _ in range(3)] == [1, 1, 1]
    assert len(opener.works) == 1


async def test_a_caller_may_be_inside_a_running_loop(environment: Environment[Work]) -> None:
    """A test or a notebook calls the handler so."""
    assert environment.invoke(number) == 1


def test_callers_on_several_threads_take_turns_and_share_the_clients(
    environment: Environment[Work], opener: Opener
) -> None:
    under_way: set[asyncio.Task[Any] | None] = set()

    async def meet(_: Work) -> int:
        under_way.add(asyncio.current_task())
        await asyncio.sleep(0)
        met = len(under_way)
        under_way.clear()
        return met

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(environment.invoke, [meet] * 8)) == [1] * 8
    assert len(opener.works) == 1


def test_an_error_reaches_the_caller_and_harms_no_later_invocation(environment: Environment[Work]) -> None:
    async def fail(_: Work) -> None:
        raise ValueError("this invocation fails")

    with pytest.raises(ValueError, match="this invocation fails"):
        environment.invoke(fail)
    assert environment.invoke(number) == 1


def test_closing_closes_the_clients_and_the_next_invocation_opens_anew(
    opener: Opener, closed: list[Clients]
) -> None:
    environment = Environment(opener)
    environment.invoke(number)
    environment.close()
    assert opener.works[0].loop.is_closed()
    assert environment.invoke(number) == 2
    environment.close()
    assert closed == [work.clients for work in opener.works]


# -- its variables -------------------------------------------------------------------------------------------


def test_the_variables_are_those_of_the_process(
    environment: Environment[Work], opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_TABLE", "one")
    environment.invoke(number)
    assert opener.variables[0]["TRACKING_TABLE"] == "one"


def test_a_variable_that_changes_opens_everything_anew(
    environment: Environment[Work], opener: Opener, closed: list[Clients], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.invoke(number)
    monkeypatch.setenv("TRACKING_TABLE", "another")
    assert [environment.invoke(number), environment.invoke(number)] == [2, 2]
    assert closed == [opener.works[0].clients]


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
    environment: Environment[Work], opener: Opener, closed: list[Clients]
) -> None:
    opener.problems = [SettingsError(["STATE_TABLE is missing"]), SettingsError(["STATE_TABLE is missing"])]
    for _ in range(2):
        with pytest.raises(SettingsError, match="STATE_TABLE is missing"):
            environment.invoke(number)
    assert len(closed) == 2
    assert environment.invoke(number) == 1


@pytest.mark.parametrize("open_work", [open_email_sender, open_feedback_processor])
def test_a_function_with_a_wrong_environment_says_all_that_is_wrong_at_its_first_invocation(
    open_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_TABLE", "Mail-EmailTracking")
    environment = Environment(open_work)
    with pytest.raises(SettingsError) as caught:
        environment.invoke(number)
    assert {"SUPPRESSION_TABLE is missing", "STATE_TABLE is missing"} <= set(caught.value.problems)


# -- its connections -----------------------------------------------------------------------------------------


class Service(BaseHTTPRequestHandler):
    """Answers every call with an empty object, and keeps its connections open."""

    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self) -> None:
        type(self).connections += 1
        super().setup()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Service]]:
    """A service of AWS's, where the clients find it."""

    class Counting(Service): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield Counting
        server.shutdown()
        thread.join()


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def open_dynamodb(_: Mapping[str, str], clients: Clients) -> Any:
    return await clients.open("dynamodb")


async def call(dynamodb: Any) -> None:
    await dynamodb.get_item(TableName="State", Key={"pk": {"S": "rate"}})


@pytest.mark.parametrize(
    ("wall", "monotonic", "connections"),
    [
        pytest.param(0.1, 0.1, 1, id="one invocation soon after the other"),
        pytest.param(KEEP_ALIVE + 1, 0.1, 2, id="a freeze that stopped the monotonic clock"),
        pytest.param(KEEP_ALIVE + 1, KEEP_ALIVE + 1, 1, id="a wait that aiohttp measures itself"),
        pytest.param(-3600, 0.1, 1, id="a wall clock put back"),
    ],
)
def test_connections_that_a_freeze_may_have_killed_are_not_used_again(
    service: type[Service], wall: float, monotonic: float, connections: int
) -> None:
    walls, monotonics = Clock(), Clock()
    environment: Environment[Any] = Environment(open_dynamodb, walls, monotonics)
    environment.invoke(call)
    walls.seconds += wall
    monotonics.seconds += monotonic
    environment.invoke(call)
    environment.invoke(call)
    environment.close()
    assert service.connections == connections


@pytest.mark.parametrize("config", [CONFIG, SES_CONFIG])
def test_an_idle_connection_is_kept_for_three_seconds(config: Any) -> None:
    assert config.connector_args == {"keepalive_timeout": 3.0}


# -- the time that is left -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("context", [None, object(), MagicMock()], ids=["none", "an object", "a mock"])
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


def test_the_sender_sends_for_callers_on_many_threads(cloud: Cloud, ses: ThreadedSimulator) -> None:
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
