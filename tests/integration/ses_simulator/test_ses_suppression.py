"""The account suppression list of the SES simulator, as an AWS SDK sees it."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.ses_requests import NOON, ManualClock, refusal, simple

from engine.local.ses import Simulator

ADA = "Ada@example.org"


def reports(ses: Simulator) -> list[tuple[str, str | None]]:
    """What SES reported: the kind of event, and the subtype of a bounce."""
    documents = [event.document() for event in ses.events]
    return [(each["eventType"], each.get("bounce", {}).get("bounceSubType")) for each in documents]


async def send(client: Any, *to: str) -> str:
    return str((await client.send_email(**simple(Destination={"ToAddresses": list(to)})))["MessageId"])


async def test_mail_to_an_address_of_the_list_is_taken_and_bounces(client: Any, ses: Simulator) -> None:
    await client.put_suppressed_destination(EmailAddress=ADA, Reason="BOUNCE")
    await send(client, "ada@EXAMPLE.org", "bob@example.org")
    assert sorted(reports(ses), key=str) == [
        ("Bounce", "OnAccountSuppressionList"),
        ("Delivery", None),
        ("Send", None),
    ]


async def test_an_address_is_shown_until_it_is_deleted(client: Any, ses: Simulator) -> None:
    await client.put_suppressed_destination(EmailAddress=ADA, Reason="COMPLAINT")
    found = (await client.get_suppressed_destination(EmailAddress="ada@example.org"))["SuppressedDestination"]
    assert (found["EmailAddress"], found["Reason"], found["LastUpdateTime"]) == (ADA, "COMPLAINT", NOON)
    await client.delete_suppressed_destination(EmailAddress=ADA)
    for call in (client.get_suppressed_destination, client.delete_suppressed_destination):
        code, message, status = await refusal(call(EmailAddress=ADA))
        assert (code, status) == ("NotFoundException", 404)
        assert ADA in message
    await send(client, ADA)
    assert reports(ses) == [("Send", None), ("Delivery", None)]


@pytest.mark.parametrize(("name", "reason"), [("bounce", "BOUNCE"), ("complaint", "COMPLAINT")])
async def test_a_hard_bounce_or_a_complaint_adds_to_the_list(client: Any, name: str, reason: str) -> None:
    address = f"{name}@simulator.example.com"
    message_id = await send(client, address)
    found = (await client.get_suppressed_destination(EmailAddress=address))["SuppressedDestination"]
    assert (found["Reason"], found["Attributes"]["MessageId"]) == (reason, message_id)


@pytest.mark.parametrize(
    "address",
    [
        "bounce@simulator.amazonses.com",
        "mailboxfull@simulator.example.com",
        "notspam@simulator.example.com",
        "ada@example.org",
    ],
)
async def test_nothing_else_adds_to_it(client: Any, address: str) -> None:
    await send(client, address)
    assert (await refusal(client.get_suppressed_destination(EmailAddress=address)))[0] == "NotFoundException"


async def test_a_report_that_comes_later_adds_to_it(client: Any, ses: Simulator) -> None:
    await ses.report(await send(client, ADA), "complaint")
    assert (await client.get_suppressed_destination(EmailAddress=ADA))["SuppressedDestination"]


async def test_an_account_may_do_without(client: Any, ses: Simulator) -> None:
    await client.put_suppressed_destination(EmailAddress=ADA, Reason="BOUNCE")
    await client.put_account_suppression_attributes(SuppressedReasons=["COMPLAINT"])
    assert (await client.get_account())["SuppressionAttributes"] == {"SuppressedReasons": ["COMPLAINT"]}
    await send(client, "bounce@simulator.example.com", ADA)
    assert ("Bounce", "OnAccountSuppressionList") not in reports(ses)
    listed = (await client.list_suppressed_destinations())["SuppressedDestinationSummaries"]
    assert [entry["EmailAddress"] for entry in listed] == [ADA]


async def test_the_list_comes_in_pages_by_reason_and_time(client: Any, clock: ManualClock) -> None:
    for number in range(5):
        clock.turn(3600)
        await client.put_suppressed_destination(
            EmailAddress=f"u{number}@example.org", Reason="COMPLAINT" if number == 2 else "BOUNCE"
        )

    async def listed(**wanted: Any) -> list[list[str]]:
        pages: list[list[str]] = []
        token: dict[str, str] = {}
        while True:
            answer = await client.list_suppressed_destinations(**wanted, **token)
            pages.append(
                [
                    entry["EmailAddress"].partition("@")[0]
                    for entry in answer["SuppressedDestinationSummaries"]
                ]
            )
            if not answer.get("NextToken"):
                return pages
            token = {"NextToken": answer["NextToken"]}

    assert await listed(PageSize=2) == [["u0", "u1"], ["u2", "u3"], ["u4"]]
    assert await listed(Reasons=["COMPLAINT"]) == [["u2"]]
    since = NOON + timedelta(hours=2)
    assert await listed(StartDate=since, EndDate=since + timedelta(hours=2)) == [["u1", "u2", "u3"]]


async def test_what_can_not_be_meant_is_refused(client: Any) -> None:
    listed = client.list_suppressed_destinations
    assert (await refusal(listed(NextToken="é")))[0] == "InvalidNextTokenException"
    assert (await refusal(listed(PageSize=0)))[0] == "BadRequestException"
    assert (await refusal(listed(Reasons=["SPITE"])))[0] == "BadRequestException"
    put = client.put_suppressed_destination(EmailAddress="ada", Reason="BOUNCE")
    assert await refusal(put) == ("BadRequestException", "Missing final '@domain'", 400)
