"""What SES publishes is read as AWS documents it, as it is seen in the wild, and never with a surprise."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.ses_examples import (
    EMAIL_ID,
    GREETING,
    MESSAGE_ID,
    TYPES,
    Event,
    bounce,
    event,
    notification,
    text,
)

from engine.feedback.reports import Report, reported_address, reports
from engine.schemas.ses_events import Kind, SesEvent, Setup, Unknown, UnreadableEvent, decode
from engine.schemas.times import parse_iso

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def decoded(of: Event) -> SesEvent:
    found = decode(text(of))
    assert isinstance(found, SesEvent)
    return found


def read(of: Event) -> tuple[Report, ...]:
    return reports(decoded(of), NOW)


def the(of: Event) -> Report:
    (report,) = read(of)
    return report


# -- complete events, as documented --------------------------------------------------------------------------


def test_bounce() -> None:
    report = the(event("Bounce"))
    assert report == Report(
        kind=Kind.BOUNCE,
        at=datetime(2026, 3, 2, 9, 41, 2, 669_000, tzinfo=UTC),
        fingerprint=report.fingerprint,
        ses_message_id=MESSAGE_ID,
        email_id=EMAIL_ID,
        recipient="recipient@example.com",
        destinations=("recipient@example.com",),
        type="Permanent",
        subtype="General",
        status="5.1.1",
        text="smtp; 550 5.1.1 user unknown",
    )


def test_complaint() -> None:
    report = the(event("Complaint"))
    assert (report.kind, report.type, report.recipient) == (Kind.COMPLAINT, "abuse", "recipient@example.com")


def test_delivery() -> None:
    report = the(event("Delivery"))
    assert (report.kind, report.recipient) == (Kind.DELIVERY, "recipient@example.com")
    assert report.at == datetime(2026, 3, 2, 9, 40, 13, 905_000, tzinfo=UTC)


def test_delivery_delay() -> None:
    report = the(event("DeliveryDelay"))
    assert (report.kind, report.type) == (Kind.DELIVERY_DELAY, "TransientCommunicationFailure")
    assert (report.expires, report.status) == ("2026-03-02T23:55:40.914Z", "4.4.1")


def test_rendering_failure_carries_its_body_in_failure() -> None:
    report = the(event("Rendering Failure"))
    assert (report.kind, report.recipient) == (Kind.RENDERING_FAILURE, None)
    assert report.text == "Attribute 'attributeName' is not present in the rendering data."


def test_reject() -> None:
    assert (the(event("Reject")).kind, the(event("Reject")).text) == (Kind.REJECT, "Bad content")


def test_send_is_dated_by_its_mail() -> None:
    report = the(event("Send"))
    assert (report.kind, report.at) == (Kind.SEND, datetime(2026, 3, 2, 9, 40, 2, 12_000, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        ("Open", "2026-03-02T09:50:19.652Z"),
        ("Click", "2026-03-02T09:51:25.570Z"),
        ("Subscription", "2026-03-02T10:00:17.910Z"),
    ],
)
def test_what_a_reader_does_is_about_the_whole_message(kind: str, at: str) -> None:
    report = the(event(kind))
    assert (report.kind, report.recipient, report.at) == (Kind(kind), None, datetime.fromisoformat(at))


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_names_message_and_email(kind: str) -> None:
    report = the(event(kind))
    assert (report.ses_message_id, report.email_id) == (MESSAGE_ID, EMAIL_ID)


@pytest.mark.parametrize("kind", ["Bounce", "Complaint", "Delivery"])
def test_identity_notifications_say_the_same_without_tags(kind: str) -> None:
    report = the(notification(kind))
    assert not report.email_id
    assert report.fingerprint == the(event(kind)).fingerprint
    assert report.ses_message_id == MESSAGE_ID


# -- as seen in the wild -------------------------------------------------------------------------------------


def test_the_recipients_are_those_that_bounced_not_the_first_destination() -> None:
    report = the(bounce("Permanent", "General", to="c@x.org", mail_destination=["a@x.org", "c@x.org"]))
    assert (report.recipient, report.destinations) == ("c@x.org", ("a@x.org", "c@x.org"))


def test_one_report_for_each_affected_recipient() -> None:
    both = [{"emailAddress": "A <a@x.org>", "status": "5.1.1"}, {"emailAddress": "b@x.org"}]
    found = read(event("Bounce", bouncedRecipients=both))
    assert [(report.recipient, report.status) for report in found] == [("a@x.org", "5.1.1"), ("b@x.org", "")]
    assert len({report.fingerprint for report in found}) == 2


def test_a_recipient_named_twice_is_one() -> None:
    twice = [{"emailAddress": "a@x.org"}, {"emailAddress": "<A@X.org>"}]
    assert len(read(event("Complaint", complainedRecipients=twice))) == 1


def test_where_nobody_is_named_the_only_destination_is_meant() -> None:
    assert the(event("Bounce", bouncedRecipients=[])).recipient == "recipient@example.com"


@pytest.mark.parametrize(
    ("kind", "body", "name"),
    [
        ("Bounce", "bounce", "bouncedRecipients"),
        ("Complaint", "complaint", "complainedRecipients"),
        ("Delivery", "delivery", "recipients"),
        ("DeliveryDelay", "deliveryDelay", "delayedRecipients"),
    ],
)
def test_a_report_without_a_list_of_recipients_is_about_the_only_destination(
    kind: str, body: str, name: str
) -> None:
    report = event(kind)
    del report[body][name]
    assert the(report).recipient == "recipient@example.com"


def test_where_nobody_is_named_of_many_nobody_is_blamed() -> None:
    many = event("Complaint", complainedRecipients=[], mail_destination=["a@x.org", "b@x.org"])
    with pytest.raises(UnreadableEvent, match="Complaint event that names no recipient"):
        read(many)


@pytest.mark.parametrize(
    ("mailbox", "address"),
    [
        ("a@x.org", "a@x.org"),
        (" A@X.org ", "a@x.org"),
        ("Name <a@x.org>", "a@x.org"),
        ('"Last, First" <a@x.org>', "a@x.org"),
        ('"odd <name>" <a@x.org>', "a@x.org"),
        ("<a@x.org>", "a@x.org"),
        ("rfc822;a@x.org", "a@x.org"),
        ("RFC822; <A@x.org>", "a@x.org"),
        ('"a@x.org"', "a@x.org"),
        ("'a@x.org'", "a@x.org"),
        ('"a"@x.org', "a@x.org"),
        ("user@bücher.example", "user@xn--bcher-kva.example"),
        ("a;b@x.org", "b@x.org"),
        ("no address", "no address"),
        ("", ""),
        (5, ""),
        (None, ""),
    ],
)
def test_an_address_in_a_report_is_known_by_its_key_however_it_is_written(
    mailbox: object, address: str
) -> None:
    assert reported_address(mailbox) == address


@given(st.text())
def test_every_text_in_the_place_of_an_address_has_a_key(mailbox: str) -> None:
    assert reported_address(mailbox) == reported_address(f" {mailbox} ")


@pytest.mark.parametrize(
    ("value", "found"), [(["e-1", "e-2"], "e-1"), ("e-1", "e-1"), ([], ""), (None, ""), (7, ""), ([7], "")]
)
def test_tags_hold_lists_and_a_bare_string_will_do(value: Any, found: str) -> None:
    assert the(event("Send", mail_tags={"emailId": value})).email_id == found


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "mail",
    [
        None,
        {},
        {"tags": None, "destination": None, "messageId": None, "timestamp": None},
        {"tags": 7, "destination": "a@x.org", "messageId": ["m"], "timestamp": 7},
        {"tags": ["emailId"], "destination": {}, "messageId": {}},
    ],
)
def test_a_poor_or_odd_mail_object_is_no_obstacle(kind: str, mail: Event | None) -> None:
    report = the(event(kind) | {"mail": mail})
    assert (report.email_id, report.ses_message_id, report.destinations) == ("", "", ())


def test_one_odd_tag_or_recipient_does_not_take_the_good_ones_along() -> None:
    """An entry that can't be read stays as one without an address: of an only recipient that says it all."""
    odd = [
        {"status": "5.1.1"},
        {"emailAddress": 7},
        None,
        ["c@x.org"],
        {"emailAddress": "b@x.org", "status": 5},
    ]
    destination = ["a@x.org", "b@x.org"]
    tags = {"emailId": [EMAIL_ID], "number": 7, "numbers": [7], "none": None}
    found = read(
        event("Bounce", bouncedRecipients=odd, feedbackId=7, mail_destination=destination, mail_tags=tags)
    )
    assert [(report.recipient, report.status) for report in found] == [
        ("", "5.1.1"),
        ("", ""),
        ("b@x.org", ""),
    ]
    assert {report.email_id for report in found} == {EMAIL_ID}


