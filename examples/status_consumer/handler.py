"""A Lambda function behind a rule for "Email Status Changed"; it needs nothing but Python.

Events come at least once and in any order: act so that a repetition does no harm, and let a later status of
the same email win over an earlier one. `originalEmailId` groups an email with its retry.
"""

from typing import Any

# What an application does about an address or an email, by what became of it.
_ACTIONS = {
    "bounced": "stop writing to the address, and ask the customer for another one",
    "complained": "stop writing to the address",
    "failed": "look at the reason: the email was never sent",
    "delivered": "note that it arrived",
}


def handler(event: dict[str, Any], _context: object) -> str | None:
    """What was done, or None for a status that nothing needs doing about."""
    detail = event["detail"]
    if detail["status"] == detail["previousStatus"]:
        return None  # told again, or news that changes no status
    action = _ACTIONS.get(detail["status"])
    if action is None:
        return None
    reason = f" ({detail['reason']['code']})" if detail["reason"] else ""
    # `metadata` comes back as the request gave it: what ties the email to the application's own data.
    print(f"email {detail['originalEmailId']} of order {detail['metadata'].get('order')}{reason}: {action}")
    return action
