"""Whose name an email goes out under: the override, else the template's sender, else the default."""

import re
from email.header import Header
from email.utils import formataddr
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from engine.errors import FailureCode, Refusal
from engine.requests.addresses import BadAddress, normalised, normalised_domain
from engine.schemas.request import SenderOverride

if TYPE_CHECKING:  # it brings Jinja, which the feedback processor would pay for at every cold start
    from engine.templating.template import Rendered

# What would end a header line, for one reader or another (str.splitlines knows all of these).
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# SES refuses a longer From header, once it is encoded.
MAX_FROM_BYTES: Final = 320


class SenderPolicy(Struct, frozen=True):
    """The default sender, and who else may send.

    Each of `allowed` is an address, or a domain that allows every address right under it; a subdomain needs
    an entry of its own. With none, the domain of the default sender is allowed. `of` makes one from settings.
    """

    default_email: str
    default_name: str
    allowed: tuple[str, ...] = ()

    @classmethod
    def of(cls, default_email: str, default_name: str, allowed: tuple[str, ...] = ()) -> "SenderPolicy":
        """A policy with every entry checked and in one form. Raises BadAddress naming the entry."""
        try:
            email = normalised(default_email)
        except BadAddress as error:
            raise BadAddress(f"{default_email!r} {error}") from error
        entries = [_named(one.strip().removeprefix("@")).lower() for one in allowed if one.strip()]
        return cls(email, default_name, tuple(entries) or (email.partition("@")[2],))

    def allows(self, address: str) -> bool:
        """Whether a normalised address may send; the case of neither side matters."""
        wanted = address.lower()
        return not {wanted, wanted.partition("@")[2]}.isdisjoint(self.allowed)


def resolve_sender(
    override: SenderOverride | None, rendered: "Rendered", policy: SenderPolicy
) -> str | Refusal:
    """The From header value of an email, or why its sender will not do.

    A template's name goes with the template's or the default address, never with an override's.
    """
    name, fault = rendered.sender_name, FailureCode.TEMPLATE_ERROR
    if override is not None:
        origin, email = "senderOverride.email", override.email
        name, fault = override.name, FailureCode.VALIDATION
    elif rendered.sender_email:
        origin, email = "the template's senderEmail", rendered.sender_email
    else:
        origin, email = "DEFAULT_SENDER_EMAIL", policy.default_email
    try:
        email = normalised(email)
    except BadAddress as error:
        return Refusal(fault, f"{origin} {error}")
    if not policy.allows(email):
        problem = f"{origin} {email} is no allowed sender; expected an address or domain of ALLOWED_SENDERS"
        return Refusal(FailureCode.SENDER_NOT_ALLOWED, problem)
    return from_header((name or "").strip() or policy.default_name, email)


def holds_control(name: str) -> bool:
    """Whether a sender name would break its header line."""
    return _CONTROL.search(name) is not None


def from_header(name: str, email: str) -> str:
    """`Name <email>`, the name shortened to what SES takes, or left out where none of it fits."""
    name = name.strip()
    while name and len(header := _encoded(name, email)) > MAX_FROM_BYTES:
        # A character takes up to 12 bytes once it is encoded.
        name = name[: -max(1, (len(header) - MAX_FROM_BYTES) // 12)].rstrip()
    return _encoded(name, email) if name else email


def _encoded(name: str, email: str) -> str:
    """A name outside ASCII as RFC 2047 encoded words, each within its 75 characters."""
    if name.isascii() and "=?" not in name:
        return formataddr((name, email))
    words = Header(name, "utf-8", maxlinelen=75).encode(linesep="\n")
    return f"{words.replace(chr(10), '')} <{email}>"


def _named(entry: str) -> str:
    """An address or a domain in normal form. Raises BadAddress, which names the entry."""
    try:
        return normalised(entry) if "@" in entry else normalised_domain(entry)
    except BadAddress as error:
        raise BadAddress(f"{entry!r} {error}") from error
