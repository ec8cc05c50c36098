"""Addresses come out in the one form that SES takes, or with what is wrong about them."""

import subprocess
import sys

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from engine.requests.addresses import BadAddress, normalised, normalised_domain, parse_mailbox


@pytest.mark.parametrize(
    ("given_address", "expected"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.Lovelace+news@EXAMPLE.com", "Ada.Lovelace+news@example.com"),
        ("bounce+demo@simulator.amazonses.com", "bounce+demo@simulator.amazonses.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@例え.example", "ada@xn--r8jz45g.example"),
    ],
)
def test_a_good_address_keeps_its_local_part_and_gets_an_ascii_domain(
    given_address: str, expected: str
) -> None:
    assert normalised(given_address) == expected


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "is empty"),
        ("ada", "@-sign"),
        ("ada@", "after the @-sign"),
        ("@example.com", "before the @-sign"),
        ("ada@localhost", "part after the @-sign"),
        ("adä@example.com", "ä"),
        ("Ada <ada@example.com>", "display name"),
        ('"ada lovelace"@example.com', "Quoting"),
        ("ada@[127.0.0.1]", "IP address"),
        ("ada@example.com\r\nBcc: eve@example.com", "after the @-sign"),
        ("ada\x00@example.com", "before the @-sign"),
        ("ada@exam ple.com", "after the @-sign"),
        ("ada@example.com, bob@example.com", "after the @-sign"),
        ("a" * 65 + "@example.com", "too long"),
    ],
)
def test_a_bad_address_says_what_is_wrong(address: str, says: str) -> None:
    with pytest.raises(BadAddress, match="is ") as caught:
        normalised(address)
    assert says in str(caught.value)


@given(st.text())
def test_nothing_but_one_line_of_ascii_gets_through(text: str) -> None:
    for address in (text, f"{text}@example.com", f"ada@{text}.example"):
        try:
            good = normalised(address)
        except BadAddress:
            continue
        assert good.isascii()
        assert good.isprintable()
        assert " " not in good
        assert normalised(good) == good


def by_the_library(address: str) -> str | None:
    try:
        checked = validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError:
        return None
    return checked.ascii_email


def by_us(address: str) -> str | None:
    try:
        return normalised(address)
    except BadAddress:
        return None


_LABELS = st.text("aBz09-", min_size=1, max_size=4)
_DOMAINS = st.lists(
    st.one_of(_LABELS, st.sampled_from(["xn--a", "com", "EXAMPLE", "a" * 63, "a" * 64, "--", ""])), max_size=5
).map(".".join)
_LOCALS = st.one_of(
    st.text("aZ09._+-!'\n", max_size=6), st.sampled_from(["a" * 64, "a" * 65, "Info", "info", "postmaster"])
)


@given(_LOCALS, _DOMAINS, st.sampled_from(["", ".com", ".De", ".c0", ".local", ".Test", ".museum", "\n"]))
def test_an_address_is_judged_as_by_the_library(local: str, domain: str, end: str) -> None:
    address = f"{local}@{domain}{end}"
    if address:
        assert by_us(address) == by_the_library(address)


@pytest.mark.parametrize("name", SPECIAL_USE_DOMAIN_NAMES)
def test_an_address_where_no_email_goes_is_refused(name: str) -> None:
    assert by_us(f"ada@shop.{name}") is by_us(f"ada@shop.{name.upper()}") is None


@pytest.mark.parametrize("length", [254, 255])
def test_an_address_has_254_characters_at_most(length: int) -> None:
    domain = ".".join(["a" * 62] * 4)
    address = "b" * 64 + "@" + domain[: length - 65 - 4] + ".com"
    assert len(address) == length
    assert (by_us(address) == by_the_library(address) == address) is (length == 254)


def test_usual_addresses_are_judged_without_the_library() -> None:
    """It takes longer to import than the whole engine."""
    code = (
        "import sys; from engine.requests.addresses import normalised; "
        "normalised('no-reply@shop.example'); assert 'email_validator' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - this interpreter, fixed arguments


def test_a_domain_alone_is_normalised_too() -> None:
    assert normalised_domain("Bücher.example") == "xn--bcher-kva.example"
    with pytest.raises(BadAddress):
        normalised_domain("not a domain")


@pytest.mark.parametrize(
    ("mailbox", "expected"),
    [
        ("ada@example.com", ("", "ada@example.com")),
        ("Ada <ada@example.com>", ("Ada", "ada@example.com")),
        ('"Lovelace, Ada" <ada@example.com>', ("Lovelace, Ada", "ada@example.com")),
        ("<ada@example.com>", ("", "ada@example.com")),
    ],
)
def test_a_mailbox_that_ses_reports_is_taken_apart(mailbox: str, expected: tuple[str, str]) -> None:
    assert parse_mailbox(mailbox) == expected


@pytest.mark.parametrize("mailbox", ["", "MAILER-DAEMON", "<>"])
def test_a_mailbox_without_an_address_is_said_to_have_none(mailbox: str) -> None:
    with pytest.raises(BadAddress, match="holds no email address"):
        parse_mailbox(mailbox)


def test_checking_addresses_does_not_load_a_dns_library() -> None:
    program = (
        "import sys; from engine.requests.addresses import normalised; normalised('Ada@example.com');"
        " sys.exit('email_validator' not in sys.modules or 'dns' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - ours
