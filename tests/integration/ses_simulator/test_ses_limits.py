"""What the SES simulator refuses, and in which words."""

from typing import Any

import msgspec
import pytest
from tests.support.ses_requests import ManualClock, bulk, entry, refusal, served, simple

from engine.local.ses import Account, Simulator
from engine.local.ses.errors import SesError
from engine.local.ses.wire import AttachmentPart, EmailContent, SendEmailRequest


def file(**changes: Any) -> dict[str, Any]:
    return {"RawContent": b"x", "FileName": "a.pdf", "ContentType": "application/pdf"} | changes


async def test_bulk_entries_beyond_the_rate_are_throttled_one_by_one(client: Any, ses: Simulator) -> None:
    ses.configure(max_send_rate=2)
    answer = await client.send_bulk_email(**bulk(*[entry(f"u{n}@example.org") for n in range(3)]))
    assert [result["Status"] for result in answer["BulkEmailEntryResults"]] == [
        "SUCCESS",
        "SUCCESS",
        "ACCOUNT_THROTTLED",
    ]
    assert await refusal(client.send_bulk_email(**bulk(entry("late@example.org")))) == (
        "TooManyRequestsException",
        "Maximum sending rate exceeded.",
        429,
    )


async def test_the_rate_counts_recipients_and_starts_anew_with_the_second(
    client: Any, ses: Simulator, clock: ManualClock
) -> None:
    ses.configure(max_send_rate=3)
    clock.turn(0.9)
    two = simple(Destination={"ToAddresses": ["a@x.io", "b@x.io"]})
    await client.send_email(**two)
    assert (await refusal(client.send_email(**two)))[0] == "TooManyRequestsException"
    clock.turn(0.1)
    await client.send_email(**two)
    assert len(ses.messages) == 2


async def test_a_sliding_window_looks_back_a_whole_second(clock: ManualClock) -> None:
    ses = Simulator(Account(max_send_rate=1, window="sliding"), now=clock)
    async with served(ses) as client:
        clock.turn(0.9)
        await client.send_email(**simple())
        clock.turn(0.9)
        assert (await refusal(client.send_email(**simple())))[0] == "TooManyRequestsException"
        clock.turn(0.1)
        await client.send_email(**simple())


async def test_a_message_with_more_recipients_than_the_rate_passes_in_an_idle_second(
    client: Any, ses: Simulator
) -> None:
    ses.configure(max_send_rate=1)
    await client.send_email(**simple(Destination={"ToAddresses": ["a@x.io", "b@x.io"]}))
    assert len(ses.messages) == 1


async def test_the_daily_quota_leaves_out_the_mailbox_simulator_and_frees_itself_after_a_day(
    client: Any, ses: Simulator, clock: ManualClock
) -> None:
    ses.configure(daily_quota=2)
    for to in ("success@simulator.amazonses.com", "a@x.io", "b@x.io"):
        await client.send_email(**simple(Destination={"ToAddresses": [to]}))
    assert await refusal(client.send_email(**simple())) == (
        "LimitExceededException",
        "Daily message quota exceeded.",
        400,
    )
    quota = (await client.get_account())["SendQuota"]
    assert quota == {"Max24HourSend": 2.0, "MaxSendRate": 100.0, "SentLast24Hours": 2.0}
    clock.turn(24 * 3600 + 1)
    assert (await client.get_account())["SendQuota"]["SentLast24Hours"] == 0
    await client.send_email(**simple())


async def test_only_verified_identities_may_send(client: Any, ses: Simulator) -> None:
    ses.configure(identities=frozenset({"example.com", "me@else.org"}))
    await client.send_email(**simple())
    await client.send_email(**simple(FromEmailAddress="Me <me@else.org>"))
    code, message, _ = await refusal(client.send_email(**simple(FromEmailAddress="you@else.org")))
    assert code == "MessageRejected"
    assert message.startswith("Email address is not verified. The following identities failed the check in ")
    assert message.endswith("region US-EAST-1: you@else.org")


