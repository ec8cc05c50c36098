"""Email addresses: checked by a library, and brought to the one form that SES takes."""

from email.utils import parseaddr
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from engine.domain.failures import EngineError


class BadAddress(EngineError, ValueError):  # noqa: N818 - it names what was found, as its siblings do
    """Says what is wrong with an address, in words that fit behind the name of the field that held it."""


# The same few senders stand in every email; checking one takes as long as decoding the whole request.
@lru_cache(maxsize=256)
def normalised(address: str) -> str:
    """The address with its domain in lower-case punycode; the part before the @-sign keeps its case.

    Takes a bare address only: no display name, no quoted local part, no IP address for a domain. SES has no
    SMTPUTF8, so the part before the @-sign must be ASCII:
    https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html
    DNS is not asked: whether a mailbox exists is what a bounce tells. Raises BadAddress.
    """
    if not address:
        raise BadAddress("is empty; expected an email address")
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


def parse_mailbox(mailbox: str) -> tuple[str, str]:
    """Name and address out of `Name <a@b>` or `a@b`, as SES reports them; the name may be empty.

    The address is taken as it stands: SES reported it, so it is not ours to judge. Raises BadAddress where
    there is none.
    """
    name, address = parseaddr(mailbox)
    if "@" not in address:
        raise BadAddress("holds no email address; expected `a@b` or `Name <a@b>`")
    return name, address
