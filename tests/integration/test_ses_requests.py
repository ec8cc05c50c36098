"""The wire to SES: an email reads the same whether it went alone or in a shared call."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from msgspec.structs import asdict, replace
from tests.support.real_clients import opened

from engine.aws.clients import SES_CONFIG
from engine.aws.mailer import send_bulk_email_request, send_email_request
from engine.local.ses.message import Message
from engine.local.ses.threaded import ThreadedSimulator
from engine.sending.compose import OutgoingMessage
from engine.sending.streams import Stream

STREAM = Stream("Mail-ConfigSet")
PLAIN = OutgoingMessage(
    email_id="e1",
    sender="The Shop <no-reply@shop.example>",
    to="ada@example.com",
    subject="Welcome",
    html="<h1>Hello</h1>",
    text="Hello",
    tags=(("emailId", "e1"),),
)
MESSAGES = {
    "plain": PLAIN,
    "html only": replace(PLAIN, text=None),
    "text only": replace(PLAIN, html=None),
    "empty parts": replace(PLAIN, subject="", html="", text=""),
    "unicode": replace(
        PLAIN,
        sender="=?utf-8?q?B=C3=ADlling?= <billing@shop.example>",
        subject="Grüße 🎉 שלום",
        html="<p>日本語 — “quoted” \N{LINE SEPARATOR} \N{GREEK SMALL LETTER ALPHA WITH TONOS}</p>",
        text="zażółć gęślą jaźń \N{ZERO WIDTH JOINER}",
    ),
    "text that looks like a template": replace(
        PLAIN,
        subject="{{html}} costs {{ price }}",
        html="<p>{{subject}} {{{text}}} {{#if x}}y{{/if}} {{> partial}} {{!-- note --}} \\{{a}}</p>",
        text="{{text}} {{ subject }} {{unknown}} {% raw %} $1 \\1 \\g<0>",
    ),
    "text that JSON escapes": replace(
        PLAIN,
        subject='"quoted" \\ back',
        html="<a href=\"https://x.example/?a=1&b='2'\">\r\n\t\x01</a></script>",
        text='line\r\nline\n"\\" \x7f \u2028',
    ),
    "headers": replace(
        PLAIN,
        reply_to=("help@shop.example", "Desk <desk@shop.example>"),
        headers=(
            ("X-Campaign", "spring"),
            ("List-Unsubscribe", "<https://shop.example/u?e=1&t={{x}}>, <mailto:leave@shop.example>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ),
        tags=(("emailId", "e1"), ("campaign", "spring_2026"), ("a-b", "C")),
    ),
}
OF_ITS_OWN = {"message_id", "accepted_at", "operation"}


@pytest.fixture
async def client(ses: ThreadedSimulator) -> AsyncIterator[Any]:
    async with opened("sesv2", ses.url, SES_CONFIG) as client:
        yield client


def read(message: Message) -> dict[str, Any]:
    """What a reader, and whoever follows the email by its tags, gets of it."""
    return {name: value for name, value in asdict(message).items() if name not in OF_ITS_OWN}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
async def test_an_email_reads_the_same_alone_and_in_a_shared_call(
    client: Any, ses: ThreadedSimulator, message: OutgoingMessage
) -> None:
    other = replace(message, to="bob@example.com", tags=(("emailId", "e2"),))
    await client.send_email(**send_email_request(message, STREAM))
    await client.send_bulk_email(**send_bulk_email_request([other, message], STREAM))
    alone, companion, shared = ses.messages
    assert (alone.operation, shared.operation) == ("SendEmail", "SendBulkEmail")
    assert read(shared) == read(alone)
    assert (alone.subject, alone.html, alone.text) == (message.subject, message.html, message.text)
    assert (alone.headers, alone.tags) == (message.headers, dict(message.tags))
    assert (alone.reply_to, alone.rendering_failure) == (message.reply_to, None)
    assert (companion.to, companion.tags) == (("bob@example.com",), {"emailId": "e2"})


async def test_the_emails_of_a_call_keep_their_content_apart(client: Any, ses: ThreadedSimulator) -> None:
    messages = [
        replace(
            PLAIN,
            email_id=f"e{n}",
            to=f"{n}@example.com",
            subject=f"Subject {n}",
            html=f"<p>{n}</p>",
            text=f"Text {n}",
            headers=(("X-Number", str(n)),) if n % 2 else (),
            tags=(("emailId", f"e{n}"),),
        )
        for n in range(50)
    ]
    await client.send_bulk_email(**send_bulk_email_request(messages, STREAM))
    assert [
        (sent.to, sent.subject, sent.html, sent.text, sent.headers, sent.tags) for sent in ses.messages
    ] == [((m.to,), m.subject, m.html, m.text, m.headers, dict(m.tags)) for m in messages]


def test_a_shared_call_says_in_the_words_of_ses_what_is_shared_and_what_is_not() -> None:
    message = MESSAGES["headers"]
    assert send_bulk_email_request([message], STREAM) == {
        "FromEmailAddress": "The Shop <no-reply@shop.example>",
        "ReplyToAddresses": ["help@shop.example", "Desk <desk@shop.example>"],
        "ConfigurationSetName": "Mail-ConfigSet",
        "DefaultContent": {
            "Template": {
                "TemplateContent": {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"},
                "TemplateData": "{}",
            }
        },
        "BulkEmailEntries": [
            {
                "Destination": {"ToAddresses": ["ada@example.com"]},
                "ReplacementTags": [
                    {"Name": "emailId", "Value": "e1"},
                    {"Name": "campaign", "Value": "spring_2026"},
                    {"Name": "a-b", "Value": "C"},
                ],
                "ReplacementEmailContent": {
                    "ReplacementTemplate": {
                        "ReplacementTemplateData": json.dumps(
                            {"subject": "Welcome", "html": "<h1>Hello</h1>", "text": "Hello"},
                            separators=(",", ":"),
                        )
                    }
                },
                "ReplacementHeaders": [{"Name": name, "Value": value} for name, value in message.headers],
            }
        ],
    }


def test_a_part_that_the_emails_have_not_is_in_neither_template_nor_data() -> None:
    request = send_bulk_email_request([MESSAGES["text only"]], STREAM)
    template = request["DefaultContent"]["Template"]["TemplateContent"]
    assert template == {"Subject": "{{subject}}", "Text": "{{text}}"}
    (entry,) = request["BulkEmailEntries"]
    data = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]
    assert json.loads(data) == {"subject": "Welcome", "text": "Hello"}
    assert "ReplyToAddresses" not in request
    assert "ReplacementHeaders" not in entry


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_requests_are_as_botocore_has_them(message: OutgoingMessage) -> None:
    """The engine's clients don't validate parameters; here they are, once."""
    model = get_session().get_service_model("sesv2")
    for operation, request in {
        "SendEmail": send_email_request(message, STREAM),
        "SendBulkEmail": send_bulk_email_request([message], STREAM),
    }.items():
        shape = model.operation_model(operation).input_shape
        assert shape
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize(
    ("stream", "named"), [(STREAM, None), (Stream("Mail-BulkConfigSet", tenant="newsletters"), "newsletters")]
)
def test_a_tenant_is_named_where_there_is_one(stream: Stream, named: str | None) -> None:
    for request in (send_email_request(PLAIN, stream), send_bulk_email_request([PLAIN], stream)):
        assert request.get("TenantName") == named
        assert request["ConfigurationSetName"] == stream.configuration_set
