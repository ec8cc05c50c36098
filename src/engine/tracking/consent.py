"""Consent: who has unsubscribed from what. Only mail with a topic looks at it.

A row of Suppression with the type `unsubscribe` is an opt-out. Its key is `topic#address`, or `*#address` for
every topic; under a bare address it counts as `*#address`.
"""

from collections.abc import Mapping
from typing import Final

from engine.errors import FailureCode, Refusal
from engine.schemas.rows import SuppressionRow

UNSUBSCRIBE: Final = "unsubscribe"
EVERY_TOPIC: Final = "*"


def opt_out_key(address: str, topic: str = EVERY_TOPIC) -> str:
    """The key of an opt-out; `address` is an address key."""
    return f"{topic}#{address}"


def opt_out_keys(topic: str, address: str) -> tuple[str, str]:
    """The keys of the opt-outs that mail with a topic looks at, for one of its recipients."""
    return opt_out_key(address), opt_out_key(address, topic)


def opt_out(topic: str | None, address: str, opt_outs: Mapping[str, SuppressionRow]) -> SuppressionRow | None:
    """The opt-out that keeps mail with this topic from an address (an address key), if any."""
    keys = opt_out_keys(topic, address) if topic else ()
    return next((opt_outs[key] for key in keys if key in opt_outs), None)


def unsubscribed(topic: str, row: SuppressionRow) -> Refusal:
    """The refusal of an email whose recipient has opted out."""
    since = row.added_to_suppression_date or "an unknown date"
    scope = f"topic {topic!r}" if row.email.startswith(f"{topic}#") else "every topic"
    return Refusal(
        FailureCode.UNSUBSCRIBED, f"the recipient has been unsubscribed from {scope} since {since}"
    )
