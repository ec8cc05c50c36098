"""The soft-bounce retry message on EmailRetryQueue."""

from typing import Annotated

from msgspec import Meta, Struct

from engine.schemas.envelopes import LONGEST_SOURCE
from engine.schemas.request import EmailRequest


class RetryEmailData(
    EmailRequest, frozen=True, kw_only=True, forbid_unknown_fields=False, omit_defaults=False, rename="camel"
):
    """The request as it was first accepted, with the identity of the email that bounced."""

    original_email_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            description="Id of the email that bounced; the retry's id follows from it.",
        ),
    ]
    original_source: Annotated[
        str, Meta(max_length=LONGEST_SOURCE, description="Source of the Email Request event.")
    ] = ""


class BounceRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """One soft bounce: when SES reported it, and its subtype and diagnostic."""

    timestamp: Annotated[str, Meta(description="When SES reported it, ISO 8601.")]
    reason: Annotated[str, Meta(description="Its subtype and the diagnostic of the receiving server.")]


class RetryMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    """One more try for an email that bounced softly; `retryAttempt` counts from 1."""

    original_email_data: Annotated[RetryEmailData, Meta(description="The request, and whose retry this is.")]
    retry_attempt: Annotated[int, Meta(ge=1, le=1_000, description="Which retry this is, counted from 1.")]
    bounce_history: Annotated[
        list[BounceRecord], Meta(description="The soft bounces so far, oldest first.")
    ] = []