async def test_an_unknown_configuration_set_is_not_found(client: Any, ses: Simulator) -> None:
    ses.configure(configuration_sets=frozenset({"Engine-ConfigSet"}))
    await client.send_email(**simple())
    assert await refusal(client.send_email(**simple(ConfigurationSetName="Other"))) == (
        "NotFoundException",
        "Configuration set <Other> does not exist.",
        404,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FromEmailAddress": ""}, "Missing required header 'From'."),
        ({"FromEmailAddress": "nobody"}, "Missing final '@domain'"),
        ({"Destination": {}}, "Destination must have at least one recipient."),
        ({"Destination": {"ToAddresses": ["a@x.io"] * 51}}, "Recipient count exceeds 50."),
        ({"Destination": {"CcAddresses": ["@x.io"]}}, "Local address contains control or whitespace"),
        ({"Destination": {"ToAddresses": ["zoë@x.io"]}}, "Local address contains non-ASCII characters."),
        ({"Destination": {"ToAddresses": ["a@zoë.io"]}}, "Domain contains illegal character."),
        ({"Content": {}}, "Content must have exactly one of Simple, Raw and Template."),
        ({"simple": {"Body": {}}}, "Body must have Html or Text."),
        ({"simple": {"Subject": {"Data": "é", "Charset": "klingon"}}}, "Unknown charset klingon."),
        (
            {"simple": {"Headers": [{"Name": f"X-{n}", "Value": "v"} for n in range(16)]}},
            "Number of headers exceeds 15.",
        ),
        ({"simple": {"Headers": [{"Name": "X A", "Value": "v"}]}}, "Invalid header name <X A>."),
        (
            {"simple": {"Headers": [{"Name": "Bcc", "Value": "v"}]}},
            "Header <Bcc> cannot be set as a custom header.",
        ),
        ({"simple": {"Headers": [{"Name": "X-A", "Value": "é"}]}}, "Invalid value of header <X-A>."),
        ({"simple": {"Headers": [{"Name": "X-A", "Value": "v" * 996}]}}, "Invalid value of header <X-A>."),
        (
            {"simple": {"Headers": [{"Name": "X-AB", "Value": "v" * 993}]}},
            "Header <X-AB> exceeds 996 characters.",
        ),
        (
            {"simple": {"Attachments": [{"RawContent": b"x", "FileName": "Setup.EXE"}]}},
            "Illegal filename 'Setup.EXE'.",
        ),
        (
            {"simple": {"Attachments": [file(FileName="n" * 252 + ".pdf")]}},
            "Value at 'fileName' failed to satisfy constraint: 1 to 255 characters",
        ),
        (
            {"simple": {"Attachments": [file(ContentType="t" * 79)]}},
            "Value at 'contentType' failed to satisfy constraint: 1 to 78 characters",
        ),
        (
            {"EmailTags": [{"Name": "a b", "Value": "v"}]},
            "Invalid tag name <a b>: it may hold ASCII letters, digits, '_' and '-'.",
        ),
        (
            {"EmailTags": [{"Name": "a", "Value": "@"}]},
            "Invalid tag value <@>: it may hold ASCII letters, digits, '_' and '-'.",
        ),
        (
            {"EmailTags": [{"Name": f"t{n}", "Value": "v"} for n in range(51)]},
            "Number of message tags exceeds 50.",
        ),
        (
            {"Content": {"Template": {"TemplateContent": {"Text": "t"}, "TemplateData": "[1]"}}},
            "Template data is not a JSON object.",
        ),
        (
            {"Content": {"Template": {"TemplateContent": {"Text": "t"}, "TemplateData": " " * 262_145}}},
            "Template data is longer than 262144 characters.",
        ),
    ],
)
async def test_a_request_that_breaks_a_rule_is_a_bad_request_and_nothing_is_accepted(
    client: Any, ses: Simulator, changes: dict[str, Any], message: str
) -> None:
    assert await refusal(client.send_email(**simple(**changes))) == ("BadRequestException", message, 400)
    assert ses.messages == ()
    assert ses.events == ()


