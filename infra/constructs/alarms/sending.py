"""Alarms on what EmailSender counts: what SES answers, and why mail is deferred."""

from dataclasses import dataclass
from typing import Final

from engine.telemetry import DEFERRED_METRICS, METRICS
from infra.constructs.alarms.alarm import DOCTOR, ONCE, STATUS, TWICE, Alarms, AlarmText
from infra.constructs.metrics import EngineMetrics

# Emails that are claimed and have no outcome yet.
_UNSETTLED: Final = "sesmailengine find --status sending --since 2h --stack {stack}"
# One blip of a service is nobody's business, and what is deferred comes back ever more rarely: so a quarter
# of an hour, not of a row.
_REPEATEDLY: Final = (3, 12)


@dataclass(frozen=True, kw_only=True)
class _Counted(AlarmText):
    """More than `above` of a metric in five minutes, so many `times`."""

    metric: str
    above: int = 0
    times: tuple[int, int] = ONCE


_SENDING: Final = {
    "SES-Paused": _Counted(
        metric=METRICS["ses-paused"],
        look="SES does not let the account send: look into its console, which says why. Mail is deferred,"
        " and what is never received is deleted 14 days after it was published.",
        command=STATUS,
        page="paused-by-ses",
    ),
    "SES-Throttles": _Counted(
        metric=METRICS["ses-throttled"],
        above=50,
        times=TWICE,
        look="SES throttles sends: look for another system that uses the account's rate.",
        command=STATUS,
        page="ses",
    ),
    "SES-UnknownOutcomes": _Counted(
        metric=METRICS["outcome-unknown"],
        above=10,
        times=TWICE,
        look="Sends end without an answer: look at AWS Health for SES. SES's own reports settle each.",
        command=_UNSETTLED,
        page="ses",
    ),
    "SES-Configuration": _Counted(
        metric=METRICS["ses-configuration-wrong"],
        look="SES refuses sends for how the account is set up: look at identity, MAIL FROM domain and"
        " configuration set.",
        command=DOCTOR,
        page="ses",
    ),
    "SES-UnexpectedAnswers": _Counted(
        metric=METRICS["ses-answer-unexpected"],
        look="SES answers with a code that the engine lacks: look for ses-answer-unexpected in"
        " EmailSender's log. Mail is deferred.",
        page="ses",
    ),
    "SES-BulkCallsRefused": _Counted(
        metric=METRICS["bulk-calls-refused"],
        look="SendBulkEmail is denied, so bulk mail goes one by one, more slowly: look at EmailSender's"
        " role and at policies of the organization.",
        page="ses",
    ),
    "Bulk-Held": _Counted(
        metric=METRICS["bulk-held"],
        look="The day's bounce rate went over BounceRateThreshold, so the bulk lane is stopped and its"
        " mail parked: look for what makes addresses bounce, then let it go by"
        " `sesmailengine go --bulk`.",
        command=STATUS,
        page="stopped-mail",
    ),
    "Services-Unavailable": _Counted(
        metric=METRICS["service-unavailable"],
        times=_REPEATEDLY,
        look="A service that the engine needs does not answer: look for service-unavailable in"
        " EmailSender's log, which names it, then at the role, quotas and AWS Health. No invocation"
        " fails of this.",
        page="mail-that-waits",
    ),
    # Why emails are deferred, but for one reason: that time ran out is no trouble, all campaigns' batches do.
    "Deferred-Paused": _Counted(
        metric=DEFERRED_METRICS["paused"],
        times=_REPEATEDLY,
        look="Emails are deferred because SES does not let the account send: look into its console, which"
        " says why.",
        command=STATUS,
        page="paused-by-ses",
    ),
    "Deferred-ServiceUnavailable": _Counted(
        metric=DEFERRED_METRICS["service-unavailable"],
        times=_REPEATEDLY,
        look="Emails are deferred because a table, the bucket, a queue or the secret of unsubscribe links"
        " can't be used: look for service-unavailable in EmailSender's log, which names it.",
        page="mail-that-waits",
    ),
    "Deferred-OutcomeUnknown": _Counted(
        metric=DEFERRED_METRICS["outcome-unknown"],
        above=10,
        times=_REPEATEDLY,
        look="Emails are deferred because nobody knows yet whether SES took them: look whether its"
        " reports arrive, in FeedbackProcessor's log and errors.",
        command=_UNSETTLED,
        page="mail-that-waits",
    ),
    "Deferred-Throttled": _Counted(
        metric=DEFERRED_METRICS["throttled"],
        above=100,
        times=_REPEATEDLY,
        look="Emails are deferred because SES throttles: look for another system that uses the rate.",
        command=STATUS,
        page="mail-that-waits",
    ),
    "Deferred-ClaimedElsewhere": _Counted(
        metric=DEFERRED_METRICS["claimed-elsewhere"],
        above=100,
        times=_REPEATEDLY,
        look="Emails are deferred because they arrive again while they are worked on: look for a"
        " publisher that repeats itself.",
        page="mail-that-waits",
    ),
}


def watch_sending(alarms: Alarms, sender: EngineMetrics) -> None:
    for name, counted in _SENDING.items():
        alarms.above(name, counted.above, sender.count(counted.metric), counted, times=counted.times)
