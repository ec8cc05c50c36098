"""Email Status Changed: what the engine publishes for every status that an email reaches."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

STATUS_EVENT_SOURCE = "sesmailengine"
STATUS_EVENT_DETAIL_TYPE = "Email Status Changed"
REQUEST_DETAIL_TYPE = "Email Request"

# Every value of the ledger but "sending", which is a lease and not news, and "dry_run", which has no row.
PublishedStatus = Literal[
    "sent", "soft_bounced", "delivered", "opened", "failed", "bounced", "complained", "dry_run"
]


class Reason(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why: a stable code for programs, a sentence for people."""

    code: Annotated[str, Meta(description="Stable code, such as `suppressed`; a failed row keeps it.")]
    message: Annotated[str, Meta(description="What was wrong and what was expected, for a person to read.")]


class EmailStatusChanged(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `detail` of the event; at least once for every status a row reaches.

    `originalEmailId` groups an email with its retries: a first attempt names itself. A previous status
    equal to the status itself marks an event that is published again after a redelivery.
    """

    email_id: Annotated[
        str,
        Meta(
            description="Id of this attempt: a version 5 UUID over the source and the idempotency key (or the"
            " event id), or over the original's id and the attempt."
        ),
    ]
    original_email_id: Annotated[
        str, Meta(description="Id of the first attempt; a first attempt names itself.")
    ]
    to: Annotated[str, Meta(description="The recipient.")]
    template_name: Annotated[str, Meta(description="Template of the request.")]
    campaign: Annotated[
        str | None, Meta(description="Campaign of the request; null for an email that belongs to none.")
    ] = None
    status: Annotated[
        PublishedStatus,
        Meta(description="What the email reached. The highest wins: news may come late and out of order."),
    ]
    previous_status: Annotated[
        str | None,
        Meta(
            description="Status before; null for a request refused as it came, and equal to `status` where"
            " the same news is published again."
        ),
    ]
    reason: Annotated[Reason | None, Meta(description="Why, where there is more to say than the status.")]
    ses_message_id: Annotated[str | None, Meta(description="SES's own id; null until SES took the email.")]
    original_source: Annotated[str, Meta(description="Source of the Email Request event.")]
    retry_attempt: Annotated[int, Meta(description="0 for the first attempt, 1 for its retry.")]
    timestamp: Annotated[
        str, Meta(description="When it happened: ISO 8601 in UTC, such as `2026-11-24T08:15:30.250Z`.")
    ]
    metadata: Annotated[dict[str, str], Meta(description="As in the request.")] = {}
    tags: Annotated[dict[str, str], Meta(description="As in the request.")] = {}
