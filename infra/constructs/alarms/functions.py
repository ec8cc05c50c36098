"""Alarms on functions: errors, events that wait or are dropped, and the hosted unsubscribe page."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.constructs.alarms.alarm import DOCTOR, LOG, TWICE, Alarms, AlarmText
from infra.constructs.metrics import of_function
from infra.constructs.parameters import Parameters

_DEAD_LETTERS: Final = "sesmailengine dlq --stack {stack}"

# A burst that Lambda throttles for a moment is none of this; ten minutes of errors are.
_ERRORS: Final = 50
# Few people unsubscribe in an hour, and one who can't clicks again: a blip stays below, a broken page doesn't
# for long.
_PAGE_ERRORS: Final = 3
# Mail scanners open the links of a campaign all at once. Whoever is turned away is told to come back later.
_PAGE_THROTTLES: Final = 10
_EVENT_AGE: Final = Duration.minutes(15)


def watch_function(alarms: Alarms, name: str, function: str) -> list[cloudwatch.Alarm]:
    """`name`: without the stack's, as in the alarm's name."""
    errors = alarms.above(
        f"{name}-Errors",
        _ERRORS,
        of_function(function, "Errors"),
        AlarmText(
            look="Invocations have failed for ten minutes: look into the function's log.",
            command=LOG.format(function=name),
            page="functions",
        ),
        times=TWICE,
    )
    dropped = alarms.above(
        f"{name}-EventsDropped",
        0,
        of_function(function, "AsyncEventsDropped"),
        AlarmText(
            look="Lambda gave up events: look into the function's dead-letter queue, which has them.",
            command=_DEAD_LETTERS,
            page="functions",
        ),
    )
    age = alarms.above(
        f"{name}-EventAge",
        _EVENT_AGE.to_milliseconds(),
        of_function(function, "AsyncEventAge", statistic="Maximum"),
        AlarmText(
            look="Events wait a quarter of an hour for the function: look whether it fails, is throttled,"
            " or reserves too little concurrency.",
            command=DOCTOR,
            page="functions",
        ),
    )
    return [errors, dropped, age]


def watch_signed_webhooks(alarms: Alarms, function: str, parameters: Parameters) -> None:
    parameters.make_only_if("signed_webhooks", *watch_function(alarms, "Webhook", function))


def watch_page(alarms: Alarms, function: str, parameters: Parameters) -> None:
    """The hosted unsubscribe page: what people and mail programs get, not what Lambda calls an error.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html
    """
    failed = of_function(function, "Url5xxCount").with_(period=Duration.hours(1))
    log = LOG.format(function="Unsubscribe")
    errors = alarms.above(
        "Unsubscribe-Errors",
        _PAGE_ERRORS,
        failed,
        AlarmText(
            look="People can't unsubscribe, and mark mail as spam instead: look into the page's log, and"
            " at its role, secret and table.",
            command=log,
            page="functions",
        ),
    )
    throttles = alarms.above(
        "Unsubscribe-Throttles",
        _PAGE_THROTTLES,
        of_function(function, "Throttles"),
        AlarmText(
            look="The unsubscribe page turns requests away: look how many come in its metrics, and raise"
            " UnsubscribeConcurrency.",
            command=log,
            page="functions",
        ),
        times=TWICE,
    )
    parameters.make_only_if("hosted_unsubscribe", errors, throttles)
