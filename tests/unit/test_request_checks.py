"""Each bad field is refused by name, with what was expected; a good request comes back normalised."""

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FailureCode, Refusal
from engine.requests.checks import check, unsubscribe_headers
from engine.schemas.request import Attachment, EmailRequest, SenderOverride, Unsubscribe

FILE = Attachment(file_name="a.txt", content_type="text/plain", content="YQ==")
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def request(**fields: Any) -> EmailRequest:
    return EmailRequest(**({"to": "ada@example.com", "template_name": "welcome"} | fields))


def complaint(**fields: Any) -> str:
    answer = check(request(**fields))
    assert isinstance(answer, Refusal), "the request was taken"
    assert answer.code is FailureCode.VALIDATION
    return answer.message


def changed(**fields: Any) -> Attachment:
    return msgspec.structs.replace(FILE, **fields)


def test_a_full_request_is_taken_with_every_address_in_normal_form() -> None:
    full = request(
        to="Ada@EXAMPLE.com",
        cc=["a@Bücher.example"],
        bcc=["b@EXAMPLE.com"],
        reply_to=["c@EXAMPLE.com"],
        sender_override=SenderOverride(email="me@EXAMPLE.com", name="Mé"),
        headers={"X-Campaign": "spring, 2026"},
        attachments=[FILE, changed(content=None, s3_key="attachments/2026/terms.pdf", content_id="terms@x")],
        unsubscribe=Unsubscribe(
            url="https://example.com/u?a=b&c=%20", mailto="mailto:U@EXAMPLE.com?subject=stop"
        ),
        tags={"campaign": "spring_2026-a"},
        metadata={"customer": "42 é"},
    )
    taken = check(full)
    assert isinstance(taken, EmailRequest)
    assert taken == msgspec.structs.replace(
        full,
        to="Ada@example.com",
        cc=["a@xn--bcher-kva.example"],
        bcc=["b@example.com"],
        reply_to=["c@example.com"],
        sender_override=SenderOverride(email="me@example.com", name="Mé"),
        unsubscribe=Unsubscribe(url="https://example.com/u?a=b&c=%20", mailto="U@example.com?subject=stop"),
    )
    assert check(taken) == taken


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"to": "ada@"}, "to "),
        ({"cc": ["a@example.com", "b"]}, "cc[1] "),
        ({"bcc": ["a@example.com", "b@example.com", "c"]}, "bcc[2] "),
        ({"reply_to": ["x"]}, "replyTo[0] "),
        ({"sender_override": SenderOverride(email="x")}, "senderOverride.email "),
        ({"unsubscribe": Unsubscribe(mailto="x")}, "unsubscribe.mailto "),
    ],
)
def test_a_bad_address_is_named_by_its_field(fields: dict[str, Any], field: str) -> None:
    assert complaint(**fields).startswith(f"{field}is not an email address: ")


def test_fifty_recipients_are_the_most() -> None:
    many = [f"a{n}@example.com" for n in range(50)]
    assert isinstance(check(request(cc=many[:25], bcc=many[25:49])), EmailRequest)
    assert "51 recipients; expected at most 50" in complaint(cc=many[:25], bcc=many[25:])
    assert complaint(reply_to=many).startswith("replyTo names 50")


def test_an_address_named_twice_is_one_recipient_where_it_was_named_first() -> None:
    """SES would send to it twice, and the row could not tell its reports apart."""
    taken = check(
        request(
            to="Ada@example.com",
            cc=["bob@bücher.example", "ADA@EXAMPLE.com", "Bob@xn--bcher-kva.example", "cy@example.com"],
            bcc=["ada@example.com", "CY@example.com", "di@example.com"],
        )
    )
    assert isinstance(taken, EmailRequest)
    assert taken.to == "Ada@example.com"
    assert (taken.cc, taken.bcc) == (["bob@xn--bcher-kva.example", "cy@example.com"], ["di@example.com"])


def test_recipients_are_counted_once_each() -> None:
    many = [f"a{n}@example.com" for n in range(49)]
    assert isinstance(check(request(cc=many, bcc=[*many, "ada@example.com"])), EmailRequest)


def test_a_bad_address_behind_a_repeated_one_keeps_its_place() -> None:
    assert complaint(cc=["ada@example.com", "b"]).startswith("cc[1] is not an email address")


def test_a_sender_name_stays_on_its_line() -> None:
    override = SenderOverride(email="a@example.com", name="A\r\nBcc: e@x.org")
    assert complaint(sender_override=override).startswith("senderOverride.name holds a line break")


