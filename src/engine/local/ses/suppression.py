"""The account suppression list: addresses that SES takes mail for and doesn't send it to.

Hard bounces and complaints add to it, as in every account since 2019-11-25; mail to the mailbox simulator
does not. Addresses are compared without regard to case, which SES doesn't document.

Sources: https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html,
https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html
"""

import base64
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal

import msgspec

from engine.local.ses.errors import SesError, bad_request, not_found
from engine.local.ses.message import bare_address
from engine.local.ses.outcomes import is_mailbox_simulator
from engine.local.ses.outgoing import SimulatedEvent
from engine.local.ses.rules import check_address
from engine.types import Clock

Reason = Literal["BOUNCE", "COMPLAINT"]
ALL_REASONS: frozenset[Reason] = frozenset({"BOUNCE", "COMPLAINT"})
LARGEST_PAGE = 1000


class _Shape(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    pass


class Attributes(_Shape, frozen=True, kw_only=True):
    """The email that an address was added for."""

    message_id: str | None = None
    feedback_id: str | None = None


class SuppressedDestination(_Shape, frozen=True, kw_only=True):
    """An address of the list; `last_update_time` in epoch seconds, as rest-json carries times."""

    email_address: str
    reason: Reason
    last_update_time: float
    attributes: Attributes | None = None


class SuppressedDestinationAnswer(_Shape, frozen=True, kw_only=True):
    """GET /v2/email/suppression/addresses/{EmailAddress}."""

    suppressed_destination: SuppressedDestination


class SuppressedDestinationPage(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """GET /v2/email/suppression/addresses."""

    suppressed_destination_summaries: list[SuppressedDestination]
    next_token: str | None = None


class PutSuppressedDestinationRequest(_Shape, frozen=True, kw_only=True):
    """PUT /v2/email/suppression/addresses."""

    email_address: str
    reason: Reason


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What ListSuppressedDestinations is asked for."""

    reasons: frozenset[Reason] = ALL_REASONS
    since: datetime | None = None
    until: datetime | None = None
    page_size: int = 100
    next_token: str | None = None

    def fits(self, entry: SuppressedDestination) -> bool:
        at = datetime.fromtimestamp(entry.last_update_time, UTC)
        after = self.since is None or at >= self.since
        return after and (self.until is None or at <= self.until) and entry.reason in self.reasons


class SuppressionList:
    def __init__(self, now: Clock) -> None:
        self._now = now
        self._entries: dict[str, SuppressedDestination] = {}

    def get(self, address: str) -> SuppressedDestination:
        """Raises SesError where the address is not on the list."""
        if address.lower() not in self._entries:
            raise _unknown(address)
        return self._entries[address.lower()]

    def put(self, address: str, reason: Reason, attributes: Attributes | None = None) -> None:
        check_address(address)
        self._entries[address.lower()] = SuppressedDestination(
            email_address=address,
            reason=reason,
            last_update_time=self._now().timestamp(),
            attributes=attributes,
        )

    def delete(self, address: str) -> None:
        """Raises SesError where the address is not on the list."""
        if self._entries.pop(address.lower(), None) is None:
            raise _unknown(address)

    def page(self, wanted: Filter) -> SuppressedDestinationPage:
        """In the order of the addresses, so that a page stays where it is while others are added."""
        if not 1 <= wanted.page_size <= LARGEST_PAGE:
            raise bad_request(f"PageSize must be between 1 and {LARGEST_PAGE}.")
        after = _place(wanted.next_token)
        keys = [key for key, entry in sorted(self._entries.items()) if key > after and wanted.fits(entry)]
        shown, more = keys[: wanted.page_size], len(keys) > wanted.page_size
        return SuppressedDestinationPage(
            suppressed_destination_summaries=[
                msgspec.structs.replace(self._entries[key], attributes=None) for key in shown
            ],
            next_token=base64.urlsafe_b64encode(shown[-1].encode()).decode() if more else None,
        )

    def holds_back(self, mailbox: str, reasons: Collection[Reason]) -> bool:
        """Whether mail to the mailbox is not sent, in an account that suppresses for these reasons."""
        entry = self._entries.get(bare_address(mailbox).lower())
        return entry is not None and entry.reason in reasons

    def learn(self, event: SimulatedEvent, reasons: Collection[Reason]) -> None:
        """Add whom a hard bounce or a complaint is about."""
        if event.event_type not in {"Bounce", "Complaint"}:
            return
        document = event.document()
        bounce, complaint = document.get("bounce", {}), document.get("complaint", {})
        hard = bounce.get("bounceType") == "Permanent"
        complained = bool(complaint) and complaint.get("complaintFeedbackType") != "not-spam"
        reason: Reason = "BOUNCE" if hard else "COMPLAINT"
        listed = bounce.get("bounceSubType") == "OnAccountSuppressionList"
        if not (hard or complained) or listed or reason not in reasons:
            return
        why = Attributes(
            message_id=event.message_id, feedback_id=bounce.get("feedbackId") or complaint.get("feedbackId")
        )
        for recipient in event.recipients:
            if not is_mailbox_simulator(recipient):
                self.put(bare_address(recipient), reason, why)

    def clear(self) -> None:
        self._entries.clear()


def _unknown(address: str) -> SesError:
    return not_found(f"Email address {address} does not exist on your suppression list.")


def _place(token: str | None) -> str:
    """The key that a page begins after."""
    try:
        return base64.urlsafe_b64decode(token or "").decode()
    except ValueError:
        raise SesError(
            "InvalidNextTokenException", "The specified request includes an invalid NextToken."
        ) from None
