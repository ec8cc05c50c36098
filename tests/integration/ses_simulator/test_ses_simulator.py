"""The SES simulator as an AWS SDK sees it: what a request becomes."""

from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest
from tests.support.ses_requests import NOON, ManualClock, bulk, connected, entry, refusal, served, simple

from engine.local.ses import Account, Simulator, ThreadedSimulator, serve


async def test_a_simple_message_is_kept_with_everything_the_request_said(client: Any, ses: Simulator) -> None:
    request = simple(
        Destination={"ToAddresses": ["a@example.org"], "CcAddresses": ["c@x.io"], "BccAddresses": ["b@x.io"]},
        ReplyToAddresses=["help@example.com"],
        EmailTags=[{"Name": "emailId", "Value": "e-1"}],
        simple={
            "Subject": {"Data": "Grüße", "Charset": "UTF-8"},
            "Body": {"Html": {"Data": "<b>é</b>", "Charset": "iso-8859-1"}, "Text": {"Data": "plain"}},
            "Headers": [{"Name": "List-Unsubscribe", "Value": "<https://x.io/u>"}],
            "Attachments": [
                {"RawContent": b"\x00pdf", "FileName": "a.pdf", "ContentType": "application/pdf"},
                {
                    "RawContent": b"png",
                    "FileName": "l.png",
                    "ContentId": "logo",
                    "ContentDisposition": "INLINE",
                },
            ],
        },
    )
    answer = await client.send_email(**request)
    (message,) = ses.messages
    assert message.message_id == answer["MessageId"]
    assert (message.sender, message.accepted_at) == ("Shop <shop@example.com>", NOON)
    assert message.recipients == ("a@example.org", "c@x.io", "b@x.io")
    assert (message.to, message.cc, message.bcc) == (("a@example.org",), ("c@x.io",), ("b@x.io",))
    assert message.reply_to == ("help@example.com",)
    assert (message.subject, message.html, message.text) == ("Grüße", "<b>é</b>", "plain")
    assert message.headers == (("List-Unsubscribe", "<https://x.io/u>"),)
    assert message.tags == {"emailId": "e-1"}
    assert message.configuration_set == "Engine-ConfigSet"
    pdf, logo = message.attachments
    assert (pdf.content, pdf.file_name, pdf.content_type, pdf.disposition) == (
        b"\x00pdf",
        "a.pdf",
        "application/pdf",
        "ATTACHMENT",
    )
    assert (logo.content_id, logo.disposition, logo.content_type) == (
        "logo",
        "INLINE",
        "application/octet-stream",
    )


async def test_text_beyond_ascii_is_lost_without_a_charset(client: Any, ses: Simulator) -> None:
    await client.send_email(**simple(simple={"Subject": {"Data": "Grüße"}}))
    assert ses.messages[0].subject == "Gr??e"


async def test_a_raw_message_brings_its_own_envelope(client: Any, ses: Simulator) -> None:
    mail = EmailMessage()
    mail["From"] = "Shop <shop@example.com>"
    mail["To"] = "Ann <ann@example.org>, bob@example.org"
    mail["Cc"] = "cy@example.org"
    mail["Subject"] = "Grüße"
    mail["X-Campaign"] = "spring"
    mail["X-SES-MESSAGE-TAGS"] = "emailId=e-1, kind=news"
    mail["X-SES-CONFIGURATION-SET"] = "Engine-ConfigSet"
    mail.set_content("plain")
    mail.add_alternative("<b>rich</b>", subtype="html")
    mail.add_attachment(b"data", maintype="text", subtype="csv", filename="list.csv")
    await client.send_email(Content={"Raw": {"Data": mail.as_bytes()}})
    (message,) = ses.messages
    assert message.sender == "Shop <shop@example.com>"
    assert message.recipients == ("ann@example.org", "bob@example.org", "cy@example.org")
    assert message.subject == "Grüße"
    assert (message.text, message.html) == ("plain\n", "<b>rich</b>\n")
    assert message.headers == (("X-Campaign", "spring"),)
    assert message.tags == {"emailId": "e-1", "kind": "news"}
    assert message.configuration_set == "Engine-ConfigSet"
    assert [(file.file_name, file.content) for file in message.attachments] == [("list.csv", b"data")]


async def test_the_request_overrides_the_envelope_of_a_raw_message(client: Any, ses: Simulator) -> None:
    raw = b"From: a@x.io\r\nTo: b@x.io\r\n\r\nhi"
    await client.send_email(
        FromEmailAddress="s@x.io", Destination={"ToAddresses": ["c@x.io"]}, Content={"Raw": {"Data": raw}}
    )
    assert (ses.messages[0].sender, ses.messages[0].to) == ("s@x.io", ("c@x.io",))


async def test_send_email_fills_an_inline_template(client: Any, ses: Simulator) -> None:
    content = {"Subject": "Hi {{user.name}}", "Html": "<p>{{n}}</p>"}
    template = {"TemplateContent": content, "TemplateData": '{"user":{"name":"Ann"},"n":3}'}
    await client.send_email(**simple(Content={"Template": template}))
    assert (ses.messages[0].subject, ses.messages[0].html) == ("Hi Ann", "<p>3</p>")