class TestHeaders:
    @pytest.mark.parametrize(
        "name",
        [
            "From",
            "to",
            "CC",
            "Bcc",
            "SUBJECT",
            "Reply-To",
            "Sender",
            "Return-Path",
            "Date",
            "Message-ID",
            "MIME-Version",
            "Content-Type",
            "content-disposition",
            "DKIM-Signature",
            "X-SES-CONFIGURATION-SET",
        ],
    )
    def test_what_ses_or_the_engine_writes_is_refused_in_any_case(self, name: str) -> None:
        assert (
            complaint(headers={name: "x"})
            == f"headers[{name!r}] can't be set here: the engine or SES writes it"
        )

    @pytest.mark.parametrize("name", ["", "X A", "X:A", "X\r\nBcc", "Xé", "X\x00", "X" * 127])
    def test_a_bad_name_is_refused(self, name: str) -> None:
        assert "has a bad name" in complaint(headers={name: "x"})

    @pytest.mark.parametrize("value", ["", "a\r\nBcc: e@x.org", "a\n b", "é", "a\x00", "a\t", "x" * 996])
    def test_a_bad_value_is_refused(self, value: str) -> None:
        assert "has a bad value" in complaint(headers={"X-A": value})

    def test_name_and_value_may_have_996_characters_together(self) -> None:
        assert isinstance(check(request(headers={"X": "x" * 995})), EmailRequest)
        assert "996 characters, name and value together" in complaint(headers={"XX": "x" * 995})

    def test_fifteen_are_the_most_with_those_that_unsubscribe_adds(self) -> None:
        headers = {f"X-{n}": "x" for n in range(15)}
        assert isinstance(check(request(headers=headers)), EmailRequest)
        assert "are 16; SES takes at most 15" in complaint(headers=headers | {"X-16": "x"})
        with_ours = complaint(headers=headers, unsubscribe=Unsubscribe(url="https://example.com/u"))
        assert "are 17 with those that unsubscribe adds" in with_ours

    def test_one_header_in_two_spellings_is_refused(self) -> None:
        assert "'X-A' and 'x-a'" in complaint(headers={"X-A": "1", "x-a": "2"})

    def test_list_unsubscribe_is_taken_only_where_the_engine_does_not_write_it(self) -> None:
        headers = {"List-Unsubscribe": "<https://example.com/u>"}
        assert isinstance(check(request(headers=headers)), EmailRequest)
        assert "one or the other" in complaint(
            headers=headers, unsubscribe=Unsubscribe(mailto="u@example.com")
        )

    @given(st.dictionaries(st.text(max_size=130), st.text(max_size=1000), max_size=3))
    def test_no_header_that_is_taken_can_break_its_line(self, headers: dict[str, str]) -> None:
        if isinstance(check(request(headers=headers)), EmailRequest):
            for name, value in headers.items():
                assert set(name + value) <= set(PRINTABLE)
                assert ":" not in name
                assert " " not in name


class TestAttachments:
    @pytest.mark.parametrize(
        ("attachment", "says"),
        [
            (changed(file_name="../a"), "attachments[0].fileName holds a path separator"),
            (changed(file_name="a\\b"), "attachments[0].fileName holds"),
            (changed(file_name="a\r\nb"), "attachments[0].fileName holds"),
            (changed(content_type="pdf"), "attachments[0].contentType is not a media type"),
            (changed(content_type="a/b\r\nX: y"), "attachments[0].contentType is not"),
            (changed(content_type='text/plain; name="a'), "attachments[0].contentType is not"),
            (changed(content_type="text/plain; name"), "attachments[0].contentType is not"),
            (changed(content_type='text/plain; name="é"'), "attachments[0].contentType is not"),
            (changed(content_type="text/plain charset=utf-8"), "attachments[0].contentType is not"),
            (changed(content_type="Multipart/mixed"), "attachments[0].contentType can't be multipart"),
            (changed(content_id="<a>"), "attachments[0].contentId may hold only"),
            (changed(content=None), "attachments[0] needs exactly one of content (base64) and s3Key"),
            (changed(s3_key="attachments/a"), "attachments[0] needs exactly one"),
            (changed(content="not base64!"), "attachments[0].content is not base64"),
            (changed(content="YQ"), "attachments[0].content is not base64"),
            (changed(content="é"), "attachments[0].content is not base64"),
            (changed(content=None, s3_key="/etc/passwd"), "attachments[0].s3Key is not a file under"),
            (changed(content=None, s3_key="terms.pdf"), "attachments[0].s3Key is not a file under"),
            (changed(content=None, s3_key="templates/welcome/template.html"), "attachments[0].s3Key is not"),
            (changed(content=None, s3_key="attachments/../x"), "attachments[0].s3Key is not a file under"),
            (changed(content=None, s3_key="attachments/a\nb"), "attachments[0].s3Key is not a file under"),
            (changed(content=None, s3_key="attachments/" + "é" * 600), "attachments[0].s3Key is longer"),
        ],
    )
    def test_a_bad_one_is_refused_by_index_and_field(self, attachment: Attachment, says: str) -> None:
        assert complaint(attachments=[attachment]).startswith(says)

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/calendar; method=REQUEST; charset=utf-8",
            'text/calendar; charset="utf-8"; method=REQUEST',
            "text/calendar;  charset=utf-8 ;method=REQUEST",
            "text/plain;",
            "text/plain; charset=utf-8; ",
            'application/pdf; name="terms; and more.pdf"',
            "text/plain; name*=utf-8''%C3%A9.txt",
            "image/svg+xml",
        ],
    )
    def test_a_media_type_may_have_parameters(self, content_type: str) -> None:
        assert isinstance(check(request(attachments=[changed(content_type=content_type)])), EmailRequest)

    def test_a_media_type_without_end_is_judged_at_once(self) -> None:
        endless = "a/b" + " ;" * 37 + "?"
        assert "is not a media type" in complaint(attachments=[changed(content_type=endless)])

    def test_twenty_are_the_most(self) -> None:
        assert isinstance(check(request(attachments=[FILE] * 20)), EmailRequest)
        assert complaint(attachments=[FILE] * 21) == "attachments are 21; expected at most 20"

    @pytest.mark.parametrize("key", ["attachments/a..b.pdf", "attachments/ü/x.pdf"])
    def test_dots_inside_a_key_are_only_dots(self, key: str) -> None:
        assert isinstance(check(request(attachments=[changed(content=None, s3_key=key)])), EmailRequest)

    def test_a_content_id_names_one_attachment(self) -> None:
        twice = [changed(content_id="logo"), changed(content_id="logo")]
        assert complaint(attachments=twice).startswith("attachments[1].contentId is used")

    def test_together_they_must_fit_an_email(self) -> None:
        file = changed(content="A" * 20_000_000)
        assert isinstance(check(request(attachments=[file])), EmailRequest)
        assert complaint(attachments=[file, file]).startswith("attachments are too large")


