"""What SES says of an account and an identity, judged. Each function is pure: from an answer to findings.

The standard library alone, from Python 3.9 on: the installer, which runs where nothing is installed, carries
this module and judges by the same rules as `sesmailengine doctor`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["ok", "note", "problem", "skipped"]
"""`problem`: it stops or harms mail; `note`: worth knowing; `skipped`: it could not be looked at."""

Answer = Mapping[str, Any]
"""What an AWS API answered, as the SDK gives it."""

# From here on it is worth knowing that a day's quota may not last.
_QUOTA_IS_SHORT = 0.8


@dataclass(frozen=True)
class Finding:
    """`what` was seen, `why` it matters, and the `remedy`: what a person should do about it."""

    level: Level
    what: str
    remedy: str = ""
    why: str = ""


def sending_account(account: Answer) -> Iterator[Finding]:
    """`account`: of GetAccount."""
    if not account.get("SendingEnabled", True):
        yield Finding(
            "problem",
            "SES has paused sending for this account; emails would wait.",
            "SES's console says why, under Account dashboard.",
        )
    enforcement = account.get("EnforcementStatus", "HEALTHY")
    if enforcement != "HEALTHY":
        yield Finding(
            "problem",
            f"SES has the account under {enforcement}, for its bounces or complaints.",
            "Answer the case that AWS has opened, and find the list or template that causes them.",
            "An account that stays under review is shut down.",
        )
    yield from _quota(account)


def _quota(account: Answer) -> Iterator[Finding]:
    quota = account.get("SendQuota", {})
    daily, rate, sent = (quota.get(name, 0) for name in ("Max24HourSend", "MaxSendRate", "SentLast24Hours"))
    limits = f"{'any number of' if daily < 0 else format(daily, ',.0f')} emails a day, {rate:g} a second"
    if sent:
        limits += f"; {sent:,.0f} sent in the last 24 hours"
    if account.get("ProductionAccessEnabled"):
        yield Finding("ok", f"SES is in production: {limits}")
    else:
        yield Finding(
            "problem",
            f"SES is in the sandbox: {limits}, and only to verified addresses and the mailbox simulator.",
            "To write to everybody, request production access: SES's console, Account dashboard.",
            "SES refuses mail to every other address.",
        )
    if 0 < daily <= sent:
        yield Finding("problem", "The daily quota is used up; emails wait.", _MORE_QUOTA)
    elif 0 < daily * _QUOTA_IS_SHORT <= sent:
        yield Finding("note", f"{sent / daily:.0%} of the daily quota is used.", _MORE_QUOTA)


_MORE_QUOTA = "Ask for a higher quota: Service Quotas, Amazon SES, Sending quota."


def identities_of(sender: str) -> list[str]:
    """What SES may know a sender (an address or a domain) by: itself, its domain and the domain's parents."""
    labels = sender.rpartition("@")[2].split(".")
    parents = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    return list(dict.fromkeys([sender, *parents]))


def sender_identity(sender: str, region: str, known: Mapping[str, Answer]) -> Finding:
    """`known`: by identity, what GetEmailIdentity answered, for those of `identities_of` that there are."""
    for identity, answer in known.items():
        if answer.get("VerifiedForSendingStatus"):
            return Finding("ok", f"SES may send from {sender}: {identity} is verified")
    for identity in known:
        return Finding(
            "problem",
            f"SES may not send from {sender} yet: {identity} waits for its verification.",
            "Open the link in the email that AWS sent there."
            if "@" in identity
            else "Publish the DKIM records that SES's console shows for it in your DNS.",
        )
    domain = sender.rpartition("@")[2]
    missing = f"neither the address nor {domain} is" if "@" in sender else "it is not"
    other = f", or the same with {sender} (then open the link that AWS sends)" if "@" in sender else ""
    return Finding(
        "problem",
        f"SES may not send from {sender}: {missing} verified in {region}.",
        f"aws sesv2 create-email-identity --region {region} --email-identity {domain} (then publish the DKIM"
        f" records that it prints){other}.",
    )
