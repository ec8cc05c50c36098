"""What a request may not say: checked before anything else, so that a bad one costs no more than this."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from engine.errors import FailureCode, Refusal
from engine.requests.addresses import BadAddress, normalised
from engine.requests.limits import MAX_MESSAGE_BYTES, encoded_size
from engine.requests.unsubscribe import unsubscribe_headers, without_scheme
from engine.schemas.request import Attachment, EmailRequest, SenderOverride, Unsubscribe

# https://docs.aws.amazon.com/ses/latest/dg/quotas.html
MAX_RECIPIENTS: Final = 50
# Ours: SES names no limit, but a Reply-To of hundreds would not fit a header line.
MAX_REPLY_TO: Final = 10
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html
MAX_HEADERS: Final = 15
MAX_HEADER_NAME: Final = 126
MAX_HEADER_VALUE: Final = 995
MAX_HEADER_NAME_AND_VALUE: Final = 996
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html; 50 a message, emailId is ours.
MAX_TAGS: Final = 49
# Ours: metadata is stored with the row and told again with every status event.
MAX_METADATA_BYTES: Final = 8 * 1024

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER_NAME: Final = re.compile(r"[!-9;-~]+")
_HEADER_VALUE: Final = re.compile(r"[ -~]+")
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
# RFC 2045 section 5.1 and RFC 6838 section 4.2: type/subtype, then parameters without quotes.
_CONTENT_TYPE: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*(; ?[A-Za-z0-9-]+=[A-Za-z0-9_.+:/-]+)*"
)
_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9._+@-]+")
# What may stand between the angle brackets of List-Unsubscribe: printable, and nothing that ends or lists.
_URI: Final = re.compile(r"[!-+\--;=?-~]+")

# Headers that SES or the engine writes, in lower case. Two of one of these make an email that receivers
# refuse or, worse, read differently from one another.
_RESERVED_HEADERS: Final = frozenset(
    {"from", "to", "cc", "bcc", "subject", "reply-to", "sender", "return-path", "date", "message-id"}
    | {"mime-version", "dkim-signature", "received", "authentication-results", "feedback-id"}
)
_RESERVED_PREFIXES: Final = ("content-", "x-ses-", "resent-", "arc-", "x-amz-")
_UNSUBSCRIBE_HEADERS: Final = frozenset({"list-unsubscribe", "list-unsubscribe-post"})


class _Bad(Exception):  # noqa: N818 - never leaves this file
    """Field and complaint."""

    def __init__(self, field: str, complaint: str) -> None:
        super().__init__(f"{field} {complaint}")


def check(request: EmailRequest) -> EmailRequest | Refusal:
    """The request with every address in normal form, or the first thing that is wrong with it.

    The message of a refusal begins with the field, as in `cc[2]`, and says what was expected.
    """
    try:
        _recipient_count(request)
        _headers(request)
        _attachments(request.attachments)
        _tags(request.tags)
        _metadata(request.metadata)
        return msgspec.structs.replace(
            request,
            to=_address("to", request.to),
            cc=_addresses("cc", request.cc),
            bcc=_addresses("bcc", request.bcc),
            reply_to=_addresses("replyTo", request.reply_to),
            sender_override=_sender(request.sender_override),
            unsubscribe=_unsubscribe(request.unsubscribe),
        )
    except _Bad as bad:
        return Refusal(FailureCode.VALIDATION, str(bad))


def _address(field: str, address: str) -> str:
    try:
        return normalised(address)
    except BadAddress as error:
        raise _Bad(field, str(error)) from error


def _addresses(field: str, addresses: Sequence[str]) -> list[str]:
    return [_address(f"{field}[{index}]", address) for index, address in enumerate(addresses)]


def _recipient_count(request: EmailRequest) -> None:
    if (count := len(request.recipients)) > MAX_RECIPIENTS:
        raise _Bad("to, cc and bcc", f"name {count} recipients; expected at most {MAX_RECIPIENTS} in all")
    if (count := len(request.reply_to)) > MAX_REPLY_TO:
        raise _Bad("replyTo", f"names {count} addresses; expected at most {MAX_REPLY_TO}")


def _sender(override: SenderOverride | None) -> SenderOverride | None:
    if override is None:
        return None
    if override.name is not None and _CONTROL.search(override.name):
        raise _Bad("senderOverride.name", "holds a line break or another control character")
    return msgspec.structs.replace(override, email=_address("senderOverride.email", override.email))


def _headers(request: EmailRequest) -> None:
    ours = unsubscribe_headers(request.unsubscribe)
    if (count := len(request.headers) + len(ours)) > MAX_HEADERS:
        with_ours = " with those that unsubscribe adds" if ours else ""
        raise _Bad("headers", f"are {count}{with_ours}; SES takes at most {MAX_HEADERS}")
    _no_twins("headers", request.headers)
    for name, value in request.headers.items():
        _header(f"headers[{name!r}]", name, value)
        if ours and name.lower() in _UNSUBSCRIBE_HEADERS:
            raise _Bad(f"headers[{name!r}]", "is what `unsubscribe` writes; give one or the other")


def _header(field: str, name: str, value: str) -> None:
    if len(name) > MAX_HEADER_NAME or not _HEADER_NAME.fullmatch(name):
        raise _Bad(
            field,
            f"has a bad name; expected 1 to {MAX_HEADER_NAME} printable ASCII characters, no colon or space",
        )
    if name.lower() in _RESERVED_HEADERS or name.lower().startswith(_RESERVED_PREFIXES):
        raise _Bad(field, "can't be set here: the engine or SES writes it")
    if len(value) > MAX_HEADER_VALUE or not _HEADER_VALUE.fullmatch(value):
        raise _Bad(
            field, f"has a bad value; expected 1 to {MAX_HEADER_VALUE} printable ASCII characters on one line"
        )
    if len(name) + len(value) > MAX_HEADER_NAME_AND_VALUE:
        raise _Bad(
            field,
            f"is too long; expected at most {MAX_HEADER_NAME_AND_VALUE} characters, name and value together",
        )


def _no_twins(field: str, names: Iterable[str]) -> None:
    """Header names have no case, so `X-A` and `x-a` would be one header twice."""
    seen: dict[str, str] = {}
    for name in names:
        if (first := seen.setdefault(name.lower(), name)) != name:
            raise _Bad(field, f"hold {first!r} and {name!r}, which are the same header; give it once")


def _attachments(attachments: Sequence[Attachment]) -> None:
    ids: set[str] = set()
    size = 0
    for index, attachment in enumerate(attachments):
        field = f"attachments[{index}]"
        _attachment(field, attachment)
        size += len(attachment.content or "") * 3 // 4
        if attachment.content_id in ids:
            raise _Bad(f"{field}.contentId", "is used by an earlier attachment; expected one of its own")
        if attachment.content_id is not None:
            ids.add(attachment.content_id)
    if encoded_size(size) > MAX_MESSAGE_BYTES:
        raise _Bad(
            "attachments", f"are too large; SES takes {MAX_MESSAGE_BYTES:,} bytes a message, once encoded"
        )


def _attachment(field: str, attachment: Attachment) -> None:
    if _CONTROL.search(attachment.file_name) or re.search(r"[/\\]", attachment.file_name):
        raise _Bad(
            f"{field}.fileName", "holds a path separator or control character; expected a bare file name"
        )
    if not _CONTENT_TYPE.fullmatch(attachment.content_type):
        raise _Bad(
            f"{field}.contentType", "is not a media type; expected type/subtype, as in application/pdf"
        )
    if attachment.content_type.lower().startswith("multipart/"):
        raise _Bad(f"{field}.contentType", "can't be multipart: an attachment is one part")
    if attachment.content_id is not None and not _CONTENT_ID.fullmatch(attachment.content_id):
        raise _Bad(
            f"{field}.contentId", "may hold only letters, digits and . _ + @ -, without angle brackets"
        )
    if (attachment.content is None) == (attachment.s3_key is None):
        raise _Bad(field, "needs exactly one of content (base64) and s3Key")
    _content(f"{field}.content", attachment.content)
    _s3_key(f"{field}.s3Key", attachment.s3_key)


def _content(field: str, content: str | None) -> None:
    if content is None:
        return
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Bad(field, "is not base64 (RFC 4648, section 4, without line breaks)") from error


def _s3_key(field: str, key: str | None) -> None:
    if key is None:
        return
    if key.startswith("/") or ".." in key.split("/") or _CONTROL.search(key):
        raise _Bad(field, "is not a key of the template bucket; expected one like attachments/terms.pdf")
    if len(key.encode()) > 1024:
        raise _Bad(field, "is longer than the 1,024 bytes that S3 allows")


def _unsubscribe(unsubscribe: Unsubscribe | None) -> Unsubscribe | None:
    if unsubscribe is None:
        return None
    if not unsubscribe.url and not unsubscribe.mailto:
        raise _Bad("unsubscribe", "is empty; expected a url, a mailto, or both")
    if unsubscribe.url:
        _url("unsubscribe.url", unsubscribe.url)
    checked = msgspec.structs.replace(unsubscribe, mailto=_mailto("unsubscribe.mailto", unsubscribe.mailto))
    for name, value in unsubscribe_headers(checked):
        _header("unsubscribe", name, value)
    return checked


def _url(field: str, url: str) -> None:
    complaint = (
        "is not a web address; expected https://host/… in printable ASCII, without spaces, commas, < or >"
    )
    if not _URI.fullmatch(url):
        raise _Bad(field, complaint)
    try:
        parts = urlsplit(url)
        named = parts.hostname
    except ValueError as error:
        raise _Bad(field, complaint) from error
    if parts.scheme.lower() not in {"https", "http"} or not named:
        raise _Bad(field, complaint)


def _mailto(field: str, mailto: str | None) -> str | None:
    """An address, perhaps behind `mailto:` and before `?subject=…`; kept without the scheme."""
    if not mailto:
        return None
    address, mark, query = without_scheme(mailto).partition("?")
    if mark and not _URI.fullmatch(query):
        raise _Bad(
            field, "has a bad query; expected ?subject=… in printable ASCII, without spaces, commas, < or >"
        )
    return _address(field, address) + mark + query


def _tags(tags: dict[str, str]) -> None:
    if len(tags) > MAX_TAGS:
        raise _Bad(
            "tags", f"are {len(tags)}; expected at most {MAX_TAGS}, because emailId is one of SES's 50"
        )
    for name, value in tags.items():
        field = f"tags[{name!r}]"
        if name.lower() == "emailid" or name.lower().startswith("ses:"):
            raise _Bad(field, "is reserved; choose another name")
        _every(
            field,
            (name, value),
            _TAG.fullmatch,
            "must have a name and a value of 1 to 256 of A-Z a-z 0-9 _ -",
        )


def _every(field: str, values: Iterable[str], fits: Callable[[str], object], complaint: str) -> None:
    if not all(fits(value) for value in values):
        raise _Bad(field, complaint)


def _metadata(metadata: dict[str, str]) -> None:
    size = sum(len(text.encode("utf-8", "surrogatepass")) for pair in metadata.items() for text in pair)
    if size > MAX_METADATA_BYTES:
        raise _Bad(
            "metadata",
            f"has {size:,} bytes; expected at most {MAX_METADATA_BYTES:,}, names and values together",
        )
