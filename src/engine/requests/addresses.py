"""Email addresses: checked by a library, and brought to the one form that SES takes."""

import re
from email.utils import parseaddr
from functools import lru_cache
from typing import Final

from engine.errors import EngineError

# Addresses of which the library has nothing to say but yes: lower-case letters, digits and few signs before
# the @-sign (the library turns `Info` into `info`), no two hyphens in a row after it (they may say punycode).
_PLAIN: Final = re.compile(
    r"(?=.{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*"
    r"@(?!.*--)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?P<top>[A-Za-z]{2,63})"
)
_LONGEST: Final = 254  # characters: https://www.rfc-editor.org/errata/eid1690
# No email goes there. These and no others are in `email_validator.SPECIAL_USE_DOMAIN_NAMES`.
_NOT_FOR_EMAIL: Final = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


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
    if _is_plain(address):
        local, _, domain = address.partition("@")
        return f"{local}@{domain.lower()}"
    return _checked(address)


def _is_plain(address: str) -> bool:
    found = _PLAIN.fullmatch(address) if len(address) <= _LONGEST else None
    return found is not None and found["top"].lower() not in _NOT_FOR_EMAIL


def _checked(address: str) -> str:
    # Its expressions for the whole of Unicode take longer to compile than all of the engine to import, and
    # nearly no address needs them.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - as said above

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


def address_key(address: str) -> str:
    """What an address is looked up, compared and counted by."""
    return address.strip().lower()
