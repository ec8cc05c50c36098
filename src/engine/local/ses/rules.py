"""The limits that SES v2 puts on a message. Each check raises the error that SES answers with.

Sources: https://docs.aws.amazon.com/ses/latest/dg/quotas.html (50 recipients, 40 MB, 15 headers, tags),
.../APIReference-V2/API_MessageHeader.html and API_MessageTag.html, .../dg/header-fields.html.
"""

import re
from collections.abc import Iterable, Sequence

from engine.local.ses.account import Account
from engine.local.ses.errors import SesError, bad_request, not_found
from engine.local.ses.message import bare_address
from engine.local.ses.wire import AttachmentPart, Header, Tag

MAX_RECIPIENTS = 50
MAX_MESSAGE_BYTES = 40 * 1024 * 1024
MAX_HEADERS = 15
MAX_HEADER_NAME = 126
MAX_HEADER_VALUE = 995
MAX_TAGS = 50
MAX_TAG = 256
MAX_TEMPLATE_DATA = 262_144

_HEADER_NAME = re.compile(r"[!-9;-@A-~]+")
_HEADER_VALUE = re.compile(r"[ -~]*")
_TAG = re.compile(r"[A-Za-z0-9_-]+")
_RESERVED_HEADERS = frozenset(
    {
        "bcc",
        "cc",
        "content-disposition",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "reply-to",
    }
    | {"return-path", "subject", "to"}
)
_BASE64_GROWTH = 4 / 3


def check_sender(account: Account, sender: str | None) -> str:
    """The sender, when there is one and the account may send as it."""
    if not sender:
        raise bad_request("Missing required header 'From'.")
    check_address(sender)
    if not account.may_send_as(sender):
        raise SesError(
            "MessageRejected",
            "Email address is not verified. The following identities failed the check in region "
            f"{account.region.upper()}: {bare_address(sender)}",
        )
    return sender


def check_configuration_set(account: Account, name: str | None) -> None:
    """The configuration set exists, if one is named."""
    if name and account.configuration_sets is not None and name not in account.configuration_sets:
        raise not_found(f"Configuration set <{name}> does not exist.")


def check_recipients(recipients: Sequence[str]) -> None:
    """Between 1 and 50 recipients that look like addresses."""
    if not recipients:
        raise bad_request("Destination must have at least one recipient.")
    if len(recipients) > MAX_RECIPIENTS:
        raise bad_request(f"Recipient count exceeds {MAX_RECIPIENTS}.")
    for recipient in recipients:
        check_address(recipient)


def check_address(mailbox: str) -> None:
    """The few things SES itself finds wrong with an address."""
    local, at, domain = bare_address(mailbox).rpartition("@")
    if not at or not domain:
        raise bad_request("Missing final '@domain'")
    if not local.isascii():
        raise bad_request("Local address contains non-ASCII characters.")
    if not domain.isascii():
        # A domain beyond ASCII has to come in its punycode form.
        raise bad_request("Domain contains illegal character.")
    if not local or any(character <= " " for character in local + domain):
        raise bad_request("Local address contains control or whitespace")


def check_headers(headers: Sequence[Header]) -> None:
    """At most 15 custom headers, none of which SES writes itself."""
    if len(headers) > MAX_HEADERS:
        raise bad_request(f"Number of headers exceeds {MAX_HEADERS}.")
    for header in headers:
        if not (len(header.name) <= MAX_HEADER_NAME and _HEADER_NAME.fullmatch(header.name)):
            raise bad_request(f"Invalid header name <{header.name}>.")
        if header.name.lower() in _RESERVED_HEADERS:
            raise bad_request(f"Header <{header.name}> cannot be set as a custom header.")
        if not (0 < len(header.value) <= MAX_HEADER_VALUE and _HEADER_VALUE.fullmatch(header.value)):
            raise bad_request(f"Invalid value of header <{header.name}>.")


def check_tags(tags: Sequence[Tag]) -> None:
    """At most 50 message tags of letters, digits, `_` and `-`, up to 256 characters."""
    if len(tags) > MAX_TAGS:
        raise bad_request(f"Number of message tags exceeds {MAX_TAGS}.")
    for tag in tags:
        if len(tag.name) > MAX_TAG or not _TAG.fullmatch(tag.name):
            raise bad_request(
                f"Invalid tag name <{tag.name}>: it may hold ASCII letters, digits, '_' and '-'."
            )
        if len(tag.value) > MAX_TAG or not _TAG.fullmatch(tag.value):
            raise bad_request(
                f"Invalid tag value <{tag.value}>: it may hold ASCII letters, digits, '_' and '-'."
            )


def check_size(texts: Iterable[str | None], attachments: Sequence[AttachmentPart] = ()) -> None:
    """At most 40 MB with attachments in base64."""
    size = sum(len(text) for text in texts if text)
    size += int(sum(len(attachment.raw_content) for attachment in attachments) * _BASE64_GROWTH)
    check_bytes(size)


def check_bytes(size: int) -> None:
    """At most 40 MB."""
    if size > MAX_MESSAGE_BYTES:
        raise bad_request(f"Message length is more than {MAX_MESSAGE_BYTES} bytes long: '{size}'.")
