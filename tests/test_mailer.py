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
from msgspec.structs import replace
from tests.real_clients import opened

from engine.aws.mailer import SesMailer
from engine.domain.failures import OutcomeUnknown, SendingPaused, SendRefused, SendThrottled
from engine.domain.message import AttachedFile, OutgoingMessage
from engine.local.ses.threaded import ThreadedSimulator
from engine.runtime import SES_CONFIG

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
        yield SesMailer(client, "Mail-ConfigSet")


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
            AttachedFile("invoice.pdf", "application/pdf", b"%PDF\x00\xff"),
            AttachedFile("logo.png", "image/png", b"\x89PNG", content_id="logo"),
        ),
    )
    message_id = await mailer.send(message)
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
    await mailer.send(replace(MESSAGE, html=html, text=text))
    (sent,) = ses.messages
    assert (sent.html, sent.text) == (html, text)


# -- what comes back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"throttle_next": 1}, SendThrottled),
        ({"sending_paused": True}, SendingPaused),
        ({"account_suspended": True}, SendingPaused),
        ({"daily_quota_used_up": True}, SendingPaused),
        ({"refuse_next": 1}, SendRefused),
        ({"refuse_next": 1, "refuse_code": "MailFromDomainNotVerifiedException"}, SendRefused),
        ({"refuse_next": 1, "refuse_code": "SomethingNewException"}, SendThrottled),
        ({"server_error_next": 1}, OutcomeUnknown),
        ({"reset_before_next": 1}, OutcomeUnknown),
    ],
)
async def test_ses_says_no_and_takes_nothing(
    mailer: SesMailer, ses: ThreadedSimulator, fault: dict[str, Any], expected: type[Exception]
) -> None:
    ses.faults.set(**fault)
    with pytest.raises(expected):
        await mailer.send(MESSAGE)
    assert ses.messages == ()


async def test_a_recipient_too_many_is_a_refusal_in_the_words_of_ses(
    mailer: SesMailer, ses: ThreadedSimulator
) -> None:
    crowd = tuple(f"a{number}@example.com" for number in range(50))
    with pytest.raises(SendRefused, match="BadRequestException: Recipient count exceeds 50"):
        await mailer.send(replace(MESSAGE, cc=crowd))
    assert ses.messages == ()


# -- once, and only once -------------------------------------------------------------------------------------


async def test_an_answer_that_never_comes_is_unknown_and_no_second_request_leaves(
    ses: ThreadedSimulator,
) -> None:
    ses.faults.set(hang_after_next=5)
    async with mailer_to(ses.url, IMPATIENT) as mailer:
        with pytest.raises(OutcomeUnknown, match="ReadTimeoutError"):
            await mailer.send(MESSAGE)
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
    with pytest.raises((SendThrottled, OutcomeUnknown)):
        await mailer.send(MESSAGE)
    assert getattr(ses.faults.plan, fault) == 4
    assert len(ses.messages) == accepted


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
        with pytest.raises(OutcomeUnknown):
            await mailer.send(MESSAGE)
        assert server.requests == 1


async def test_a_connection_that_is_refused_means_not_now() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with mailer_to(f"http://127.0.0.1:{port}") as mailer:
        with pytest.raises(SendThrottled, match="could not be reached") as caught:
            await mailer.send(MESSAGE)
    assert not caught.value.unexpected


async def test_without_credentials_nothing_leaves_and_somebody_must_look(
    ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    session: Any = aioboto3.Session(region_name="eu-west-1")
    async with session.client("sesv2", endpoint_url=ses.url, config=SES_CONFIG) as client:
        with pytest.raises(SendThrottled, match="NoCredentialsError") as caught:
            await SesMailer(client, "Mail-ConfigSet").send(MESSAGE)
    assert caught.value.unexpected
    assert ses.messages == ()


async def test_a_cancelled_send_is_cancelled() -> None:
    arrived, over = asyncio.Event(), asyncio.Event()

    async def stall(_: asyncio.StreamWriter) -> None:
        arrived.set()
        await over.wait()

    async with broken(stall) as (mailer, _):
        sending = asyncio.create_task(mailer.send(MESSAGE))
        await arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        over.set()