CHINESE = "\N{CJK UNIFIED IDEOGRAPH-5C71}"
WORD = f"=?utf-8?b?{'A' * 40}?="
TO_320 = "n" * (320 - len(" <shop@example.com>"))


@pytest.mark.parametrize(
    ("mailbox", "encoded"),
    [
        (f"{TO_320}n <shop@example.com>", f"{TO_320}n <shop@example.com>"),
        (f'"{TO_320}n" <shop@example.com>', f"{TO_320}n <shop@example.com>"),
        (f"{' '.join([WORD] * 6)} <shop@example.com>", f"{' '.join([WORD] * 6)} <shop@example.com>"),
        (f"{CHINESE * 80} <shop@example.com>", f"=?utf-8?b?{'5bGx' * 80}?= <shop@example.com>"),
        (f"{'a' * 320}@x.io", f"{'a' * 320}@x.io"),
    ],
    ids=["a long name", "in quotes", "encoded words", "Chinese characters", "an address"],
)
@pytest.mark.parametrize("field", ["From", "To", "Reply-To"])
async def test_an_address_of_more_than_320_characters_once_encoded_is_refused(
    client: Any, ses: Simulator, mailbox: str, encoded: str, field: str
) -> None:
    changes: dict[str, Any] = {
        "From": {"FromEmailAddress": mailbox},
        "To": {"Destination": {"ToAddresses": [mailbox]}},
        "Reply-To": {"ReplyToAddresses": [mailbox]},
    }
    assert await refusal(client.send_email(**simple(**changes[field]))) == (
        "BadRequestException",
        f"Address length is more than 320 characters long: '{encoded}'.",
        400,
    )
    assert ses.messages == ()


async def test_a_from_of_320_characters_is_taken(client: Any) -> None:
    await client.send_email(**simple(FromEmailAddress=f'"{TO_320}" <shop@example.com>'))
    await client.send_email(**simple(FromEmailAddress=f"{CHINESE * 64} <shop@example.com>"))


async def test_a_bulk_call_from_too_long_a_sender_is_refused_as_a_whole(client: Any) -> None:
    request = bulk(entry("a@x.io"), FromEmailAddress=f"{TO_320}n <shop@example.com>")
    assert (await refusal(client.send_bulk_email(**request)))[0] == "BadRequestException"


@pytest.mark.parametrize(
    "content_type",
    ['text/calendar; charset="utf-8"; method=REQUEST', "application/pdf;", "text/plain;  charset=utf-8", "x"],
)
async def test_a_content_type_may_have_any_form(client: Any, ses: Simulator, content_type: str) -> None:
    await client.send_email(**simple(simple={"Attachments": [file(ContentType=content_type)]}))
    assert ses.messages[0].attachments[0].content_type == content_type


async def test_a_message_beyond_40_megabytes_is_refused_with_its_attachments_counted_in_base64(
    ses: Simulator,
) -> None:
    request = msgspec.convert(simple(), SendEmailRequest)
    file = AttachmentPart(raw_content=bytes(32 * 1024 * 1024), file_name="big.bin")
    assert request.content.simple is not None
    content = EmailContent(simple=msgspec.structs.replace(request.content.simple, attachments=(file,)))
    with pytest.raises(SesError, match="Message length is more than 41943040 bytes long"):
        await ses.send_email(msgspec.structs.replace(request, content=content))


@pytest.mark.parametrize("count", [0, 51])
async def test_a_bulk_request_has_1_to_50_entries(client: Any, count: int) -> None:
    code, message, _ = await refusal(client.send_bulk_email(**bulk(*[entry("a@x.io")] * count)))
    assert (code, message) == ("BadRequestException", "BulkEmailEntries must have between 1 and 50 entries.")
