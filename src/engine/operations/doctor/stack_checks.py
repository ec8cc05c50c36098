"""Whether the stack is whole: status, alarms that somebody hears, dead letters, room to run, reports."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from engine.operations.account_checks import Answer, Finding

# What the engine's statuses are made of: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_EventDestination.html
_REPORTS: Final = frozenset(
    {"SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE", "DELIVERY_DELAY"}
)
# With fewer, one burst of another function takes all of it.
_LITTLE_ROOM: Final = 100
_SECURITY: Final = re.compile(
    r"password|verif|security|alert|log-?in|sign-?in|otp|passcode|one-time|2fa|mfa|two-factor|magic",
    re.IGNORECASE,
)
_LINK: Final = re.compile(r"<a\s[^>]*\bhref\b[^>]*>", re.IGNORECASE)
_NO_TRACK: Final = re.compile(r"\sses:no-track\b", re.IGNORECASE)


def stack_status(stack: Answer, version: str) -> Iterator[Finding]:
    """`stack`: of DescribeStacks. `version`: of this command."""
    name, status = stack["StackName"], stack["StackStatus"]
    if status.endswith("_IN_PROGRESS"):
        yield Finding("note", f"CloudFormation works on the stack {name} ({status}).", "Wait, and ask again.")
    elif "FAILED" in status or status.startswith("ROLLBACK"):
        yield Finding(
            "problem",
            f"The stack {name} is what a failed operation left ({status}).",
            "See docs/install.md, “When it stops”.",
            "Some of its resources may be missing.",
        )
    else:
        yield Finding("ok", f"The stack {name} is whole ({status})")
    deployed = output(stack, "Version")
    if deployed and deployed != version:
        yield Finding(
            "note",
            f"The stack is of version {deployed}, this command of {version}.",
            "Upgrade the older of the two (docs/install.md).",
        )


def output(stack: Answer, name: str) -> str | None:
    """One of the stack's outputs."""
    values = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
    return values.get(name)


def alarm_subscriptions(topic: str, subscriptions: Sequence[Answer]) -> Finding:
    """`subscriptions`: of ListSubscriptionsByTopic. SNS gives one that is not confirmed no ARN."""
    waiting = [each for each in subscriptions if each["SubscriptionArn"] == "PendingConfirmation"]
    heard = len(subscriptions) - len(waiting)
    who = ", ".join(sorted({each["Protocol"] for each in waiting}))
    if waiting:
        return Finding(
            "note" if heard else "problem",
            f"{len(waiting)} of {len(subscriptions)} subscriptions to the alarms are not confirmed ({who}).",
            "Open the link in AWS's mail “Subscription Confirmation”. SNS forgets it after two days; then"
            " subscribe anew: aws sns subscribe.",
            "No alarm reaches an address that is not confirmed.",
        )
    if not heard:
        return Finding(
            "note",
            "Nobody is subscribed to the alarms.",
            f"Set AdminEmail, or: aws sns subscribe --topic-arn {topic} --protocol email"
            " --notification-endpoint ADDRESS",
            "An alarm that rings is seen in CloudWatch alone.",
        )
    return Finding("ok", f"Alarms reach {heard} confirmed subscription{'s' if heard > 1 else ''}")


def dead_letters(waiting: Mapping[str, int | None]) -> Iterator[Finding]:
    """`waiting`: messages by queue, about; None where there is no such queue."""
    for queue, count in waiting.items():
        if count is None:
            yield Finding(
                "problem",
                f"{queue} is gone.",
                "Deploy the stack anew.",
                "What is given up from now on is lost.",
            )
        elif count:
            yield Finding(
                "problem",
                f"{queue} holds {count:,}.",
                f"`sesmailengine dlq show {queue}` tells why; mend the cause, then redrive.",
                "Mail or reports that were given up; SQS deletes them 14 days after they were published.",
            )
    if set(waiting.values()) == {0}:
        yield Finding("ok", f"The {len(waiting)} dead-letter queues are empty")


