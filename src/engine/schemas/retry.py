"""The soft-bounce retry message on EmailRetryQueue."""

from typing import Annotated

from msgspec import Meta, Struct

from engine.schemas.request import EmailRequest


class RetryEmailData(EmailRequest, frozen=True, kw_only=True, forbid_unknown_fields=False, rename="camel"):
    """The request as it was first accepted, with the identity of the email that bounced."""

    original_email_id: Annotated[str, Meta(min_length=1)]
    original_source: str = ""


class BounceRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """One soft bounce: when SES reported it, and its subtype and diagnostic."""

    timestamp: str
    reason: str


class RetryMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    """One more try for an email that bounced softly; `retryAttempt` counts from 1."""

    original_email_data: RetryEmailData
    retry_attempt: Annotated[int, Meta(ge=1)]
    bounce_history: list[BounceRecord] = []
