"""Email addresses: checked by a library, and the one key by which they are compared."""

from contextlib import suppress
from functools import lru_cache
from typing import Final

from engine.errors import EngineError

# Characters: 64 before the @-sign and 255 after it (RFC 5321, section 4.5.3.1).
LONGEST_ADDRESS: Final = 320


class BadAddress(EngineError, ValueError):  # noqa: N818 - it names what was found, as its siblings do
    """Says what is wrong with an address, in words that fit behind the name of the field that held it."""


# The same few senders stand in every email.
@lru_cache(maxsize=256)
def normalised(address: str) -> str:
    """The address with its domain in lower-case punycode; the part before the @-sign keeps its case.

    Takes a bare address only: no display name, no quoted local part, no IP address for a domain. SES has no
    SMTPUTF8, so the part before the @-sign must be ASCII:
    https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html
    DNS is not asked: whether a mailbox exists is what a bounce tells. Raises BadAddress.
    """
    # The feedback function needs `address_key` alone, and the library takes 20 ms to import.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - as said above

    if not address:
        raise BadAddress("is empty; expected an email address")
    if len(address) > LONGEST_ADDRESS:
        raise BadAddress(f"is no email address: it has over {LONGEST_ADDRESS} characters")
    try:
        # `strict` holds the part before the @-sign to the 64 characters of RFC 5321, section 4.5.3.1.1.
        checked = validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise BadAddress(f"is not an email address: {error}") from error
    if checked.ascii_email is None:  # pragma: no cover - cannot be, without SMTPUTF8; keeps the type honest
        raise BadAddress("has no ASCII form")
    return checked.ascii_email


def normalised_domain(domain: str) -> str:
    """A domain name in lower-case punycode. Raises BadAddress."""
    return normalised(f"postmaster@{domain}").partition("@")[2]


def address_key(address: str) -> str:
    """The key under which an address is written, looked up, compared and counted.

    Trimmed, the domain as IDNA A-labels, all in lower case. Every text has one: addresses out of reports and
    tables are not ours to refuse, and a domain that IDNA doesn't know stays as it is.
    """
    local, at, domain = address.strip().rpartition("@")
    if not domain.isascii() and len(domain) <= LONGEST_ADDRESS:
        import idna  # noqa: PLC0415 - 10 ms that hardly an address needs

        with suppress(UnicodeError):  # of which IDNAError is one
            domain = idna.encode(domain, uts46=True).decode()
    return f"{local}{at}{domain}".lower()


def spellings(key: str) -> tuple[str, ...]:
    """The key itself, and where its domain has A-labels also the form that people read and write.

    A row that a person put into a table by hand may lie under either.
    """
    local, at, domain = key.rpartition("@")
    if "xn--" in domain:
        import idna  # noqa: PLC0415 - as above

        with suppress(UnicodeError):
            return key, f"{local}{at}{idna.decode(domain)}"
    return (key,)
