"""Whether an accepted request may go out: one look at all that was asked, one answer."""

from collections.abc import Mapping

from msgspec import Struct

from engine.errors import FailureCode, Refusal
from engine.schemas.request import EmailRequest
from engine.schemas.rows import SuppressionRow
from engine.templating.template import Rendered
from engine.tracking.bounce_quota import QuotaPolicy, QuotaReading, refuse_over_quota


class Go(Struct, frozen=True):
    """Send it, with this content; `without` holds the suppressed cc and bcc, lower-cased."""

    rendered: Rendered
    without: frozenset[str]


def decide(
    request: EmailRequest,
    *,
    suppressed: Mapping[str, SuppressionRow],
    quota: QuotaReading,
    policy: QuotaPolicy,
    rendered: Rendered | Refusal,
) -> Go | Refusal:
    """Refuse for the first reason that holds: suppression, bounce quota, template.

    A suppressed `to` refuses the email. A suppressed cc or bcc is left out and the others get theirs, as it
    is with SES's own suppression list: https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
    """
    found = suppressed.get(request.to.lower())
    if found:
        return Refusal(
            FailureCode.SUPPRESSED,
            f"the recipient has been suppressed since {found.added_to_suppression_date or 'an unknown date'}"
            f" ({found.suppression_type}: {found.reason or 'no reason given'})",
        )
    refusal = refuse_over_quota(quota, policy)
    if refusal:
        return refusal
    if isinstance(rendered, Refusal):
        return rendered
    others = (address.lower() for address in (*request.cc, *request.bcc))
    return Go(rendered, frozenset(address for address in others if address in suppressed))
