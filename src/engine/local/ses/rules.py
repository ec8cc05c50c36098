"""SES v2's limits on a message. Each check raises the error that SES answers with.

Sources: https://docs.aws.amazon.com/ses/latest/dg/quotas.html (50 recipients, 40 MB, 15 headers, tags),
.../APIReference-V2/API_MessageHeader.html, API_MessageTag.html and API_Attachment.html,
.../dg/header-fields.html, .../dg/mime-types.html (file extensions). The wording of a refused file name and of
a length that breaks a constraint is ours: SES documents neither.
"""

import re
from collections.abc import Iterable, Sequence
from email.utils import formataddr, parseaddr
from pathlib import PurePath

from engine.local.ses.account import Account
from engine.local.ses.errors import SesError, bad_request, not_found
from engine.local.ses.message import bare_address
from engine.local.ses.wire import AttachmentPart, Header, Tag

MAX_RECIPIENTS = 50
MAX_MESSAGE_BYTES = 40 * 1024 * 1024
MAX_HEADERS = 15
MAX_HEADER_NAME = 126
MAX_HEADER_VALUE = 995
MAX_HEADER_NAME_AND_VALUE = 996
MAX_TAGS = 50
MAX_TAG = 256
MAX_TEMPLATE_DATA = 262_144
MAX_ADDRESS = 320
MAX_FILE_NAME = 255
MAX_CONTENT_TYPE = 78
MAX_CONTENT_ID = 78

_HEADER_NAME = re.compile(r"[!-9;-@A-~]+")
_HEADER_VALUE = re.compile(r"[ -~]*")
_TAG = re.compile(r"[A-Za-z0-9_-]+")
_RESERVED_HEADERS = frozenset({
    "bcc", "cc", "content-disposition", "content-type", "date", "from", "message-id", "mime-version",
    "reply-to", "return-path", "subject", "to",
})  # fmt: skip
_BASE64_GROWTH = 4 / 3
_EXTENSIONS = """
ade adp app asp bas bat cer chm cmd com cpl crt csh der exe fxp gadget hlp hta inf ins isp its js jse ksh
lib lnk mad maf mag mam maq mar mas mat mau mav maw mda mdb mde mdt mdw mdz msc msh msh1 msh2 mshxml
msh1xml msh2xml msi msp mst ops pcd pif plg prf prg reg scf scr sct shb shs sys ps1 ps1xml ps2 ps2xml
psc1 psc2 tmp url vb vbe vbs vps vsmacros vss vst vsw vxd ws wsc wsf wsh xnk
"""
_UNSUPPORTED_EXTENSIONS = frozenset(_EXTENSIONS.split())


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
    """The few things SES itself finds wrong with `Name <user@host>` or `user@host`.

    The limit of 320 is on the name, once encoded (RFC 2047), and the address together.
    """
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
    if mailbox.isascii() and len(mailbox) <= MAX_ADDRESS:  # nearly all, and nothing to encode
        return
    name, address = parseaddr(mailbox)
    encoded = formataddr((name, address)) if address else mailbox.strip()
    if len(encoded) > MAX_ADDRESS:
        raise bad_request(f"Address length is more than {MAX_ADDRESS} characters long: '{encoded}'.")


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
        if len(header.name) + len(header.value) > MAX_HEADER_NAME_AND_VALUE:
            raise bad_request(f"Header <{header.name}> exceeds {MAX_HEADER_NAME_AND_VALUE} characters.")


def check_attachment(file_name: str, content_type: str | None = None, content_id: str | None = None) -> None:
    """A file of a supported extension. The content type may be anything, quoted parameters included."""
    if PurePath(file_name).suffix.removeprefix(".").lower() in _UNSUPPORTED_EXTENSIONS:
        raise bad_request(f"Illegal filename '{file_name}'.")
    for member, value, longest in (
        ("fileName", file_name, MAX_FILE_NAME),
        ("contentType", content_type, MAX_CONTENT_TYPE),
        ("contentId", content_id, MAX_CONTENT_ID),
    ):
        if value is not None and not 1 <= len(value) <= longest:
            raise bad_request(f"Value at '{member}' failed to satisfy constraint: 1 to {longest} characters")


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
