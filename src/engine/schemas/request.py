"""The Email Request: what an application publishes on the bus."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Priority = Literal["transactional", "bulk"]

# Names a folder in the template bucket, so it can never be a path. Python's "$" would also match before a
# final newline; the look-behind closes that without leaving the dialect that JSON Schema shares.
TEMPLATE_NAME_PATTERN = r"^(?!.*\.\.)[A-Za-z0-9._-]{1,64}(?<!\n)$"


class SenderOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A sender that replaces the template's and the default one; its address must be an allowed sender."""

    email: Annotated[str, Meta(min_length=1, max_length=320)]
    name: Annotated[str, Meta(max_length=256)] | None = None


class Attachment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A file that goes with the email: `content` (base64) or `s3Key` (an object of the template bucket).

    With a `contentId` it is shown inline, where the HTML says `cid:<contentId>`.
    """

    file_name: Annotated[str, Meta(min_length=1, max_length=255)]
    content_type: Annotated[str, Meta(min_length=1, max_length=78)]
    content: str | None = None
    s3_key: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    content_id: Annotated[str, Meta(min_length=1, max_length=78)] | None = None


class Unsubscribe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Where a recipient unsubscribes; an https `url` makes it one-click (RFC 8058)."""

    url: Annotated[str, Meta(max_length=900)] | None = None
    mailto: Annotated[str, Meta(max_length=320)] | None = None


class EmailRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The `detail` of an event with detail-type "Email Request"."""

    to: str
    template_name: Annotated[str, Meta(pattern=TEMPLATE_NAME_PATTERN)]
    template_data: dict[str, Any] = {}
    sender_override: SenderOverride | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    priority: Priority = "transactional"
    cc: list[str] = []
    bcc: list[str] = []
    reply_to: list[str] = []
    headers: dict[str, str] = {}
    attachments: list[Attachment] = []
    unsubscribe: Unsubscribe | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    dry_run: bool = False

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every address that SES would count: to, cc and bcc."""
        return (self.to, *self.cc, *self.bcc)
