"""What must be true before anything is changed. Every check looks, says what it saw, and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from installer.cloud import Cloud, found
from installer.parameters import SENDER, Parameters
from installer.problem import Problem, doing
from installer.release import Release
from installer.screen import Screen

# A bucket carries the stack's name in front of "-templates-" and twelve digits, and S3 allows 63 characters.
_STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")

# Lambda never lets reservations take these:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_MUST_STAY_UNRESERVED = 100
_FUNCTIONS = ("EmailSender", "FeedbackProcessor")


@dataclass(frozen=True)
class Finding:
    """`do` is what a person should do about it. What `stops` must be solved first."""

    text: str
    do: str = ""
    stops: bool = False


def check_stack_name(name: str) -> None:
    if not _STACK_NAME.fullmatch(name):
        raise Problem(
            f"{name!r} can't be the stack's name.",
            "Take 2 to 40 lower-case letters, digits and hyphens, a letter first, as for buckets.",
        )


def examine(cloud: Cloud, stack: str, parameters: Parameters, release: Release) -> Iterator[Finding]:
    yield Finding(f"Account {cloud.account}, region {cloud.region}, as {cloud.caller}")
    if parameters[SENDER]:
        yield from sender_identity(cloud, parameters[SENDER])
    yield from sending_account(cloud)
    yield from concurrency(cloud, stack, parameters, release)


def report(findings: Iterator[Finding], screen: Screen) -> None:
    """Show each as it comes; raises `Problem` in the end when one of them stops."""
    stops = 0
    for finding in findings:
        if finding.stops:
            stops += 1
            screen.bad(finding.text, finding.do)
        elif finding.do:
            screen.note(finding.text, finding.do)
        else:
            screen.good(finding.text)
    if stops:
        raise Problem("The account is not ready: see STOP above.", "Solve that first, and run again.")


def sender_identity(cloud: Cloud, sender: str) -> Iterator[Finding]:
    """SES sends from a verified address, or from any address of a verified domain or its parents."""
    _, _, domain = sender.rpartition("@")
    labels = domain.split(".")
    candidates = [sender, *(".".join(labels[start:]) for start in range(len(labels) - 1))]
    waiting = []
    for identity in candidates:
        with doing(f"looking up the identity {identity} in SES"):
            answer = found(
                cloud.client("sesv2").get_email_identity, "NotFoundException", EmailIdentity=identity
            )
        if answer and answer.get("VerifiedForSendingStatus"):
            yield Finding(f"SES may send from {sender}: {identity} is verified")
            return
        if answer:
            waiting.append(identity)
    if waiting:
        yield Finding(
            f"SES may not send from {sender} yet: {waiting[0]} waits for its verification.",
            "Open the link in the email that AWS sent there."
            if "@" in waiting[0]
            else "Publish the DKIM records that SES's console shows for it in your DNS.",
            stops=True,
        )
        return
    yield Finding(
        f"SES may not send from {sender}: neither the address nor {domain} is verified in {cloud.region}.",
        f"aws sesv2 create-email-identity --region {cloud.region} --email-identity {domain} (then publish "
        f"the DKIM records that it prints), or the same with {sender} (then open the link that AWS sends).",
        stops=True,
    )


def sending_account(cloud: Cloud) -> Iterator[Finding]:
    with doing("asking SES for the account's sending limits"):
        account = cloud.client("sesv2").get_account()
    quota = account.get("SendQuota", {})
    daily, rate = quota.get("Max24HourSend", 0), quota.get("MaxSendRate", 0)
    limits = f"{'any number of' if daily < 0 else format(daily, ',.0f')} emails a day, {rate:g} a second"
    if not account.get("SendingEnabled", True):
        yield Finding(
            "SES has paused sending for this account; emails would wait.",
            "SES's console says why, under Account dashboard.",
        )
    if account.get("ProductionAccessEnabled"):
        yield Finding(f"SES is in production: {limits}")
        return
    yield Finding(
        f"SES is in the sandbox: {limits}, and only to verified addresses and the mailbox simulator.",
        "To write to everybody, request production access: SES's console, Account dashboard.",
    )


def concurrency(cloud: Cloud, stack: str, parameters: Parameters, release: Release) -> Iterator[Finding]:
    """Lambda must have room for what the functions reserve, and 100 more that nobody may reserve."""
    reserved = [parameters.number(value) for value in release.reserved]
    if not any(reserved):
        yield Finding("No Lambda concurrency is reserved, as asked")
        return
    functions = cloud.client("lambda")
    with doing("asking Lambda for the account's concurrency"):
        limits = functions.get_account_settings()["AccountLimit"]
        # What an installed stack has reserved already, it need not find anew.
        own = 0
        for name in _FUNCTIONS:
            answer = found(
                functions.get_function_concurrency,
                "ResourceNotFoundException",
                FunctionName=f"{stack}-{name}",
            )
            own += (answer or {}).get("ReservedConcurrentExecutions", 0)
    limit, free = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"] + own
    needed = sum(reserved)
    if free - needed >= _MUST_STAY_UNRESERVED:
        yield Finding(f"Lambda has room: {needed} of {free} concurrent executions get reserved")
        return
    wanted = max(1000, limit - free + needed + _MUST_STAY_UNRESERVED)
    yield Finding(
        f"Lambda has no room: the functions reserve {' + '.join(map(str, reserved))} concurrent executions, "
        f"and {_MUST_STAY_UNRESERVED} must stay unreserved, which makes {needed + _MUST_STAY_UNRESERVED}; of "
        f"the account's {limit} in {cloud.region}, {free} are free.",
        "Ask AWS for more, which costs nothing: aws service-quotas request-service-quota-increase "
        f"--region {cloud.region} --service-code lambda --quota-code L-B99A9384 --desired-value {wanted}"
        + _without_reservation(release),
        stops=True,
    )


def _without_reservation(release: Release) -> str:
    flags = [f"--parameter {name}=0" for name in release.reserved if isinstance(name, str)]
    return f". Until it is granted, install with {' '.join(flags)}: nothing is reserved then" if flags else ""
