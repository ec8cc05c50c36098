"""Sending through SES: what goes out, what comes back, and that nothing goes out twice."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from msgspec.structs import replace
from tests.support.fakes import FakeTelemetry
from tests.support.real_clients import opened

from engine.aws.clients import SES_CONFIG
from engine.aws.mailer import SesMailer
from engine.errors import OutcomeUnknown, SendFailure, SendingPaused, SendRefused, SendThrottled
from engine.local.ses.threaded import ThreadedSimulator
from engine.schemas.request import Lane
from engine.sending.compose import AttachedFile, OutgoingMessage
from engine.sending.streams import Stream

STREAMS = {
    Lane.TRANSACTIONAL: Stream("Mail-ConfigSet"),
    Lane.BULK: Stream("Mail-BulkConfigSet", tenant="newsletters"),
}
MESSAGE = OutgoingMessage(
    email_id="e1",
    sender="The Shop <no-reply@shop.example>",
    to="ada@example.com",
    subject="Wëlcome",
    html="<h1>Hello</h1>",
    text="Hello",
    tags=(("emailId", "e1"),),
)
IMPATIENT = SES_CONFIG.merge(AioConfig(read_timeout=0.2))


@pytest.fixture
async def mailer(ses: ThreadedSimulator) -> AsyncIterator[SesMailer]:
    async with mailer_to(ses.url) as mailer:
        yield mailer


@asynccontextmanager
async def mailer_to(url: str, config: AioConfig = SES_CONFIG) -> AsyncIterator[SesMailer]:
    async with opened("sesv2", url, config) as client:
        yield SesMailer(client, STREAMS, FakeTelemetry())


async def answer_to(mailer: SesMailer, message: OutgoingMessage = MESSAGE) -> str | SendFailure:
    """Send one message alone."""
    (answer,) = await mailer.send([message])
    return answer


# -- what goes out -------------------------------------------------------------------------------------------


async def test_a_message_arrives_whole(mailer: SesMailer, ses: ThreadedSimulator) -> None:
    message = replace(
        MESSAGE,
        cc=("bob@example.com",),
        bcc=("carol@example.com", "dan@example.com"),
        reply_to=("help@shop.example",),
        headers=(("X-Campaign", "spring"), ("List-Unsubscribe", "<https://shop.example/u>")),
        tags=(("emailId", "e1"), ("campaign", "spring")),
        attachments=(
            AttachedFile("invoice.pdf", "application/pdf", b"%PDF\x00\xff", 6),
            AttachedFile("logo.png", "image/png", b"\x89PNG", 4, content_id="logo"),
        ),
    )
    message_id = await answer_to(mailer, message)
    (sent,) = ses.messages
    assert sent.message_id == message_id
    assert (sent.sender, sent.to) == ("The Shop <no-reply@shop.example>", ("ada@example.com",))
    assert (sent.cc, sent.bcc) == (("bob@example.com",), ("carol@example.com", "dan@example.com"))
    assert sent.reply_to == ("help@shop.example",)
    assert (sent.subject, sent.html, sent.text) == ("Wëlcome", "<h1>Hello</h1>", "Hello")
    assert sent.headers == message.headers
    assert sent.tags == {"emailId": "e1", "campaign": "spring"}
    assert sent.configuration_set == "Mail-ConfigSet"
    invoice, logo = sent.attachments
    assert (invoice.file_name, invoice.content_type, invoice.content) == (
        "invoice.pdf",
        "application/pdf",
        b"%PDF\x00\xff",
    )
    assert (invoice.disposition, invoice.content_id) == ("ATTACHMENT", None)
    assert (logo.disposition, logo.content_id, logo.content) == ("INLINE", "logo", b"\x89PNG")


@pytest.mark.parametrize(("html", "text"), [("<p>only</p>", None), (None, "only")])
async def test_a_message_has_no_part_that_its_template_has_not(
    mailer: SesMailer, ses: ThreadedSimulator, html: str | None, text: str | None
) -> None:
    await answer_to(mailer, replace(MESSAGE, html=html, text=text))
    (sent,) = ses.messages
    assert (sent.html, sent.text) == (html, text)


@pytest.mark.parametrize("lane", Lane)
async def test_each_lane_leaves_by_its_own_configuration_set(
    mailer: SesMailer, ses: ThreadedSimulator, lane: Lane
) -> None:
    message = replace(MESSAGE, lane=lane)
    await mailer.send([message])
    await mailer.send([message, message])
    expected = STREAMS[lane].configuration_set
    assert {sent.configuration_set for sent in ses.messages} == {expected}


# -- what comes back -----------------------------------------------------------------------------------------

FAILURES_OF_A_CALL = [
    ({"throttle_next": 1}, SendThrottled),
    ({"sending_paused": True}, SendingPaused),
    ({"account_suspended": True}, SendingPaused),
    ({"daily_quota_used_up": True}, SendingPaused),
    ({"server_error_next": 1}, OutcomeUnknown),
    ({"reset_before_next": 1}, OutcomeUnknown),
]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        *FAILURES_OF_A_CALL,
        ({"refuse_next": 1}, SendRefused),
        ({"refuse_next": 1, "refuse_code": "MailFromDomainNotVerifiedException"}, SendRefused),
        ({"refuse_next": 1, "refuse_code": "SomethingNewException"}, SendThrottled),
    ],
)
async def test_ses_says_no_and_takes_nothing(
    mailer: SesMailer, ses: ThreadedSimulator, fault: dict[str, Any], expected: type[Exception]
) -> None:
    ses.faults.set(**fault)
    assert isinstance(await answer_to(mailer), expected)
    assert ses.messages == ()


async def test_a_recipient_too_many_is_a_refusal_in_the_words_of_ses(
    mailer: SesMailer, ses: ThreadedSimulator
) -> None:
    crowd = tuple(f"a{number}@example.com" for number in range(50))
    answer = await answer_to(mailer, replace(MESSAGE, cc=crowd))
    assert isinstance(answer, SendRefused)
    assert "BadRequestException: Recipient count exceeds 50" in answer.refusal.message
    assert ses.messages == ()


# -- once, and only once -------------------------------------------------------------------------------------


async def test_an_answer_that_never_comes_is_unknown_and_no_second_request_leaves(
    ses: ThreadedSimulator,
) -> None:
    ses.faults.set(hang_after_next=5)
    async with mailer_to(ses.url, IMPATIENT) as mailer:
        answer = await answer_to(mailer)
    assert isinstance(answer, OutcomeUnknown)
    assert "ReadTimeoutError" in str(answer)
    assert len(ses.messages) == 1
    assert ses.faults.plan.hang_after_next == 4  # one request met the fault; a second try would have as well


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [("throttle_next", 0), ("server_error_next", 0), ("reset_before_next", 0), ("reset_after_next", 1)],
)
async def test_the_sdk_makes_no_second_try(
    mailer: SesMailer, ses: ThreadedSimulator, fault: str, accepted: int
) -> None:
    ses.faults.set(**{fault: 5})
    assert isinstance(await answer_to(mailer), SendThrottled | OutcomeUnknown)
    assert getattr(ses.faults.plan, fault) == 4
    assert len(ses.messages) == accepted


# -- several in one call -------------------------------------------------------------------------------------


def several(count: int = 3) -> list[OutgoingMessage]:
    return [
        replace(MESSAGE, email_id=f"e{n}", to=f"{n}@example.com", tags=(("emailId", f"e{n}"),))
        for n in range(count)
    ]


def operations(ses: ThreadedSimulator) -> list[str]:
    return [message.operation for message in ses.messages]


async def test_several_messages_go_in_one_call_each_with_its_own_message_id(
    mailer: SesMailer, ses: ThreadedSimulator
) -> None:
    answers = await mailer.send(several())
    assert answers == [sent.message_id for sent in ses.messages]
    assert [sent.tags["emailId"] for sent in ses.messages] == ["e0", "e1", "e2"]
    assert operations(ses) == ["SendBulkEmail"] * 3


async def test_a_message_alone_goes_by_send_email(mailer: SesMailer, ses: ThreadedSimulator) -> None:
    await mailer.send(several(1))
    assert operations(ses) == ["SendEmail"]


async def test_each_email_of_a_call_has_an_answer_of_its_own(
    mailer: SesMailer, ses: ThreadedSimulator
) -> None:
    ses.faults.set(
        bulk_statuses={
            0: "MESSAGE_REJECTED",
            1: "ACCOUNT_THROTTLED",
            3: "FAILED",
            4: "ACCOUNT_SENDING_PAUSED",
        }
    )
    refused, throttled, sent, unknown, paused = await mailer.send(several(5))
    assert isinstance(refused, SendRefused)
    assert isinstance(throttled, SendThrottled)
    assert isinstance(unknown, OutcomeUnknown)
    assert isinstance(paused, SendingPaused)
    (message,) = ses.messages
    assert (message.message_id, message.to) == (sent, ("2@example.com",))


@pytest.mark.parametrize(("fault", "expected"), FAILURES_OF_A_CALL)
async def test_a_call_that_fails_as_a_whole_fails_for_each_of_its_emails_and_is_not_tried_again(
    mailer: SesMailer, ses: ThreadedSimulator, fault: dict[str, Any], expected: type[Exception]
) -> None:
    ses.faults.set(**fault)
    answers = await mailer.send(several())
    assert [type(answer) for answer in answers] == [expected] * 3
    assert ses.messages == ()
    ses.faults.clear()
    await mailer.send(several())
    assert operations(ses) == ["SendBulkEmail"] * 3  # and it turned nothing off


@pytest.mark.parametrize("fault", ["reset_after_next", "hang_after_next"])
async def test_a_lost_answer_to_a_call_is_unknown_for_each_of_its_emails(
    ses: ThreadedSimulator, fault: str
) -> None:
    ses.faults.set(**{fault: 5})
    async with mailer_to(ses.url, IMPATIENT) as mailer:
        answers = await mailer.send(several())
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 3
    assert len(ses.messages) == 3
    assert getattr(ses.faults.plan, fault) == 4  # neither the SDK nor the mailer tried again


async def test_one_email_that_makes_ses_refuse_the_call_does_not_take_the_others_with_it(
    mailer: SesMailer, ses: ThreadedSimulator
) -> None:
    ses.faults.set(refuse_next=2, refuse_code="BadRequestException")  # the call, and the first one alone
    answers = await mailer.send(several())
    assert sorted(type(answer).__name__ for answer in answers) == ["SendRefused", "str", "str"]
    assert operations(ses) == ["SendEmail"] * 2
    await mailer.send(several(2))
    assert operations(ses)[2:] == ["SendBulkEmail"] * 2  # sharing calls goes on


async def test_an_answer_that_nobody_knows_is_asked_again_for_each_alone(
    mailer: SesMailer, ses: ThreadedSimulator
) -> None:
    ses.faults.set(refuse_next=1, refuse_code="RequestEntityTooLarge")
    assert all(isinstance(answer, str) for answer in await mailer.send(several()))
    assert operations(ses) == ["SendEmail"] * 3


class Scripted:
    """A client whose SendBulkEmail answers as it is told; SendEmail works."""

    def __init__(self, bulk: Exception | dict[str, Any]) -> None:
        self._bulk = bulk
        self.calls: list[str] = []

    async def send_bulk_email(self, **_: Any) -> dict[str, Any]:
        self.calls.append("SendBulkEmail")
        if isinstance(self._bulk, Exception):
            raise self._bulk
        return self._bulk

    async def send_email(self, **request: Any) -> dict[str, Any]:
        self.calls.append("SendEmail")
        return {"MessageId": f"ses-{request['Destination']['ToAddresses'][0]}"}


def scripted(bulk: Exception | dict[str, Any]) -> tuple[SesMailer, list[str]]:
    mailer, calls, _ = watched(bulk)
    return mailer, calls


def watched(bulk: Exception | dict[str, Any]) -> tuple[SesMailer, list[str], FakeTelemetry]:
    client: Any = Scripted(bulk)
    telemetry = FakeTelemetry()
    return SesMailer(client, STREAMS, telemetry), client.calls, telemetry


def error(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "SendBulkEmail")


@pytest.mark.parametrize(("code", "status"), [("AccessDeniedException", 403), ("404", 404), ("501", 501)])
async def test_where_the_shared_call_is_not_offered_each_goes_alone_from_then_on_and_that_is_told_once(
    code: str, status: int
) -> None:
    mailer, calls, telemetry = watched(error(code, status))
    for _ in range(2):
        assert await mailer.send(several(2)) == ["ses-0@example.com", "ses-1@example.com"]
    assert calls == ["SendBulkEmail", *["SendEmail"] * 4]
    ((name, fields),) = telemetry.events
    assert name == "bulk-calls-refused"
    assert code in str(fields["problem"])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"BulkEmailEntryResults": []},
        {"BulkEmailEntryResults": [{"Status": "SUCCESS", "MessageId": "ses-1"}]},
        {"BulkEmailEntryResults": [{}, {}]},
        {"BulkEmailEntryResults": [{"Status": "SUCCESS"}, {"Status": "SUCCESS", "MessageId": ""}]},
    ],
)
async def test_an_answer_that_does_not_tell_of_each_email_is_unknown(answer: dict[str, Any]) -> None:
    mailer, calls = scripted(answer)
    assert [type(one) for one in await mailer.send(several(2))] == [OutcomeUnknown] * 2
    assert calls == ["SendBulkEmail"]


# -- what the simulator can't do: a server that breaks in the middle -----------------------------------------

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Broken:
    """A server that reads a request whole and then does something to the connection."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        self.requests += 1
        await self._answer(writer)
        writer.close()


