"""The log and the metrics: facts with ids and codes, never an address or template data.

Each `record(...)` of the pipelines is a log line; those in `METRICS` are counted in CloudWatch as well
(Embedded Metric Format, written to the log, so that no call is made for them). The stack's alarms and its
dashboard take the metrics' names and dimensions from here.
"""

import os
from collections import Counter
from typing import Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

SERVICE: Final = "sesmailengine"

METRICS: Final = {
    "email-settled": "EmailsSettled",
    "email-deferred": "EmailsDeferred",
    "duplicate": "DuplicatesAnswered",
    "retry-needless": "RetriesNeedless",
    "outcome-unknown": "OutcomesUnknown",
    "ses-throttled": "SesThrottles",
    "ses-paused": "SesPaused",
    "ses-answer-unexpected": "SesAnswersUnexpected",
    "ses-configuration-wrong": "SesConfigurationErrors",
    "service-unavailable": "ServicesUnavailable",
    "record-unreadable": "RecordsUnreadable",
    "publish-failed": "PublishFailures",
    "feedback-failed": "FeedbackFailures",
    "retry-impossible": "RetriesImpossible",
    "bulk-calls-refused": "BulkCallsRefused",
    "bulk-held": "BulkHolds",
}
# Emails that wait, by why, besides the metric of all: some reasons wake a person and others do not.
DEFERRED_METRICS: Final = {
    reason: f"EmailsDeferred{reason.title().replace('-', '')}"
    for reason in (
        *("throttled", "paused", "claimed-elsewhere", "outcome-unknown"),
        *("service-unavailable", "out-of-time", "batch-too-large", "stopped"),
    )
}
# A fact of several emails at once says of how many in its field `emails`.
# Facts about one email are counted by the status that it reached, once each: a repetition is not counted.
REACHED: Final = frozenset({"email-settled", "status-reached"})
STATUS_METRICS: Final = {
    "sent": "EmailsSent",
    "soft_bounced": "EmailsSoftBounced",
    "delivered": "EmailsDelivered",
    "opened": "EmailsOpened",
    "failed": "EmailsFailed",
    "bounced": "EmailsBounced",
    "complained": "EmailsComplained",
}
# Facts that carry a number worth a curve: the metric, and the field that holds it.
GAUGES: Final = {"send-rate-told": ("SesSendRate", "rate")}
# From the logger's frame to that of whoever calls `record`: a line's location is where the fact arose.
_CALLER: Final = 3

# Worth a person's eye even at LOG_LEVEL=WARNING.
WARNINGS: Final = frozenset(
    {"outcome-unknown", "ses-throttled", "service-unavailable", "publish-failed", "record-lost"}
    | {"count-lost", "extend-visibility-failed", "foreign-topic", "retry-impossible"}
    | {"address-unusable", "ses-event-unknown", "bulk-calls-refused", "bulk-held"}
)
ERRORS: Final = frozenset(
    {"bug", "ses-paused", "ses-answer-unexpected", "ses-configuration-wrong"}
    | {"record-unreadable", "feedback-failed"}
)


class PowertoolsTelemetry:
    """Implements `Telemetry` with Powertools' structured logger and metrics.

    Metrics go under the deployed function's name, so that two stacks of one account stay apart.
    """

    def __init__(self, function: str, environment: str, log_level: str) -> None:
        self.logger = Logger(service=SERVICE, level=log_level)
        self.logger.setLevel(log_level)  # a logger that was there before keeps its level otherwise
        self.logger.append_keys(function=function, environment=environment)
        deployed = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", function)
        self.metrics = Metrics(namespace=SERVICE, service=deployed)
        # `service` is Powertools' own dimension.
        self.metrics.set_default_dimensions(environment=environment)
        self._counts: Counter[str] = Counter()

    def record(self, name: str, **fields: str | float) -> None:
        if name in ERRORS:
            self.logger.error(name, extra=fields, stacklevel=_CALLER)
        elif name in WARNINGS:
            self.logger.warning(name, extra=fields, stacklevel=_CALLER)
        else:
            self.logger.info(name, extra=fields, stacklevel=_CALLER)
        if name in METRICS:
            self._counts[METRICS[name]] += int(fields.get("emails", 1))
        if name == "email-deferred" and (metric := DEFERRED_METRICS.get(str(fields.get("reason")))):
            self._counts[metric] += int(fields.get("emails", 1))
        status = str(fields.get("status", ""))
        if name in REACHED and status in STATUS_METRICS and fields.get("previous") != status:
            self._counts[STATUS_METRICS[status]] += 1
        if name in GAUGES:
            metric, field = GAUGES[name]
            self.metrics.add_metric(metric, MetricUnit.CountPerSecond, float(fields[field]))

    def flush(self) -> None:
        """Write the metrics of an invocation, each count as one number; nothing where there are none."""
        for metric, count in self._counts.items():
            self.metrics.add_metric(metric, MetricUnit.Count, count)
        self._counts.clear()
        if self.metrics.metric_set:
            self.metrics.flush_metrics()