@pytest.mark.parametrize("named", [[{"status": "5.1.1"}], [{"emailAddress": None}], [7], []])
def test_of_several_destinations_none_is_blamed_where_no_name_can_be_read(named: list[Any]) -> None:
    """It ends in the dead-letter queue, for a person to read."""
    several = {"mail_destination": ["a@x.org", "b@x.org"]}
    with pytest.raises(UnreadableEvent, match="Bounce event that names no recipient"):
        read(event("Bounce", bouncedRecipients=named, **several))


def test_optional_fields_may_be_null_or_absent() -> None:
    nulls = dict.fromkeys(("feedbackId", "timestamp", "reportingMTA", "remoteMtaIp", "bounceSubType"))
    recipient = {"emailAddress": "a@x.org", "action": None, "status": None, "diagnosticCode": None}
    report = the(event("Bounce", bouncedRecipients=[recipient], **nulls))
    assert (report.subtype, report.status, report.text) == ("", "", "")
    assert report.at == datetime(2026, 3, 2, 9, 40, 2, 12_000, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["Open", "Click", "Send", "Reject", "Rendering Failure", "Subscription"])
def test_a_body_that_adds_nothing_may_be_absent(kind: str) -> None:
    bare = {key: value for key, value in event(kind).items() if key in {"eventType", "mail"}}
    assert the(bare).kind == kind


