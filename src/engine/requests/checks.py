"""What a request may not say: checked before anything else, so that a bad one costs no more than this."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC
from math import isfinite
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from engine.errors import FailureCode, Refusal
from engine.requests.addresses import BadAddress, address_key, normalised
from engine.schemas.request import Attachment, EmailRequest, Unsubscribe

# https://docs.aws.amazon.com/ses/latest/dg/quotas.html
MAX_MESSAGE_BYTES: Final = 40_000_000  # once encoded
MAX_RECIPIENTS: Final = 50
# Ours: how often recipients may be named, each of them as often as one likes; more are not even compared.
MAX_MENTIONS: Final = 1_000
# Ours: SES names no limit, but a Reply-To of hundreds would not fit a header line.
MAX_REPLY_TO: Final = 10
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html
MAX_HEADERS: Final = 15
MAX_HEADER_NAME: Final = 126
MAX_HEADER_VALUE: Final = 995
MAX_HEADER_NAME_AND_VALUE: Final = 996
# Ours: each one may be a download, and all of them lie in memory at once.
MAX_ATTACHMENTS: Final = 20
ATTACHMENTS_FOLDER: Final = "attachments/"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_S3_KEY_BYTES: Final = 1024
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html; 50 a message, emailId is ours.
MAX_TAGS: Final = 49
CAMPAIGN_TAG: Final = "campaign"
# Ours: metadata is stored with the row and told again with every status event.
MAX_METADATA_BYTES: Final = 8 * 1024
# Ours: what is read once must be written, kept and rendered on every Python, in whatever stack it stands.
MAX_DEPTH: Final = 100

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER_NAME: Final = re.compile(rf"[!-9;-~]{{1,{MAX_HEADER_NAME}}}")
_HEADER_VALUE: Final = re.compile(rf"[ -~]{{1,{MAX_HEADER_VALUE}}}")
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
# RFC 6838, section 4.2, and RFC 2045, section 5.1: type/subtype, then parameters, whose values may be quoted.
_CONTENT_TYPE: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"
    r"(?: *;(?: *[A-Za-z0-9!#$&^_.+*-]+=(?:[A-Za-z0-9!#$%&'*+.^_`|~:/-]+|\"[ !#-\[\]-~]*\"))?)* *"
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

TOO_DEEP: Final = f"templateData: is nested too deeply; expected at most {MAX_DEPTH} levels"
NOT_FINITE: Final = "templateData: holds a number beyond those of JSON, such as 1e999"

# Each check: what is wrong (anything true), and the complaint, which begins with the field.
Checks = Iterator[tuple[object, str]]


def check(request: EmailRequest) -> EmailRequest | Refusal:
    """The request with every address in normal form and every recipient once, or what is wrong with it.

    The message of a refusal begins with the field, as in `cc[2]`, and says what was expected.
    """
    if (count := len(request.recipients)) > MAX_MENTIONS:
        return invalid(f"to, cc and bcc name {count} recipients; expected at most {MAX_RECIPIENTS} in all")
    recipients: dict[str, tuple[str, str]] = {}  # by key: of an address named twice the first mention stays
    for field, addresses in (("to", [request.to]), ("cc", request.cc), ("bcc", request.bcc)):
        for index, address in enumerate(addresses):
            place = field if field == "to" else f"{field}[{index}]"
            recipients.setdefault(address_key(address), (place, address))
    if (count := len(recipients)) > MAX_RECIPIENTS:
        return invalid(f"to, cc and bcc name {count} recipients; expected at most {MAX_RECIPIENTS} in all")
    if (count := len(request.reply_to)) > MAX_REPLY_TO:
        return invalid(f"replyTo names {count} addresses; expected at most {MAX_REPLY_TO}")
    sender, unsubscribe = request.sender_override, request.unsubscribe
    try:
        expires = request.expires_at.astimezone(UTC) if request.expires_at else None
    except OverflowError:
        return invalid("expiresAt: is at an end of the calendar; expected a time that UTC has too")
    try:
        good = {place: _address(place, address) for place, address in recipients.values()}
        if sender:
            sender = replace(sender, email=_address("senderOverride.email", sender.email))
        if unsubscribe and unsubscribe.mailto:
            address, mark, query = without_scheme(unsubscribe.mailto).partition("?")
            mailto = _address("unsubscribe.mailto", address) + mark + query
            unsubscribe = replace(unsubscribe, mailto=mailto)
        checked = replace(
            request,
            to=good["to"],
            cc=[address for place, address in good.items() if place.startswith("cc")],
            bcc=[address for place, address in good.items() if place.startswith("bcc")],
            reply_to=[_address(f"replyTo[{index}]", one) for index, one in enumerate(request.reply_to)],
            sender_override=sender,
            unsubscribe=unsubscribe,
            expires_at=expires,
        )
    except BadAddress as error:
        return invalid(str(error))
    complaint = next((complaint for wrong, complaint in _checks(checked) if wrong), None)
    return invalid(complaint) if complaint else checked


def data_problem(data: dict[str, Any]) -> str | None:
    """What would keep template data from being written as JSON and read again, as deferred data must be."""
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        inner = []
        for container in level:
            for one in container.values() if isinstance(container, dict) else container:
                if isinstance(one, (dict, list)):
                    inner.append(one)
                elif isinstance(one, float) and not isfinite(one):
                    return NOT_FINITE
        if not inner:
            return None
        level = inner
    return TOO_DEEP


def invalid(message: str) -> Refusal:
    """The refusal of a request, short enough to be stored and published."""
    return Refusal(FailureCode.VALIDATION, message).shortened()


def _address(field: str, address: str) -> str:
    try:
        return normalised(address)
    except BadAddress as error:
        raise BadAddress(f"{field} {error}") from error


def _checks(request: EmailRequest) -> Checks:
    """All that is checked besides addresses, one after the other."""
    name = request.sender_override and request.sender_override.name
    yield _CONTROL.search(name or ""), "senderOverride.name holds a line break or another control character"
    yield from _header_checks(request)
    yield from _attachment_checks(request.attachments)
    most = MAX_TAGS - bool(request.campaign)
    count = len(request.tags)
    yield count > most, f"tags are {count}; expected at most {most}, for the engine's own are of SES's 50"
    for name, value in request.tags.items():
        reserved = name.lower() == "emailid" or name.lower().startswith("ses:")
        yield reserved, f"tags[{name!r}] is reserved; choose another name"
        bad = not _TAG.fullmatch(name) or not _TAG.fullmatch(value)
        yield bad, f"tags[{name!r}] must have a name and a value of 1 to 256 of A-Z a-z 0-9 _ -"
        twice = request.campaign and name.lower() == CAMPAIGN_TAG
        yield twice, f"tags[{name!r}] is what `campaign` writes; give one or the other"
    size = sum(len(text.encode()) for pair in request.metadata.items() for text in pair)
    expected = f"{MAX_METADATA_BYTES:,}, names and values together"
    yield size > MAX_METADATA_BYTES, f"metadata has {size:,} bytes; expected at most {expected}"


def _header_checks(request: EmailRequest) -> Checks:
    unsubscribe = request.unsubscribe
    if unsubscribe:
        yield (
            not unsubscribe.url and not unsubscribe.mailto,
            "unsubscribe is empty; expected a url or a mailto",
        )
        expected = "in printable ASCII, without spaces, commas, < or >"
        url = unsubscribe.url
        try:
            parts = urlsplit(url or "https://none")
            bad: object = parts.scheme not in {"http", "https"} or not parts.hostname
        except ValueError:
            bad = True
        bad = bad or (url and not _URI.fullmatch(url))
        yield bad, f"unsubscribe.url is not a web address; expected https://host/… {expected}"
        _, mark, query = (unsubscribe.mailto or "").partition("?")
        bad = mark and not _URI.fullmatch(query)
        yield bad, f"unsubscribe.mailto has a bad query; expected ?subject=… {expected}"
    ours = unsubscribe_headers(unsubscribe)
    for name, value in ours:
        yield from _one_header("unsubscribe", name, value)
    count = len(request.headers) + len(ours)
    with_ours = " with those that unsubscribe adds" if ours else ""
    yield count > MAX_HEADERS, f"headers are {count}{with_ours}; SES takes at most {MAX_HEADERS}"
    spellings: dict[str, str] = {}  # header names have no case: `X-A` and `x-a` would be one header twice
    for name, value in request.headers.items():
        first = spellings.setdefault(name.lower(), name)
        yield first != name, f"headers hold {first!r} and {name!r}, which are the same header; give it once"
        yield from _one_header(f"headers[{name!r}]", name, value)
        twice = ours and name.lower() in _UNSUBSCRIBE_HEADERS
        yield twice, f"headers[{name!r}] is what `unsubscribe` writes; give one or the other"


def _one_header(field: str, name: str, value: str) -> Checks:
    expected = f"1 to {MAX_HEADER_NAME} printable ASCII characters, no colon or space"
    yield not _HEADER_NAME.fullmatch(name), f"{field} has a bad name; expected {expected}"
    reserved = name.lower() in _RESERVED_HEADERS or name.lower().startswith(_RESERVED_PREFIXES)
    yield reserved, f"{field} can't be set here: the engine or SES writes it"
    expected = f"1 to {MAX_HEADER_VALUE} printable ASCII characters on one line"
    yield not _HEADER_VALUE.fullmatch(value), f"{field} has a bad value; expected {expected}"
    expected = f"at most {MAX_HEADER_NAME_AND_VALUE} characters, name and value together"
    too_long = len(name) + len(value) > MAX_HEADER_NAME_AND_VALUE
    yield too_long, f"{field} is too long; expected {expected}"


def _attachment_checks(attachments: list[Attachment]) -> Checks:
    count = len(attachments)
    yield count > MAX_ATTACHMENTS, f"attachments are {count}; expected at most {MAX_ATTACHMENTS}"
    content_ids: set[str] = set()
    for index, file in enumerate(attachments):
        field = f"attachments[{index}]"
        bad: object = set("/\\") & set(file.file_name) or _CONTROL.search(file.file_name)
        yield bad, f"{field}.fileName holds a path separator or control character; expected a bare file name"
        bad = not _CONTENT_TYPE.fullmatch(file.content_type)
        yield bad, f"{field}.contentType is not a media type; expected type/subtype, as in application/pdf"
        multipart = file.content_type.lower().startswith("multipart/")
        yield multipart, f"{field}.contentType can't be multipart: an attachment is one part"
        if file.content_id is not None:
            bad = not _CONTENT_ID.fullmatch(file.content_id)
            yield bad, f"{field}.contentId may hold only letters, digits and . _ + @ -, no angle brackets"
            yield file.content_id in content_ids, f"{field}.contentId is used by an earlier attachment"
            content_ids.add(file.content_id)
        bad = (file.content is None) == (file.s3_key is None)
        yield bad, f"{field} needs exactly one of content (base64) and s3Key"
        try:
            base64.b64decode(file.content or "", validate=True)
        except ValueError:
            yield True, f"{field}.content is not base64 (RFC 4648, section 4, without line breaks)"
        if file.s3_key is not None:
            inside = file.s3_key.startswith(ATTACHMENTS_FOLDER) and ".." not in file.s3_key.split("/")
            bad = not inside or _CONTROL.search(file.s3_key)
            yield bad, f"{field}.s3Key is not a file under {ATTACHMENTS_FOLDER} in the template bucket"
            too_long = len(file.s3_key.encode()) > MAX_S3_KEY_BYTES
            yield too_long, f"{field}.s3Key is longer than the {MAX_S3_KEY_BYTES:,} bytes that S3 allows"
    size = encoded_size(sum(len(file.content or "") * 3 // 4 for file in attachments))
    expected = f"SES takes {MAX_MESSAGE_BYTES:,} bytes a message, once encoded"
    yield size > MAX_MESSAGE_BYTES, f"attachments are too large; {expected}"


def encoded_size(content: int) -> int:
    """What `content` bytes take in base64, with a line break (two bytes) every 76 characters (RFC 2045)."""
    characters = 4 * -(-content // 3)
    return characters + 2 * -(-characters // 76)


def brings_unsubscribe(request: EmailRequest) -> bool:
    """Whether the request says itself where people unsubscribe: by its field, or by a header of its own."""
    return bool(request.unsubscribe) or any(name.lower() in _UNSUBSCRIBE_HEADERS for name in request.headers)


def refuse_full_headers(request: EmailRequest, added: int) -> Refusal | None:
    """Whether so many headers of ours still fit beside the request's."""
    count = len(request.headers) + added
    if count <= MAX_HEADERS:
        return None
    return invalid(
        f"headers are {count} with those of the hosted unsubscribe page; SES takes at most {MAX_HEADERS}"
    )


def unsubscribe_headers(unsubscribe: Unsubscribe | None) -> tuple[tuple[str, str], ...]:
    """List-Unsubscribe (RFC 2369) and, for an https url, List-Unsubscribe-Post (RFC 8058, section 3.1)."""
    if unsubscribe is None:
        return ()
    ways = [unsubscribe.url] if unsubscribe.url else []
    if unsubscribe.mailto:
        ways.append(f"mailto:{without_scheme(unsubscribe.mailto)}")
    listed = ("List-Unsubscribe", ", ".join(f"<{way}>" for way in ways))
    if unsubscribe.url and unsubscribe.url.lower().startswith("https:"):
        return listed, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    return (listed,)


def without_scheme(mailto: str) -> str:
    """The address (and query) of a mailto, with or without its scheme."""
    return mailto[7:] if mailto[:7].lower() == "mailto:" else mailto