@asynccontextmanager
async def broken(answer: Answer) -> AsyncIterator[tuple[SesMailer, Broken]]:
    handler = Broken(answer)
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, mailer_to(f"http://127.0.0.1:{port}", IMPATIENT) as mailer:
        yield mailer, handler


async def reset(writer: asyncio.StreamWriter) -> None:
    """A TCP reset, as of a load balancer that lost its host; not the orderly end of a connection."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def half_an_answer(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"MessageId": ')
    await writer.drain()


async def no_answer_from_a_proxy(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<h1>Hello!</h1>")
    await writer.drain()


async def nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("answer", [reset, hang_up, half_an_answer, no_answer_from_a_proxy, nonsense])
async def test_an_answer_that_breaks_off_is_unknown_and_the_request_left_once(answer: Answer) -> None:
    async with broken(answer) as (mailer, server):
        assert isinstance(await answer_to(mailer), OutcomeUnknown)
        assert server.requests == 1


async def test_a_connection_that_is_refused_means_not_now() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with mailer_to(f"http://127.0.0.1:{port}") as mailer:
        answer = await answer_to(mailer)
    assert isinstance(answer, SendThrottled)
    assert "could not be reached" in str(answer)
    assert not answer.unexpected


async def test_without_credentials_nothing_leaves_and_somebody_must_look(
    ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    session: Any = aioboto3.Session(region_name="eu-west-1")
    async with session.client("sesv2", endpoint_url=ses.url, config=SES_CONFIG) as client:
        answer = await answer_to(SesMailer(client, STREAMS, FakeTelemetry()))
    assert isinstance(answer, SendThrottled)
    assert "NoCredentialsError" in str(answer)
    assert answer.unexpected
    assert ses.messages == ()


async def test_a_cancelled_send_is_cancelled() -> None:
    arrived, over = asyncio.Event(), asyncio.Event()

    async def stall(_: asyncio.StreamWriter) -> None:
        arrived.set()
        await over.wait()

    async with broken(stall) as (mailer, _):
        sending = asyncio.create_task(answer_to(mailer))
        await arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        over.set()
