"""The Email Request: what an application publishes on the bus."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Priority = Literal["transactional", "bulk"]


class Lane(StrEnum):
    """The way that a priority chooses."""

    TRANSACTIONAL = "transactional"
    BULK = "bulk"


# Names a folder in the template bucket, so it can never be a path. Python's "$" would also match before a
# final newline; the look-ahead closes that without leaving the dialect that JSON Schema shares.
TEMPLATE_NAME_PATTERN = r"^(?!.*\.\.)[A-Za-z0-9._-]{1,64}(?!\n)$"
TOPIC_PATTERN = r"^[a-z0-9-]{1,64}(?!\n)$"
CAMPAIGN_PATTERN = r"^[A-Za-z0-9_-]{1,64}(?!\n)$"


class SenderOverride(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """A sender that replaces the template's and the default one; its address must be an allowed sender."""

    email: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=320,
            description="Address in the From header; it or its domain must be in ALLOWED_SENDERS.",
        ),
    ]
    name: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="Name beside the address in the From header; null takes DEFAULT_SENDER_NAME."),
    ] = None


class Attachment(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """A file that goes with the email: `content` (base64) or `s3Key` (an object of the template bucket).

    With a `contentId` it is shown inline, where the HTML says `cid:<contentId>`.
    """

    file_name: Annotated[
        str, Meta(min_length=1, max_length=255, description="Name under which the recipient sees the file.")
    ]
    content_type: Annotated[
        str, Meta(min_length=1, max_length=78, description="Media type, such as `application/pdf`.")
    ]
    content: Annotated[str | None, Meta(description="The file in base64; either this or `s3Key`.")] = None
    s3_key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024)] | None,
        Meta(description="Key of the file in the template bucket, under `attachments/`; or `content`."),
    ] = None
    content_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=78)] | None,
        Meta(description="Makes the file inline: the HTML shows it where it says `cid:<contentId>`."),
    ] = None


class Unsubscribe(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """Where a recipient unsubscribes; an https `url` makes it one-click (RFC 8058)."""

    url: Annotated[
        Annotated[str, Meta(max_length=900)] | None,
        Meta(description="Page that unsubscribes; with https it also takes the one-click POST of RFC 8058."),
    ] = None
    mailto: Annotated[
        Annotated[str, Meta(max_length=320)] | None,
        Meta(description="Address that unsubscribes whoever writes to it."),
    ] = None


class EmailRequest(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """The `detail` of an event with detail-type "Email Request"."""

    to: Annotated[str, Meta(description="The one recipient: a bare address, without a name.")]
    template_name: Annotated[
        str,
        Meta(
            pattern=TEMPLATE_NAME_PATTERN,
            description="Template to render: a folder of the template bucket, 1 to 64 of A-Z a-z 0-9 . _ -"
            " without two dots in a row.",
        ),
    ]
    template_data: Annotated[
        dict[str, Any],
        Meta(description="Variables of the template. Their text is data: it is never read as a template."),
    ] = {}
    sender_override: Annotated[
        SenderOverride | None,
        Meta(description="Sender of this email; null takes the template's sender, or else the default one."),
    ] = None
    idempotency_key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)] | None,
        Meta(
            description="Requests of one source with the same key are one email, however often they come;"
            " null takes the id of the event."
        ),
    ] = None
    priority: Annotated[
        Priority,
        Meta(description="Lane: `transactional` is sent at once, `bulk` from a queue and never in its way."),
    ] = "transactional"
    cc: Annotated[
        list[str],
        Meta(
            description="Recipients of a visible copy; 50 at most with `to` and `bcc`."
            " Suppressed ones are left out."
        ),
    ] = []
    bcc: Annotated[
        list[str], Meta(description="Recipients of a hidden copy. Suppressed ones are left out.")
    ] = []
    reply_to: Annotated[list[str], Meta(description="Addresses that an answer goes to.")] = []
    headers: Annotated[
        dict[str, str],
        Meta(
            description="Further headers: 15 at most, names to 126 and values to 995 characters of printable"
            " ASCII. Those that SES or the engine write (From, To, Subject, ...) are refused."
        ),
    ] = {}
    attachments: Annotated[
        list[Attachment], Meta(description="Files that go with the email; 20 at most.")
    ] = []
    unsubscribe: Annotated[
        Unsubscribe | None, Meta(description="Gives the email its List-Unsubscribe headers.")
    ] = None
    tags: Annotated[
        dict[str, str],
        Meta(
            description="Message tags of SES, repeated in every status event: A-Z a-z 0-9 _ -, to 256 each."
        ),
    ] = {}
    metadata: Annotated[
        dict[str, str], Meta(description="Repeated in every status event of the email, and never sent.")
    ] = {}
    dry_run: Annotated[
        bool,
        Meta(description="Everything but the send: the status is `dry_run`, and its reason what would be."),
    ] = False
    campaign: Annotated[
        Annotated[str, Meta(pattern=CAMPAIGN_PATTERN)] | None,
        Meta(
            description="Groups emails, 1 to 64 of A-Z a-z 0-9 _ -: a message tag of SES and in every status"
            " event; the operator's `stop`, `cancel` and reports go by it."
        ),
    ] = None
    topic: Annotated[
        Annotated[str, Meta(pattern=TOPIC_PATTERN)] | None,
        Meta(
            description="What a recipient can unsubscribe from, 1 to 64 of a-z 0-9 -; null takes the"
            " template's. Mail with a topic is refused for whoever has unsubscribed; mail without one never"
            " looks."
        ),
    ] = None
    expires_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="An email that could not be sent by then fails as `expired`: ISO 8601 with a zone;"
            " null takes the template's `validForSeconds`."
        ),
    ] = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every address that SES would count: to, cc and bcc."""
        return (self.to, *self.cc, *self.bcc)
