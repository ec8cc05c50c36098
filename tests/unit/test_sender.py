"""Who an email is from: the override, else the template, else the default, and always an allowed one."""

from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FailureCode, Refusal
from engine.requests.addresses import BadAddress
from engine.schemas.request import SenderOverride
from engine.sending.sender import MAX_FROM_BYTES, SenderPolicy, from_header, resolve_sender
from engine.templating.template import Rendered

POLICY = SenderPolicy("noreply@example.com", "Example", ("example.com", "ceo@partner.example"))


def rendered(email: str | None = None, name: str | None = None) -> Rendered:
    return Rendered(subject="Hi", html="<p>Hi</p>", text=None, sender_email=email, sender_name=name)


def refusal(override: SenderOverride | None, content: Rendered, policy: SenderPolicy = POLICY) -> Refusal:
    answer = resolve_sender(override, content, policy)
    assert isinstance(answer, Refusal)
    return answer


@pytest.mark.parametrize(
    ("override", "content", "expected"),
    [
        (None, rendered(), "Example <noreply@example.com>"),
        (None, rendered(name="Shop"), "Shop <noreply@example.com>"),
        (None, rendered("shop@example.com"), "Example <shop@example.com>"),
        (None, rendered("shop@example.com", "Shop"), "Shop <shop@example.com>"),
        (
            SenderOverride(email="me@example.com", name="Me"),
            rendered("a@example.com", "A"),
            "Me <me@example.com>",
        ),
        (SenderOverride(email="me@example.com"), rendered("a@example.com", "A"), "Example <me@example.com>"),
        (SenderOverride(email="CEO@Partner.example"), rendered(), "Example <CEO@partner.example>"),
    ],
)
def test_the_override_comes_before_the_template_and_the_template_before_the_default(
    override: SenderOverride | None, content: Rendered, expected: str
) -> None:
    assert resolve_sender(override, content, POLICY) == expected


def test_without_any_name_the_address_stands_alone() -> None:
    assert resolve_sender(None, rendered(), SenderPolicy.of("a@example.com", "")) == "a@example.com"


@pytest.mark.parametrize(
    "email", ["a@other.example", "a@mail.example.com", "a@notexample.com", "other@partner.example"]
)
def test_a_domain_allows_what_is_right_under_it_and_an_address_only_itself(email: str) -> None:
    for override, content in [(SenderOverride(email=email), rendered()), (None, rendered(email))]:
        answer = refusal(override, content)
        assert answer.code is FailureCode.SENDER_NOT_ALLOWED
        assert email in answer.message
        assert "ALLOWED_SENDERS" in answer.message


def test_with_no_entry_the_domain_of_the_default_sender_is_allowed() -> None:
    policy = SenderPolicy.of("noreply@example.com", "")
    assert resolve_sender(SenderOverride(email="x@example.com"), rendered(), policy) == "x@example.com"
    other = refusal(SenderOverride(email="x@example.org"), rendered(), policy)
    assert other.code is FailureCode.SENDER_NOT_ALLOWED


def test_even_the_default_sender_must_be_allowed() -> None:
    policy = SenderPolicy("noreply@example.com", "", ("example.org",))
    assert refusal(None, rendered(), policy).code is FailureCode.SENDER_NOT_ALLOWED


def test_entries_are_brought_to_one_form() -> None:
    policy = SenderPolicy.of("No-Reply@EXAMPLE.com", "", ("@Bücher.example", " CEO@Partner.example ", ""))
    assert policy.default_email == "No-Reply@example.com"
    assert policy.allowed == ("xn--bcher-kva.example", "ceo@partner.example")
    assert SenderPolicy.of("a@example.com", "").allowed == ("example.com",)


@pytest.mark.parametrize(("email", "entry"), [("nobody", "example.com"), ("a@example.com", "no domain")])
def test_a_malformed_entry_is_named(email: str, entry: str) -> None:
    with pytest.raises(BadAddress, match=r"nobody|no domain"):
        SenderPolicy.of(email, "", (entry,))


@pytest.mark.parametrize(
    ("override", "content", "code", "names"),
    [
        (SenderOverride(email="nobody"), rendered(), FailureCode.VALIDATION, "senderOverride.email"),
        (None, rendered("nobody"), FailureCode.TEMPLATE_ERROR, "senderEmail"),
        (None, rendered("a@example.com>\r\nBcc: <e@x.org"), FailureCode.TEMPLATE_ERROR, "senderEmail"),
    ],
)
def test_a_malformed_sender_is_refused_by_whose_fault_it_is(
    override: SenderOverride | None, content: Rendered, code: FailureCode, names: str
) -> None:
    answer = refusal(override, content)
    assert answer.code is code
    assert names in answer.message


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Ada", "Ada <a@example.com>"),
        ("Lovelace, Ada", '"Lovelace, Ada" <a@example.com>'),
        ('The "best"', '"The \\"best\\"" <a@example.com>'),
        ("Café", "=?utf-8?b?Q2Fmw6k=?= <a@example.com>"),
    ],
)
def test_a_name_is_quoted_or_encoded_as_it_needs(name: str, header: str) -> None:
    assert from_header(name, "a@example.com") == header


@pytest.mark.parametrize("name", ["", "   ", "\u3000"])
def test_a_blank_name_is_no_name(name: str) -> None:
    override = SenderOverride(email="a@example.com", name=name)
    assert resolve_sender(override, rendered(), POLICY) == "Example <a@example.com>"
    assert from_header(name, "a@example.com") == "a@example.com"


@pytest.mark.parametrize("name", ["\u5927" * 64, "\U0001f600" * 200, "e\u0301" * 128, "x" * 500])
def test_a_name_too_long_for_ses_is_shortened_at_a_character(name: str) -> None:
    header = from_header(name, "a@example.com")
    assert len(header) <= MAX_FROM_BYTES
    shown = str(make_header(decode_header(parseaddr(header)[0])))
    assert len(shown) > 10
    assert name.startswith(shown)


def test_a_name_beside_an_address_that_leaves_no_room_is_left_out() -> None:
    address = f"{'a' * 64}@{'.'.join(['b' * 60] * 4)}.example"
    assert from_header("\u5927" * 64, address) == address


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20))
def test_any_name_without_controls_comes_back_from_the_header_as_it_was(name: str) -> None:
    answer = resolve_sender(SenderOverride(email="a@example.com", name=name), rendered(), POLICY)
    assert isinstance(answer, str)
    assert answer.isascii()
    assert "\n" not in answer
    assert "\r" not in answer
    assert all(len(word) <= 75 for word in answer.split(" ") if word.startswith("=?utf-8?"))
    encoded, address = parseaddr(answer)
    assert address == "a@example.com"
    shown = str(make_header(decode_header(encoded)))
    assert " ".join(shown.split()) == (" ".join(name.split()) or "Example")