async def test_bulk_entries_are_rendered_and_tagged_one_by_one(client: Any, ses: Simulator) -> None:
    first = entry("ann@example.org", {"emailId": "e-1"}, html="<i>A & B</i>", text="a")
    second = entry("bob@example.org", {"emailId": "e-2"}, subject="Own")
    second["ReplacementHeaders"] = [{"Name": "X-Own", "Value": "2"}]
    request = bulk(first, second, DefaultEmailTags=[{"Name": "campaign", "Value": "spring"}])
    request["DefaultContent"]["Template"]["Headers"] = [
        {"Name": "X-Own", "Value": "1"},
        {"Name": "X-All", "Value": "all"},
    ]
    answer = await client.send_bulk_email(**request)
    one, two = ses.messages
    assert [result["MessageId"] for result in answer["BulkEmailEntryResults"]] == [
        one.message_id,
        two.message_id,
    ]
    # SES does not escape what it puts in: what the engine rendered arrives as it is.
    assert (one.subject, one.html, one.text) == ("News", "<p><i>A & B</i></p>", "a")
    assert (two.subject, two.html) == ("Own", "<p>h</p>")
    assert one.tags == {"campaign": "spring", "emailId": "e-1"}
    assert one.headers == (("X-Own", "1"), ("X-All", "all"))
    assert two.headers == (("X-Own", "2"), ("X-All", "all"))
    assert one.operation == "SendBulkEmail"


async def test_a_bad_bulk_entry_fails_alone(client: Any, ses: Simulator) -> None:
    answer = await client.send_bulk_email(**bulk(entry("no-at-sign"), entry("bob@example.org")))
    bad, good = answer["BulkEmailEntryResults"]
    assert (bad["Status"], bad["Error"]) == ("INVALID_PARAMETER", "Missing final '@domain'")
    assert (good["Status"], len(ses.messages)) == ("SUCCESS", 1)


async def test_a_placeholder_without_data_is_accepted_and_reported_as_rendering_failure(
    client: Any, ses: Simulator
) -> None:
    request = bulk(entry("ann@example.org"))
    request["DefaultContent"]["Template"]["TemplateContent"]["Subject"] = "{{missing}}"
    answer = await client.send_bulk_email(**request)
    assert answer["BulkEmailEntryResults"][0]["Status"] == "SUCCESS"
    (event,) = ses.events
    assert event.document()["failure"] == {
        "errorMessage": "Attribute 'missing' is not present in the rendering data.",
        "templateName": "",
    }


async def test_a_stored_template_does_not_exist_here(client: Any) -> None:
    content = {"Template": {"TemplateName": "welcome", "TemplateData": "{}"}}
    assert await refusal(client.send_email(**simple(Content=content))) == (
        "NotFoundException",
        "Template welcome does not exist.",
        404,
    )


async def test_a_body_that_is_no_json_is_a_bad_request(ses: Simulator) -> None:
    async with (
        serve(ses) as url,
        aiohttp.ClientSession(url) as http,
        http.post("/v2/email/outbound-emails", data=b"{") as answer,
    ):
        assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (400, "BadRequestException")


async def test_the_threaded_form_serves_a_loop_of_the_tests_own() -> None:
    with ThreadedSimulator(Account(max_send_rate=5)) as ses:
        async with connected(ses.url) as client:
            sent = await client.send_email(**simple())
            assert ses.messages[0].message_id == sent["MessageId"]
            assert [event.event_type for event in ses.events] == ["Send", "Delivery"]
            ses.report(sent["MessageId"], "bounce")
            assert ses.events[-1].event_type == "Bounce"
            ses.faults.set(events_held=True)
            await client.send_email(**simple())
            assert (len(ses.held), ses.release(), ses.held) == (2, 2, ())
            ses.configure(max_send_rate=1)
            assert (await client.get_account())["SendQuota"]["MaxSendRate"] == 1
            ses.forget()
            assert (ses.messages, ses.events, ses.faults.plan.events_held) == ((), (), False)
            assert ses.environment == {"AWS_ENDPOINT_URL_SESV2": ses.url}


async def test_the_threaded_form_does_not_throttle_a_test_that_is_not_about_rates() -> None:
    with ThreadedSimulator() as ses:
        async with connected(ses.url) as client:
            for _ in range(20):
                await client.send_email(**simple())
        assert len(ses.messages) == 20


async def test_the_threaded_form_ends_its_thread_when_it_cannot_start() -> None:
    with ThreadedSimulator() as running:
        port = int(running.url.rpartition(":")[2])
        blocked = ThreadedSimulator(port=port)
        with pytest.raises(OSError, match="address"), blocked:
            pass
        assert not blocked._thread.is_alive()


async def test_only_the_newest_messages_are_kept(clock: ManualClock) -> None:
    ses = Simulator(keep=2, now=clock)
    async with served(ses) as client:
        ids = [(await client.send_email(**simple()))["MessageId"] for _ in range(3)]
    assert [message.message_id for message in ses.messages] == ids[1:]
    assert ses.message(ids[2]).message_id == ids[2]
    with pytest.raises(KeyError):
        ses.message(ids[0])
