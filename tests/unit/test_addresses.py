"""Addresses come out in the one form that SES takes, or with what is wrong about them; each has one key."""

import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.requests.addresses import BadAddress, address_key, normalised, normalised_domain


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


@pytest.mark.parametrize("name", ["arpa", "invalid", "local", "localhost", "onion", "test"])
def test_an_address_where_no_email_goes_is_refused(name: str) -> None:
    with pytest.raises(BadAddress):
        normalised(f"ada@shop.{name}")


def test_a_domain_alone_is_normalised_too() -> None:
    assert normalised_domain("Bücher.example") == "xn--bcher-kva.example"
    with pytest.raises(BadAddress):
        normalised_domain("not a domain")


# -- one address, one key ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "user@xn--bcher-kva.example",
        "user@bücher.example",
        "User@BÜCHER.example",
        " user@bücher.example\r\n",
        "\u00a0USER@XN--BCHER-KVA.EXAMPLE ",
        "user@bücher。example",
    ],
)
def test_an_address_has_one_key_however_it_is_spelled(spelling: str) -> None:
    assert address_key(spelling) == "user@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("odd", "key"),
    [
        ("", ""),
        ("MAILER-DAEMON", "mailer-daemon"),
        ("a@b@Example.com", "a@b@example.com"),
        ("Ada@-ü-.example", "ada@-ü-.example"),
        ("Ada@[127.0.0.1]", "ada@[127.0.0.1]"),
        ("ada@\ud800", "ada@\ud800"),
    ],
)
def test_what_is_no_address_keeps_what_it_says_in_lower_case(odd: str, key: str) -> None:
    assert address_key(odd) == key


@given(st.text(), st.text())
def test_the_key_of_an_address_that_is_taken_does_not_depend_on_its_form(local: str, domain: str) -> None:
    for address in (f"ada@{domain}.example", f"{local}@{domain}.example", f"Ada@{local}.example"):
        key = address_key(address)
        assert key == address_key(f" {address}\t")
        with suppress(BadAddress):
            assert address_key(normalised(address)) == key == address_key(key)


def test_checking_addresses_does_not_load_a_dns_library() -> None:
    program = (
        "import sys; from engine.requests.addresses import normalised; normalised('Ada@example.com');"
        " sys.exit('email_validator' not in sys.modules or 'dns' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - ours
