"""The message that goes to SES: nothing of the request is lost on the way, nobody suppressed is in it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.errors import FailureCode
from engine.requests.checks import MAX_MESSAGE_BYTES, encoded_size, unsubscribe_headers
from engine.schemas.request import Attachment, EmailRequest, Unsubscribe
from engine.sending.compose import (
    AttachedFile,
    OutgoingMessage,
    attached_file,
    compose,
    refuse_oversized,
    with_files,
)
from engine.templating.template import Rendered

RENDERED = Rendered(subject="Hi", html="<p>Hi</p>", text="Hi", sender_email=None, sender_name=None)
REQUEST = EmailRequest(
    to="ada@example.com",
    template_name="welcome",
    cc=["Cc@example.com", "cc2@example.com"],
    bcc=["bcc@example.com"],
    reply_to=["help@example.com"],
    headers={"X-Campaign": "spring"},
    tags={"campaign": "spring"},
    unsubscribe=Unsubscribe(url="https://example.com/u", mailto="u@example.com"),
)


FETCHED = Attachment(file_name="b.pdf", content_type="application/pdf", s3_key="attachments/b.pdf")


def test_a_message_carries_everything_that_was_asked_for() -> None:
    file = AttachedFile("a.txt", "text/plain", b"a", 1)
    asked = Attachment(file_name="a.txt", content_type="text/plain", content="YQ==")
    request = replace(REQUEST, attachments=[asked])
    assert compose(request, RENDERED, "Example <a@example.com>", "id-1") == OutgoingMessage(
        email_id="id-1",
        sender="Example <a@example.com>",
        to="ada@example.com",
        cc=("Cc@example.com", "cc2@example.com"),
        bcc=("bcc@example.com",),
        reply_to=("help@example.com",),
        subject="Hi",
        html="<p>Hi</p>",
        text="Hi",
        headers=(
            ("X-Campaign", "spring"),
            ("List-Unsubscribe", "<https://example.com/u>, <mailto:u@example.com>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ),
        attachments=(file,),
        tags=(("emailId", "id-1"), ("campaign", "spring")),
    )


def test_suppressed_copies_are_left_out_and_the_others_stay() -> None:
    message = compose(
        REQUEST, RENDERED, "a@example.com", "id-1", left_out={"cc@example.com", "bcc@example.com"}
    )
    assert (message.to, message.cc, message.bcc) == ("ada@example.com", ("cc2@example.com",), ())


@pytest.mark.parametrize(
    ("unsubscribe", "headers"),
    [
        (None, ()),
        (Unsubscribe(mailto="MAILTO:u@example.com"), (("List-Unsubscribe", "<mailto:u@example.com>"),)),
        (Unsubscribe(url="http://example.com/u"), (("List-Unsubscribe", "<http://example.com/u>"),)),
        (
            Unsubscribe(url="HTTPS://example.com/u"),
            (
                ("List-Unsubscribe", "<HTTPS://example.com/u>"),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ),
        ),
    ],
)
def test_only_an_https_url_gives_one_click_unsubscribe(
    unsubscribe: Unsubscribe | None, headers: tuple[tuple[str, str], ...]
) -> None:
    assert unsubscribe_headers(unsubscribe) == headers


def test_an_attachment_gets_its_own_content_or_the_one_that_was_fetched() -> None:
    inline = Attachment(file_name="a.png", content_type="image/png", content="YQ==", content_id="logo")
    assert attached_file(inline, {}) == AttachedFile("a.png", "image/png", b"a", 1, "logo")
    file = attached_file(FETCHED, {"attachments/b.pdf": 3})
    assert file == AttachedFile("b.pdf", "application/pdf", b"", 3, None, "attachments/b.pdf")


def test_a_file_of_the_bucket_gets_its_content_before_it_is_sent() -> None:
    request = replace(REQUEST, attachments=[FETCHED])
    message = compose(request, RENDERED, "a@example.com", "i", file_sizes={"attachments/b.pdf": 3})
    assert [file.content for file in with_files(message, {"attachments/b.pdf": b"pdf"}).attachments] == [
        b"pdf"
    ]


def test_a_message_over_the_limit_of_ses_is_refused_by_its_encoded_size() -> None:
    fits, too_large = (
        compose(replace(REQUEST, attachments=[FETCHED]), RENDERED, "a@example.com", "id-1", file_sizes=sizes)
        for sizes in ({"attachments/b.pdf": 29_000_000}, {"attachments/b.pdf": 29_300_000})
    )
    assert refuse_oversized(fits) is None
    refusal = refuse_oversized(too_large)
    assert refusal is not None
    assert refusal.code is FailureCode.VALIDATION
    assert f"{MAX_MESSAGE_BYTES:,}" in refusal.message


@given(st.binary(max_size=500))
def test_the_encoded_size_is_what_base64_in_lines_takes(content: bytes) -> None:
    lines = base64.encodebytes(content).replace(b"\n", b"\r\n")
    assert encoded_size(len(content)) == len(lines)
