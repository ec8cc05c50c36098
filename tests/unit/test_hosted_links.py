"""Mail with a topic leads its recipient to the hosted unsubscribe page, by a link of their own."""

from typing import Any

import pytest
from tests.support.cloud import request_event
from tests.support.harness import Harness

from engine.consent.links import Subscription, UnsubscribeLinks
from engine.errors import FailureCode
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.status import EmailStatusChanged
from engine.sending.compose import OutgoingMessage
from engine.templating.template import Template, compile_template

ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


def template(text: str = "Hello", topic: str | None = None) -> Template:
    metadata = '{"subject": "News"%s}' % (f', "topic": "{topic}"' if topic else "")
    return compile_template("welcome", None, text, metadata.encode())


@pytest.fixture
def harness() -> Harness:
    harness = Harness(hosts_page=True)
    harness.fake_aws.templates.templates["welcome"] = template()
    return harness


async def sent(harness: Harness, **detail: Any) -> OutgoingMessage:
    await harness.ask(**detail)
    (message,) = harness.fake_aws.mailer.sent.values()
    return message


def link_of(harness: Harness, message: OutgoingMessage) -> Subscription:
    """What the header's link means to the page."""
    url = dict(message.headers)["List-Unsubscribe"].strip("<>")
    return harness.fake_aws.links.links.read(url.partition("?t=")[2])


@pytest.mark.parametrize("by_template", [True, False])
async def test_mail_with_a_topic_carries_a_signed_link_and_takes_one_click(
    harness: Harness, *, by_template: bool
) -> None:
    harness.fake_aws.templates.templates["welcome"] = template(topic="news" if by_template else None)
    message = await sent(harness, to="Ada@Example.com", topic=None if by_template else "news")
    assert link_of(harness, message) == Subscription("news", "ada@example.com")
    assert ONE_CLICK in message.headers


async def test_mail_without_a_topic_carries_none(harness: Harness) -> None:
    assert (await sent(harness)).headers == ()


async def test_nothing_is_linked_where_no_page_is_hosted() -> None:
    harness = Harness()
    harness.fake_aws.templates.templates["welcome"] = template()
    assert (await sent(harness, topic="news")).headers == ()


def test_a_page_whose_address_ends_at_its_host_is_linked_at_its_root() -> None:
    ada = Subscription("news", "ada@example.com")
    assert UnsubscribeLinks("https://page.example", ["key"]).url(ada).startswith("https://page.example/?t=")


async def test_templates_may_show_the_link(harness: Harness) -> None:
    harness.fake_aws.templates.templates["welcome"] = template("{{ unsubscribeUrl }} {{ preferencesUrl }}")
    message = await sent(harness, topic="news")
    url = dict(message.headers)["List-Unsubscribe"].strip("<>")
    assert message.text == f"{url} {url}"


async def test_data_of_that_name_wins_in_the_template(harness: Harness) -> None:
    harness.fake_aws.templates.templates["welcome"] = template("{{ unsubscribeUrl }}")
    message = await sent(harness, topic="news", templateData={"unsubscribeUrl": "https://shop.example/u"})
    assert message.text == "https://shop.example/u"
    assert link_of(harness, message).topic == "news"


@pytest.mark.parametrize(
    "own",
    [
        {"unsubscribe": {"url": "https://shop.example/u"}},
        {"headers": {"list-unsubscribe": "<https://shop.example/u>"}},
    ],
)
async def test_a_request_that_says_itself_where_to_unsubscribe_keeps_that(
    harness: Harness, own: dict[str, Any]
) -> None:
    message = await sent(harness, topic="news", **own)
    headers = {name.lower(): value for name, value in message.headers}
    assert headers["list-unsubscribe"] == "<https://shop.example/u>"


async def test_every_email_of_a_shared_call_has_the_link_of_its_own_recipient(harness: Harness) -> None:
    people = ["ada@example.com", "bob@example.com"]
    await harness.deliver(
        *[request_event(to=person, topic="news", priority="bulk", idempotencyKey=person) for person in people]
    )
    messages = harness.fake_aws.mailer.sent.values()
    assert {link_of(harness, message).address: message.to for message in messages} == dict(
        zip(people, people, strict=True)
    )


async def test_headers_that_leave_no_room_are_refused_by_number(harness: Harness) -> None:
    headers = {f"X-{number}": "1" for number in range(14)}
    answer = await harness.ask(topic="news", headers=headers)
    assert isinstance(answer, EmailStatusChanged)
    assert answer.reason
    assert answer.reason.code == FailureCode.VALIDATION
    assert "16 with those of the hosted unsubscribe page" in answer.reason.message


async def test_mail_with_copies_gets_no_link_for_a_copy_could_unsubscribe_the_recipient(
    harness: Harness,
) -> None:
    assert (await sent(harness, topic="news", cc=["bob@example.com"])).headers == ()


async def test_keys_that_can_not_be_read_hold_mail_with_a_topic_and_no_other(harness: Harness) -> None:
    harness.fake_aws.links.fail_next = ["load"]
    newsletter = request_event(topic="news", priority="bulk", idempotencyKey="newsletter")
    reset = request_event(idempotencyKey="reset")
    answer = await harness.deliver(newsletter, reset)
    assert [failure.item_identifier for failure in answer.batch_item_failures] == ["message-0"]
    (message,) = harness.fake_aws.mailer.sent.values()
    assert message.headers == ()
    assert await harness.deliver(newsletter) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 2


async def test_mail_without_a_topic_does_not_ask_for_the_keys(harness: Harness) -> None:
    harness.fake_aws.links.fail_next = ["load"]
    await sent(harness)
    assert harness.fake_aws.links.fail_next == ["load"]
