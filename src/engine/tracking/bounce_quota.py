"""The bounce quota: stop sending before SES stops the account.

Both sides of the rate count recipients, as SES's own bounce rate does: an email to twenty addresses of which
one bounces is one of twenty.
Source: https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-bounce-rate.html
"""

from typing import Final

from msgspec import Struct

from engine.errors import FailureCode, Refusal

SIMULATOR_DOMAIN = "simulator.amazonses.com"
# Subtypes of bounces of addresses on a list of SES's own: SES did not even try, and they don't count towards
# its bounce rate. https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
ON_SES_LISTS: Final = frozenset(
    {"OnAccountSuppressionList", "OnTenantSuppressionList", "UnsubscribedRecipient"}
)


class QuotaReading(Struct, frozen=True):
    """One day's sends and hard bounces, both in recipients."""

    sends: int
    bounces: int


class QuotaPolicy(Struct, frozen=True):
    """`threshold` in percent; it binds only from `min_sends` recipients that day on.

    Over it all mail is refused; with `holds_bulk` the bulk lane is stopped instead, and other mail goes on.
    """

    threshold: float
    min_sends: int
    holds_bulk: bool = False


def refuse_over_quota(reading: QuotaReading, policy: QuotaPolicy) -> Refusal | None:
    if reading.sends < max(policy.min_sends, 1):
        return None
    rate = 100 * reading.bounces / reading.sends
    if rate <= policy.threshold:
        return None
    return Refusal(
        FailureCode.BOUNCE_RATE_EXCEEDED,
        f"today's bounce rate is {rate:.2f} % ({reading.bounces} of {reading.sends} recipients), over"
        f" BOUNCE_RATE_THRESHOLD = {policy.threshold:g} %: find out why addresses bounce before sending on",
    )


def counts(address: str) -> bool:
    """Whether mail to this address counts: SES's mailbox simulator leaves the reputation alone.

    Source: https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html
    """
    return not address.lower().endswith("@" + SIMULATOR_DOMAIN)