def test_a_type_that_nobody_has_seen_yet_is_kept_as_text() -> None:
    report = the(bounce("Baffling", "QuantumMailbox"))
    assert (report.type, report.subtype) == ("Baffling", "QuantumMailbox")


def test_a_diagnostic_of_many_lines_becomes_one_of_bounded_length() -> None:
    report = the(bounce("Permanent", "General", diagnostic="smtp; 550\r\n  5.1.1 " + "x" * 1000))
    assert report.text.startswith("smtp; 550 5.1.1 xxx")
    assert len(report.text) == 500


@pytest.mark.parametrize(
    ("text_", "hour"),
    [
        ("2026-03-02T09:40:02.012Z", 9),
        ("2026-03-02T09:40:02+0000", 9),
        ("2026-03-02T09:40:02.012+02:00", 7),
        ("2026-03-02T09:40:02", 9),
    ],
)
def test_times_are_read_in_every_documented_form(text_: str, hour: int) -> None:
    moment = parse_iso(text_)
    assert moment is not None
    assert (moment.tzinfo, moment.hour) == (UTC, hour)


@pytest.mark.parametrize(
    "nonsense",
    ["yesterday", "", None, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1970-01-01"],
)
def test_where_there_is_no_time_the_mails_own_or_the_arrival_stands_in(nonsense: str | None) -> None:
    assert the(event("Open", timestamp=nonsense, mail_timestamp=nonsense)).at == NOW


# -- fingerprints --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_the_same_news_has_the_same_fingerprint_whenever_it_arrives(kind: str) -> None:
    later = datetime(2026, 3, 9, tzinfo=UTC)
    assert reports(decoded(event(kind)), later)[0].fingerprint == the(event(kind)).fingerprint


def test_other_news_has_another() -> None:
    different = [
        *(event(kind) for kind in TYPES),
        event("Open", timestamp="2026-03-02T09:50:20.000Z"),
        event("Click", link="https://www.example.com/other"),
        event("Bounce", feedbackId="another"),
        event("Bounce", mail_messageId="another"),
        bounce("Permanent", "NoEmail"),
        bounce("Permanent", "NoEmail", to="b@x.org"),
    ]
    assert len({the(one).fingerprint for one in different}) == len(different)


# -- setup, the unknown, the unreadable ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        GREETING,
        f" {GREETING}\n",
        json.dumps({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have ..."}),
    ],
)
def test_greetings_are_acknowledged(message: str) -> None:
    assert decode(message) == Setup()


@pytest.mark.parametrize("key", ["eventType", "notificationType"])
def test_unknown_types_are_named_and_acknowledged(key: str) -> None:
    assert decode(json.dumps({key: "Telepathy", "mail": {}})) == Unknown("Telepathy")


@pytest.mark.parametrize("kind", ["someone@example.com", "x" * 65, "a\nb", " "])
def test_a_type_that_is_no_name_is_not_repeated(kind: str) -> None:
    assert decode(json.dumps({"eventType": kind})) == Unknown("unprintable")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello, someone@example.com",
        "[]",
        "null",
        "{}",
        '{"eventType": 7}',
        '{"Type": "Notification", "Message": "someone@example.com"}',
        '{"eventType": "Bounce"',
        "[" * 100_000,
        '{"eventType": "Bounce", "x": ' + "[" * 100_000,
        '{"eventType": "\ud800"}',
        '{"eventType": "Bounce", "mail": {}}',
        '{"eventType": "Bounce", "mail": {}, "bounce": null}',
        '{"eventType": "Complaint", "mail": {}, "complaint": {"complainedRecipients": null}}',
        '{"eventType": "Delivery", "mail": {}, "delivery": {"recipients": {"someone@example.com": 1}}}',
        '{"eventType": "DeliveryDelay", "mail": {"destination": "someone@example.com"}, "deliveryDelay": []}',
        '{"eventType": "Open", "mail": [], "open": {}}',
    ],
)
def test_what_is_no_event_is_refused_without_quoting_it(message: str) -> None:
    with pytest.raises(UnreadableEvent) as caught:
        decode(message)
    assert "someone" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_error_names_the_place_and_the_type() -> None:
    with pytest.raises(UnreadableEvent, match=r"Expected `array`, got `object`.*\$\.bouncedRecipients"):
        decode(text(event("Bounce", bouncedRecipients={"emailAddress": "someone@example.com"})))


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def survives(message: str) -> None:
    try:
        found = decode(message)
        if isinstance(found, SesEvent):
            assert reports(found, NOW)
    except UnreadableEvent:
        pass


@given(st.text())
@example("\ud800")
def test_no_text_raises_anything_else(message: str) -> None:
    survives(message)


@given(hostile)
def test_no_json_raises_anything_else(value: Any) -> None:
    survives(json.dumps(value))


@given(st.sampled_from(TYPES), st.data())
def test_no_bent_event_raises_anything_else(kind: str, data: st.DataObject) -> None:
    bent = event(kind)
    place = data.draw(st.sampled_from([key for key in bent if key != "eventType"]))
    if not bent[place] or data.draw(st.booleans()):
        bent[place] = data.draw(hostile)
    else:
        bent[place][data.draw(st.sampled_from(sorted(bent[place])))] = data.draw(hostile)
    survives(json.dumps(bent))


@given(st.datetimes(timezones=st.timezones() | st.none()))
def test_no_time_raises_anything(moment: datetime) -> None:
    found = parse_iso(moment.isoformat())
    assert found is None or found.tzinfo is UTC
