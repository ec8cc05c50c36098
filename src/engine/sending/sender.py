"""Whose name an email goes out under: the override, else the template's sender, else the default."""

import re
from collections.abc import Callable
from email.header import Header
from email.utils import formataddr
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from engine.errors import FailureCode, Refusal
from engine.requests.addresses import BadAddress, normalised, normalised_domain
from engine.schemas.request import SenderOverride

if TYPE_CHECKING:  # rendering brings Jinja, which the feedback processor would pay for at every cold start
    from engine.templating.template import Rendered

# What would end a header line, for one reader or another (str.splitlines knows all of these).
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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
        email = _named(default_email, normalised)
        entries = tuple(_entry(one) for one in allowed if one.strip())
        return cls(email, default_name, entries or (email.partition("@")[2],))

    def allows(self, address: str) -> bool:
        """Whether a normalised address may send; the case of neither side matters."""
        wanted = address.lower()
        domain = wanted.partition("@")[2]
        entries = self.allowed or (self.default_email.partition("@")[2],)
        return any(entry.lower().removeprefix("@") in {wanted, domain} for entry in entries)


def resolve_sender(
    override: SenderOverride | None, rendered: "Rendered", policy: SenderPolicy
) -> str | Refusal:
    """The From header value of an email, or why its sender will not do."""
    origin, email = _chosen(override, rendered, policy)
    try:
        email = normalised(email)
    except BadAddress as error:
        return Refusal(_code_of(origin), f"{origin} {error}")
    if not policy.allows(email):
        return Refusal(
            FailureCode.SENDER_NOT_ALLOWED,
            f"{origin} {email} is not an allowed sender; expected an address or domain of ALLOWED_SENDERS",
        )
    name = _name_for(override, rendered, policy)
    if holds_control(name):
        return Refusal(
            _code_of(origin), f"the sender name beside {origin} holds a line break or control character"
        )
    return from_header(name, email)


def holds_control(name: str) -> bool:
    """Whether a sender name would break its header line."""
    return _CONTROL.search(name) is not None


def from_header(name: str, email: str) -> str:
    """`Name <email>` with a name outside ASCII as RFC 2047 encoded words, each within its 75 characters."""
    if name.isascii() and "=?" not in name:
        return formataddr((name, email))
    words = Header(name, "utf-8", maxlinelen=75).encode(linesep="\n")
    return f"{words.replace(chr(10), '')} <{email}>"


def _chosen(override: SenderOverride | None, rendered: "Rendered", policy: SenderPolicy) -> tuple[str, str]:
    if override is not None:
        return "senderOverride.email", override.email
    if rendered.sender_email:
        return "the template's senderEmail", rendered.sender_email
    return "DEFAULT_SENDER_EMAIL", policy.default_email


def _code_of(origin: str) -> FailureCode:
    """Whose fault a malformed sender is; the default one was checked at the start."""
    return FailureCode.VALIDATION if origin.startswith("senderOverride") else FailureCode.TEMPLATE_ERROR


def _name_for(override: SenderOverride | None, rendered: "Rendered", policy: SenderPolicy) -> str:
    """A template's name goes with the template's or the default address, never with an override's."""
    if override is not None:
        return override.name or policy.default_name
    return rendered.sender_name or policy.default_name


def _entry(entry: str) -> str:
    bare = entry.strip().removeprefix("@")
    return _named(bare, normalised if "@" in bare else normalised_domain).lower()


def _named(value: str, normalise: Callable[[str], str]) -> str:
    try:
        return normalise(value)
    except BadAddress as error:
        raise BadAddress(f"{value!r} {error}") from error
