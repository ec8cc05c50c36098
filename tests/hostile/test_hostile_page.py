"""Whatever is posted to the hosted page: a page comes back, and a link changes its own topics alone."""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile.strategies import MANY, SECRET, TEXTS
from tests.support.fakes import FakeTelemetry

from engine.consent.links import Subscription, UnsubscribeLinks
from engine.consent.opt_outs import OptOuts
from engine.consent.subscriptions import Action, Answer, SubscriptionPage
from engine.handlers import unsubscribe
from engine.schemas.consent import SubscriptionChanged
from engine.schemas.rows import SuppressionRow

LINKS: Final = UnsubscribeLinks("", ["key"])
TOKEN: Final = LINKS.url(Subscription("news", f"{SECRET}@b.example")).partition("=")[2]
ONE_CLICK: Final = b"List-Unsubscribe=One-Click"


@dataclass
class Rows:
    """Rows of type `unsubscribe`, and what was told of them."""

    changed: list[str] = field(default_factory=list)
    told: list[SubscriptionChanged] = field(default_factory=list)

    async def read(self, keys: Collection[str]) -> Collection[str]:
        return set(self.changed) & set(keys)

    async def add(self, row: SuppressionRow) -> None:
        self.changed.append(row.email)

    async def remove(self, key: str) -> None:
        self.changed.append(key)

    async def publish_change(self, change: SubscriptionChanged) -> None:
        self.told.append(change)


@dataclass
class Hosted:
    """The page, as the handler's environment holds it."""

    rows: Rows = field(default_factory=Rows)
    telemetry: FakeTelemetry = field(default_factory=FakeTelemetry)

    async def answer(self, ask: Callable[[SubscriptionPage], Coroutine[Any, Any, Answer]]) -> Answer:
        page = SubscriptionPage(
            links=LINKS,
            opt_outs=OptOuts(self.rows, self.rows),
            topics={"offers": "Offers"},
            clock=lambda: datetime(2026, 11, 24, tzinfo=UTC),
            telemetry=self.telemetry,
        )
        return await ask(page)

    def invoke(self, work: Callable[["Hosted"], Coroutine[Any, Any, Answer]]) -> Answer:
        return asyncio.run(work(self))


@pytest.fixture(scope="module", autouse=True)
def _restored() -> Iterator[None]:
    environment = unsubscribe.environment
    yield
    unsubscribe.environment = environment


def multipart(content_type: str, content: bytes, encoding: str) -> bytes:
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return (
        b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n'
        + head.encode(errors="replace")
        + b"\r\n"
        + content
        + b"\r\n--x--"
    )


FORM: Final = "application/x-www-form-urlencoded"
TYPES: Final = st.sampled_from(
    [FORM, "multipart/form-data; boundary=x", "multipart/form-data", 'multipart/form-data; boundary="', ""]
)
PARTS: Final = st.builds(
    multipart,
    st.sampled_from(
        ["text/plain", "text/plain; charset=none", "multipart/mixed; boundary=y", "message/rfc822"]
    )
    | TEXTS,
    st.sampled_from([b"One-Click", b"T25lLUNsaWNr", b"--y\r\n\r\nOne-Click\r\n--y--"])
    | st.binary(max_size=40),
    st.sampled_from(["7bit", "base64", "quoted-printable", "x-uuencode", "8bit"]) | TEXTS,
)
FIELDS: Final = st.lists(
    st.sampled_from(
        ["topic=", "action=", "unsubscribe", "subscribe", "news", "offers", "*", "&", "%00", "%ff", "="]
    ),
    max_size=8,
).map(lambda words: "".join(words).encode())
BODIES: Final = (
    st.binary(max_size=60) | PARTS | FIELDS | st.sampled_from([ONE_CLICK, b"a=1&" * 900, b"x" * 5000])
)
TOKENS: Final = st.sampled_from([TOKEN, TOKEN[:-1], TOKEN + "=", ""]) | TEXTS


def request_of(
    method: str, path: str, headers: dict[str, str], body: bytes, token: str | None
) -> dict[str, Any]:
    """Payload format 2.0, with the body as Lambda hands over what it takes for binary."""
    return {
        "version": "2.0",
        "rawPath": path,
        "headers": headers,
        **({"queryStringParameters": {"t": token}} if token is not None else {}),
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "isBase64Encoded": True,
        "body": b64encode(body).decode(),
    }


REQUESTS: Final = st.builds(
    request_of,
    st.sampled_from(["GET", "POST", "POST", "PUT", "HEAD"]),
    st.sampled_from(["/", "/", "/", "//", "/favicon.ico"]),
    st.just({}) | st.fixed_dictionaries({"content-type": TYPES | TEXTS, "accept-language": TEXTS}),
    BODIES,
    st.none() | TOKENS,
)


@MANY
@given(REQUESTS)
def test_any_request_gets_a_page_and_changes_no_more_than_its_link_allows(event: dict[str, Any]) -> None:
    hosted = Hosted()
    unsubscribe.environment = hosted  # type: ignore[assignment]  # all of an environment that a request needs
    answer = unsubscribe.handler(event)
    assert answer["statusCode"] in {200, 400, 404, 413}
    may_change = event["requestContext"]["http"]["method"] == "POST" and answer["statusCode"] == 200
    assert bool(hosted.rows.told) is may_change
    if hosted.rows.changed:
        assert event["queryStringParameters"]["t"].rstrip("=") == TOKEN
        topics = {key.partition("#")[0] for key in hosted.rows.changed if "#" in key}
        assert topics <= {"news", "offers", "*"}
    assert SECRET not in str(hosted.telemetry.events)


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/octet-stream", "text/plain; charset=none"]
)
def test_a_form_of_parts_counts_whatever_type_they_claim(action: Action, content_type: str) -> None:
    hosted = Hosted()
    unsubscribe.environment = hosted  # type: ignore[assignment]  # as above
    part = (
        "--x\r\nContent-Disposition: form-data; name={}\r\nContent-Type: " + content_type + "\r\n\r\n{}\r\n"
    )
    body = part.format("topic", "news") + part.format("action", action) + "--x--"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert unsubscribe.handler(request_of("POST", "/", headers, body.encode(), TOKEN))["statusCode"] == 200
    (told,) = hosted.rows.told
    assert told.subscribed is (action is Action.SUBSCRIBE)
