"""Settings: the environment, read once, checked as a whole, frozen."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from msgspec import Struct

from engine.requests.addresses import BadAddress
from engine.sending.sender import SenderPolicy, holds_control

T = TypeVar("T")


class SettingsError(Exception):
    """The environment is wrong; the message lists every variable that must be mended."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "the function's environment is wrong: "
            + "; ".join(problems)
            + ". Set these variables on the function (the stack does) and invoke it again."
        )
        self.problems = tuple(problems)


class SenderSettings(Struct, frozen=True, kw_only=True):
    """What the email sender needs to know. Seconds unless said otherwise."""

    tracking_table: str
    suppression_table: str
    state_table: str
    template_bucket: str
    retry_queue_url: str
    event_bus_name: str
    ses_configuration_set: str
    sender: SenderPolicy
    bounce_rate_threshold: float  # percent
    bounce_rate_min_sends: int  # recipients
    data_retention_days: int
    ses_max_send_rate: float  # recipients a second; 0 asks SES
    bulk_share: float  # of the rate, at most, while transactional mail waits
    template_cache_seconds: float
    reconcile_seconds: float
    bulk_call_size: int  # emails that one SendBulkEmail may carry; 1 sends each by SendEmail
    environment: str
    log_level: str


class FeedbackSettings(Struct, frozen=True, kw_only=True):
    """What the feedback processor needs to know. Seconds unless said otherwise."""

    tracking_table: str
    suppression_table: str
    state_table: str
    retry_queue_url: str
    event_bus_name: str
    soft_bounce_retry_seconds: int
    feedback_topic_arn: str  # empty where any topic may report
    environment: str
    log_level: str


class _Reader:
    """Reads variables and gathers problems, so that one error can list them all."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def required(self, name: str) -> str:
        value = self._environ.get(name, "").strip()
        if not value:
            self.problems.append(f"{name} is missing")
        return value

    def optional(self, name: str, default: str = "") -> str:
        return self._environ.get(name, "").strip() or default

    def number(
        self, name: str, default: T, parse: Callable[[str], T], fits: Callable[[T], bool], expected: str
    ) -> T:
        text = self.optional(name)
        if not text:
            return default
        try:
            value = parse(text)
            fitting = fits(value)
        except ValueError:
            fitting = False
        if fitting:
            return value
        self.problems.append(f"{name} must be {expected}, not {text!r}")
        return default

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.optional(name, default).upper()
        if value not in choices:
            self.problems.append(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return value

    def sender(self) -> SenderPolicy:
        """The default sender and who else may send."""
        email = self.required("DEFAULT_SENDER_EMAIL")
        name = self.optional("DEFAULT_SENDER_NAME")
        if holds_control(name):
            self.problems.append("DEFAULT_SENDER_NAME must hold no line break or other control character")
        listed = tuple(self.optional("ALLOWED_SENDERS").split(","))
        try:
            SenderPolicy.of(email or "unset@example.com", name)
        except BadAddress as error:
            self.problems.append(f"DEFAULT_SENDER_EMAIL must be an email address: {error}")
            email = ""
        try:
            return SenderPolicy.of(email or "unset@example.com", name, listed)
        except BadAddress as error:
            self.problems.append(f"ALLOWED_SENDERS must be addresses and domains, split by commas: {error}")
            return SenderPolicy(email, name)

    def url(self, name: str) -> str:
        value = self.required(name)
        if value and not value.startswith(("https://", "http://")):
            self.problems.append(f"{name} must be a queue URL starting with https://, not {value!r}")
        return value

    def topic(self, name: str) -> str:
        value = self.optional(name)
        if value and not value.startswith("arn:"):
            self.problems.append(f"{name} must be the ARN of an SNS topic, not {value!r}")
        return value

    def finish(self) -> None:
        if self.problems:
            raise SettingsError(self.problems)


_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def sender_settings(environ: Mapping[str, str]) -> SenderSettings:
    """Raises SettingsError, which lists every missing or malformed variable."""
    read = _Reader(environ)
    settings = SenderSettings(
        tracking_table=read.required("TRACKING_TABLE"),
        suppression_table=read.required("SUPPRESSION_TABLE"),
        state_table=read.required("STATE_TABLE"),
        template_bucket=read.required("TEMPLATE_BUCKET"),
        retry_queue_url=read.url("RETRY_QUEUE_URL"),
        event_bus_name=read.required("EVENT_BUS_NAME"),
        ses_configuration_set=read.required("SES_CONFIGURATION_SET"),
        sender=read.sender(),
        bounce_rate_threshold=read.number(
            "BOUNCE_RATE_THRESHOLD", 5.0, float, lambda v: 0 <= v <= 100, "a percentage from 0 to 100"
        ),
        bounce_rate_min_sends=read.number(
            "BOUNCE_RATE_MIN_SENDS", 100, int, lambda v: v >= 0, "a whole number of recipients, 0 or more"
        ),
        data_retention_days=read.number(
            # Queues keep mail for 14 days: what comes back from them must still be known.
            "DATA_RETENTION_DAYS",
            90,
            int,
            lambda v: 15 <= v <= 3650,
            "a whole number of days from 15 to 3650",
        ),
        ses_max_send_rate=read.number(
            "SES_MAX_SEND_RATE",
            0.0,
            float,
            lambda v: 0 <= v < 1e6,
            "recipients a second, 0 or more (0 asks SES)",
        ),
        bulk_share=read.number(
            "BULK_SHARE", 0.8, float, lambda v: 0.1 <= v <= 1, "a part of the rate from 0.1 to 1"
        ),
        template_cache_seconds=read.number(
            "TEMPLATE_CACHE_SECONDS", 300.0, float, lambda v: 0 <= v <= 86400, "seconds from 0 to 86400"
        ),
        reconcile_seconds=read.number(
            "RECONCILE_SECONDS", 300.0, float, lambda v: 0 <= v <= 43200, "seconds from 0 to 43200"
        ),
        bulk_call_size=read.number(
            "BULK_CALL_SIZE", 50, int, lambda v: 1 <= v <= 50, "a whole number of emails from 1 to 50"
        ),
        environment=read.optional("ENVIRONMENT", "prod"),
        log_level=read.choice("LOG_LEVEL", "INFO", _LOG_LEVELS),
    )
    read.finish()
    return settings


def feedback_settings(environ: Mapping[str, str]) -> FeedbackSettings:
    """Raises SettingsError, which lists every missing or malformed variable."""
    read = _Reader(environ)
    settings = FeedbackSettings(
        tracking_table=read.required("TRACKING_TABLE"),
        suppression_table=read.required("SUPPRESSION_TABLE"),
        state_table=read.required("STATE_TABLE"),
        retry_queue_url=read.url("RETRY_QUEUE_URL"),
        event_bus_name=read.required("EVENT_BUS_NAME"),
        soft_bounce_retry_seconds=read.number(
            "SOFT_BOUNCE_RETRY_SECONDS",
            900,
            int,
            lambda v: 0 <= v <= 900,
            "whole seconds from 0 to 900 (the longest delay of SQS)",
        ),
        feedback_topic_arn=read.topic("SES_FEEDBACK_TOPIC_ARN"),
        environment=read.optional("ENVIRONMENT", "prod"),
        log_level=read.choice("LOG_LEVEL", "INFO", _LOG_LEVELS),
    )
    read.finish()
    return settings
