"""What must be true before anything is changed. Every check looks, says what it saw, and changes nothing.

What the answers of SES mean is judged by the rules of `sesmailengine doctor`, which the package carries. The
room that functions need is judged here: before an installation question and remedy are others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from engine.operations.account_checks import Finding, identities_of
from engine.operations.account_checks import sender_identity as judge_identity
from engine.operations.account_checks import sending_account as judge_account
from installer.account import AwsAccount, get_or_none
from installer.errors import InstallError, aws_errors
from installer.parameters import SENDER, StackParameters
from installer.release import Release
from installer.screen import Screen

# A bucket carries the stack's name in front of "-templates-" and twelve digits, and S3 allows 63 characters.
_STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")

# Lambda never lets reservations take these:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_MUST_STAY_UNRESERVED = 100
_FUNCTIONS = ("EmailSender", "FeedbackProcessor", "Unsubscribe", "Webhook")

# What a parameter switches on, and what follows where the region lacks it.
_LACKS = {
    "SnapStart": "Lambda SnapStart: the functions start without it, which takes a second longer",
    "HostedUnsubscribe": "Lambda function URLs: the unsubscribe page can't be hosted there",
    "RegisterSchemas": "an EventBridge schema registry: docs/schemas/ has the events' schemas",
}


def check_stack_name(name: str) -> None:
    if not _STACK_NAME.fullmatch(name):
        raise InstallError(
            f"{name!r} can't be the stack's name.",
            "Take 2 to 40 lower-case letters, digits and hyphens, a letter first, as for buckets.",
        )


def examine(
    account: AwsAccount, stack: str, parameters: StackParameters, release: Release
) -> Iterator[Finding]:
    yield Finding("ok", f"Account {account.account_id}, region {account.region}, as {account.caller}")
    yield from region(account, parameters, release)
    if parameters[SENDER]:
        yield from sender_identity(account, parameters[SENDER])
    yield from sending_account(account)
    yield from concurrency(account, stack, parameters, release)


def report(results: Iterator[Finding], screen: Screen) -> None:
    """Show each as it comes; raises `InstallError` in the end when one is a problem."""
    stops = 0
    for result in results:
        if result.level == "problem":
            stops += 1
            screen.stop(result.what, result.remedy)
        elif result.remedy:
            screen.note(result.what, result.remedy)
        else:
            screen.ok(result.what)
    if stops:
        raise InstallError("The account is not ready: see STOP above.", "Solve that first, and run again.")


def region(account: AwsAccount, parameters: StackParameters, release: Release) -> Iterator[Finding]:
    """What is not to be had in this region, of what the stack can do without."""
    if account.region not in release.regions:
        yield Finding(
            "note",
            f"This release was not checked for {account.region}.",
            "Something of it may be missing there. It was checked for " + ", ".join(release.regions) + ".",
        )
    for name, lacks in _LACKS.items():
        if parameters[name] == "true" and account.region in release.regions_without[name]:
            yield Finding("ok", f"{account.region} has no {lacks}")


def sender_identity(account: AwsAccount, sender: str) -> Iterator[Finding]:
    """SES sends from a verified address, or from any address of a verified domain or its parents."""
    known: dict[str, Any] = {}
    for identity in identities_of(sender):
        with aws_errors(f"looking up the identity {identity} in SES"):
            answer = get_or_none(
                account.client("sesv2").get_email_identity, "NotFoundException", EmailIdentity=identity
            )
        if answer:
            known[identity] = answer
        if answer and answer.get("VerifiedForSendingStatus"):
            break
    yield judge_identity(sender, account.region, known)


def sending_account(account: AwsAccount) -> Iterator[Finding]:
    """Nothing of this stops an installation: mail waits until SES sends it."""
    with aws_errors("asking SES for the account's sending limits"):
        settings = account.client("sesv2").get_account()
    for finding in judge_account(settings):
        yield replace(finding, level="note") if finding.level == "problem" else finding


def concurrency(
    account: AwsAccount, stack: str, parameters: StackParameters, release: Release
) -> Iterator[Finding]:
    """Lambda must have room for what the functions reserve, and 100 more that nobody may reserve."""
    asked = {
        name: int(parameters[name])
        for name, switch in release.reserved.items()
        if not switch
        or (parameters[switch] == "true" and account.region not in release.regions_without.get(switch, ()))
    }
    reserved = [concurrency for concurrency in asked.values() if concurrency]
    if not reserved:
        yield Finding("ok", "No Lambda concurrency is reserved, as asked")
        return
    functions = account.client("lambda")
    with aws_errors("asking Lambda for the account's concurrency"):
        limits = functions.get_account_settings()["AccountLimit"]
        # What an installed stack has reserved already, it need not find anew.
        own = 0
        for name in _FUNCTIONS:
            answer = get_or_none(
                functions.get_function_concurrency,
                "ResourceNotFoundException",
                FunctionName=f"{stack}-{name}",
            )
            own += (answer or {}).get("ReservedConcurrentExecutions", 0)
    limit, free = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"] + own
    needed = sum(reserved)
    if free - needed >= _MUST_STAY_UNRESERVED:
        yield Finding("ok", f"Lambda has room: {needed} of {free} concurrent executions get reserved")
        return
    without = " ".join(f"--parameter {name}=0" for name in asked)
    wanted = max(1000, limit - free + needed + _MUST_STAY_UNRESERVED)
    yield Finding(
        "problem",
        f"Lambda has no room: the functions reserve {' + '.join(map(str, reserved))} concurrent executions, "
        f"and {_MUST_STAY_UNRESERVED} must stay unreserved, which makes {needed + _MUST_STAY_UNRESERVED}; of "
        f"the account's {limit} in {account.region}, {free} are free.",
        "Ask AWS for more, which costs nothing: aws service-quotas request-service-quota-increase "
        f"--region {account.region} --service-code lambda --quota-code L-B99A9384 --desired-value {wanted}. "
        f"Until it is granted, install with {without}: nothing is reserved then",
    )