def room_to_run(limits: Answer, reserved: Mapping[str, int | None]) -> Iterator[Finding]:
    """`limits`: AccountLimit of GetAccountSettings. `reserved`: by function; None where nothing is."""
    stopped = [name for name, count in reserved.items() if count == 0]
    for name in stopped:
        yield Finding(
            "problem",
            f"{name} may not run: its reserved concurrency is 0.",
            "Give it the stack's again: deploy anew, or aws lambda put-function-concurrency.",
            "Lambda drops an event that it could not hand over for six hours.",
        )
    free, whole = limits["UnreservedConcurrentExecutions"], limits["ConcurrentExecutions"]
    left = f"of the account's {whole:,} concurrent executions {free:,} are not reserved"
    sharing = [name for name, count in reserved.items() if count is None]
    if sharing and free < _LITTLE_ROOM:
        yield Finding(
            "note",
            f"{' and '.join(sharing)} share what is left: {left}.",
            "Ask Lambda for a higher limit (Service Quotas, L-B99A9384), then set SenderConcurrency and"
            " FeedbackConcurrency.",
            "Another function's burst makes mail wait.",
        )
    elif not stopped:
        own = ", ".join(f"{count} for {name}" for name, count in reserved.items() if count)
        yield Finding("ok", f"Lambda has room: {own or 'nothing is reserved'}; {left}")


def reports_of_ses(
    name: str, configuration_set: Answer, destinations: Sequence[Answer], topic: str | None
) -> Iterator[Finding]:
    """Of GetConfigurationSet and GetConfigurationSetEventDestinations. `topic`: the stack's, if known."""
    if not configuration_set.get("SendingOptions", {}).get("SendingEnabled", True):
        yield Finding(
            "problem",
            f"Sending is switched off for the configuration set {name}.",
            "aws sesv2 put-configuration-set-sending-options --sending-enabled"
            f" --configuration-set-name {name}",
            "SES refuses every email.",
        )
    reported = {
        event
        for each in destinations
        if each.get("Enabled") and topic in {None, each.get("SnsDestination", {}).get("TopicArn")}
        for event in each.get("MatchingEventTypes", ())
    }
    missing = sorted(_REPORTS - reported)
    if missing:
        yield Finding(
            "problem",
            f"SES does not report {', '.join(missing)} to the stack ({name}).",
            "Deploy the stack anew: its event destination was changed.",
            "Emails stay in the status they have, and bounces suppress nobody.",
        )
    else:
        yield Finding("ok", f"SES reports all that becomes of an email ({name})")


def is_security_mail(template: str) -> bool:
    """By a template's name: whether it opens or guards an account."""
    return _SECURITY.search(template) is not None


def tracking(destinations: Sequence[Answer], security_mail: Mapping[str, str]) -> Iterator[Finding]:
    """`security_mail`: the HTML of each such template. Links marked `ses:no-track` are left alone by SES."""
    events = {
        event for each in destinations if each.get("Enabled") for event in each.get("MatchingEventTypes", ())
    }
    rewritten = sorted(name for name, html in security_mail.items() if _has_tracked_link(html))
    if "CLICK" in events and rewritten:
        yield Finding(
            "note",
            f"SES rewrites links of {', '.join(rewritten)}.",
            "Mark the links with ses:no-track, or set TrackClicks=false.",
            "A link that opens an account goes through SES's servers, and looks like phishing.",
        )
    if "OPEN" in events and security_mail:
        yield Finding(
            "note",
            f"SES puts an invisible picture into {', '.join(sorted(security_mail))}.",
            "Set TrackOpens=false if nobody looks at opens.",
            "It tells when security mail is read, which some laws ask consent for.",
        )
    if not events & {"CLICK", "OPEN"}:
        yield Finding("ok", "SES tracks neither opens nor clicks")


def _has_tracked_link(html: str) -> bool:
    return any(_NO_TRACK.search(link) is None for link in _LINK.findall(html))
