"""What an application imports to request emails: typed, async, with an error for every one not accepted.

async with EmailClient("mail-EmailBus", source="shop") as emails:
    await emails.send(EmailRequest(to="ada@example.com", template_name="welcome", template_data={...}))
    report = await emails.send_many(requests)  # a campaign, from any iterator
"""

from engine.client.backoff import Backoff
from engine.client.email_client import EmailClient
from engine.client.report import (
    Accepted,
    NoSuchBusError,
    NotAccepted,
    NotAcceptedError,
    PublishProgress,
    PublishReport,
)
from engine.client.schedule import NotScheduledError
from engine.schemas.request import Attachment, EmailRequest, SenderOverride, Unsubscribe

__all__ = [
    "Accepted",
    "Attachment",
    "Backoff",
    "EmailClient",
    "EmailRequest",
    "NoSuchBusError",
    "NotAccepted",
    "NotAcceptedError",
    "NotScheduledError",
    "PublishProgress",
    "PublishReport",
    "SenderOverride",
    "Unsubscribe",
]