class TestUnsubscribe:
    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            "ftp://example.com",
            "https://",
            "https:///path",
            "example.com",
            "https://[x/u",
            "https://example.com/a b",
            "https://example.com/<",
            "https://example.com/a,b",
            "https://bücher.example",
            "https://example.com/\r\nBcc: e@x.org",
        ],
    )
    def test_a_url_is_a_plain_web_address(self, url: str) -> None:
        assert complaint(unsubscribe=Unsubscribe(url=url)).startswith("unsubscribe.url is not a web address")

    @pytest.mark.parametrize("query", ["?subject=a b", "?subject=a>,<mailto:e@x.org", "?a\r\nb", "?"])
    def test_a_mailto_query_is_plain_too(self, query: str) -> None:
        assert "has a bad query" in complaint(unsubscribe=Unsubscribe(mailto=f"u@example.com{query}"))

    @pytest.mark.parametrize("nothing", [Unsubscribe(), Unsubscribe(url="", mailto="")])
    def test_one_way_at_least_is_expected(self, nothing: Unsubscribe) -> None:
        assert complaint(unsubscribe=nothing).startswith("unsubscribe is empty")

    def test_both_ways_together_must_fit_one_header(self) -> None:
        long = Unsubscribe(
            url="https://example.com/" + "x" * 870, mailto="u@example.com?subject=" + "y" * 200
        )
        assert complaint(unsubscribe=long).startswith("unsubscribe has a bad value")

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_what_is_taken_makes_well_formed_headers(self, path: str, query: str) -> None:
        unsubscribe = Unsubscribe(url=f"https://example.com/{path}", mailto=f"u@example.com{query}")
        taken = check(request(unsubscribe=unsubscribe))
        if isinstance(taken, EmailRequest):
            value = unsubscribe_headers(taken.unsubscribe)[0][1]
            assert value.count("<") == value.count(">") == 2
            assert value.count(",") == 1
            assert set(value) <= set(PRINTABLE)


class TestTagsAndMetadata:
    @pytest.mark.parametrize(
        "tags", [{"a b": "x"}, {"a": ""}, {"": "x"}, {"a": "é"}, {"a": "x" * 257}, {"a": "x.y"}, {"a": "x\n"}]
    )
    def test_a_tag_is_made_of_what_ses_takes(self, tags: dict[str, str]) -> None:
        assert "1 to 256 of A-Z a-z 0-9 _ -" in complaint(tags=tags)

    @pytest.mark.parametrize("name", ["emailId", "EMAILID", "ses:configuration-set"])
    def test_names_of_the_engine_and_of_ses_are_reserved(self, name: str) -> None:
        assert complaint(tags={name: "x"}) == f"tags[{name!r}] is reserved; choose another name"

    def test_49_tags_are_the_most(self) -> None:
        tags = dict.fromkeys(string.ascii_letters[:49], "x")
        assert isinstance(check(request(tags=tags)), EmailRequest)
        assert "are 50; expected at most 49" in complaint(tags=tags | {"one-more": "x"})

    def test_metadata_has_a_limit_in_bytes(self) -> None:
        assert isinstance(check(request(metadata={"k": "x" * 8191})), EmailRequest)
        assert "8,193 bytes; expected at most 8,192" in complaint(metadata={"k": "é" * 4096})
