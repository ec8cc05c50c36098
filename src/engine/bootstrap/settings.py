"""Settings: the environment, read once, checked as a whole, frozen."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from engine.requests.addresses import BadAddress
from engine.schemas.request import Lane
from engine.sending.sender import SenderPolicy, holds_control
from engine.sending.streams import Stream
from engine.tracking.bounce_quota import QuotaPolicy

# Each with what a person is told that the variable must be.
Text = Annotated[str, Meta(min_length=1)]
# Empty, as every variable that is not set, where there is no such queue.
QueueUrlOrNone = Annotated[
    str, Meta(pattern="^(https?://|$)", description="a queue URL starting with https://")
]
QueueUrl = Annotated[str, Meta(pattern="^https?://", description="a queue URL starting with https://")]
TopicArn = Annotated[str, Meta(pattern="^(arn:|$)", description="the ARN of an SNS topic")]
Levels = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
BounceRateAction = Literal["fail", "hold-bulk"]
LogLevel = Annotated[Levels, Meta(description="one of DEBUG, INFO, WARNING, ERROR, CRITICAL")]


class SettingsError(Exception):
    """The environment is wrong; the message lists every variable that must be mended."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "the function's environment is wrong: "
            + "; ".join(problems)
            + ". Set these variables on the function (the stack does) and invoke it again."
        )
        self.problems = tuple(problems)


class _Common(Struct, frozen=True, kw_only=True, rename=str.upper):
    """What every function needs to know. A field without a default must be set."""

    suppression_table: Text
    event_bus_name: Text
    environment: Text = "prod"
    log_level: LogLevel = "INFO"


class _Settings(_Common, frozen=True, kw_only=True, rename=str.upper):
    """What both functions that work on email need to know."""

    tracking_table: Text
    state_table: Text
    retry_queue_url: QueueUrl


class SenderSettings(_Settings, frozen=True, kw_only=True, rename=str.upper):
    """What the email sender needs to know. Seconds unless said otherwise."""

    template_bucket: Text
    ses_configuration_set: Text
    bulk_configuration_set: str = ""
    unsubscribe_url: Annotated[
        str, Meta(pattern="^(https?://|$)", description="the URL of the unsubscribe page")
    ] = ""
    unsubscribe_secret_arn: str = ""
    tenant_name: str = ""
    bulk_tenant_name: str = ""
    default_sender_email: Text
    default_sender_name: str = ""
    allowed_senders: str = ""
    bounce_rate_threshold: Annotated[float, Meta(ge=0, le=100, description="a percentage from 0 to 100")] = (
        5.0
    )
    bounce_rate_min_sends: Annotated[
        int, Meta(ge=0, description="a whole number of recipients, 0 or more")
    ] = 100
    bounce_rate_action: Annotated[BounceRateAction, Meta(description="fail or hold-bulk")] = "fail"
    parked_queue_url: QueueUrlOrNone = ""
    # Queues keep mail for 14 days: what comes back from them must still be known.
    data_retention_days: Annotated[
        int, Meta(ge=15, le=3650, description="a whole number of days from 15 to 3650")
    ] = 90
    ses_max_send_rate: Annotated[
        float, Meta(ge=0, lt=1e6, description="recipients a second, 0 or more (0 asks SES)")
    ] = 0.0
    bulk_share: Annotated[float, Meta(ge=0.1, le=1, description="a part of the rate from 0.1 to 1")] = 0.8
    template_cache_seconds: Annotated[float, Meta(ge=0, le=86400, description="seconds from 0 to 86400")] = (
        300.0
    )
    reconcile_seconds: Annotated[float, Meta(ge=0, le=43200, description="seconds from 0 to 43200")] = 300.0
    bulk_call_size: Annotated[int, Meta(ge=1, le=50, description="a whole number of emails from 1 to 50")] = (
        50
    )

    @property
    def quota(self) -> QuotaPolicy:
        holds_bulk = self.bounce_rate_action == "hold-bulk"
        return QuotaPolicy(self.bounce_rate_threshold, self.bounce_rate_min_sends, holds_bulk)

    @property
    def streams(self) -> dict[Lane, Stream]:
        """By which configuration set and tenant each lane leaves; one for both unless bulk has its own."""
        transactional = Stream(self.ses_configuration_set, self.tenant_name)
        if not self.bulk_configuration_set:
            return dict.fromkeys(Lane, transactional)
        bulk = Stream(self.bulk_configuration_set, self.bulk_tenant_name)
        return {Lane.TRANSACTIONAL: transactional, Lane.BULK: bulk}

    @property
    def sender(self) -> SenderPolicy:
        """The default sender and who else may send. Raises BadAddress."""
        allowed = tuple(self.allowed_senders.split(","))
        return SenderPolicy.of(self.default_sender_email, self.default_sender_name, allowed)


class FeedbackSettings(_Settings, frozen=True, kw_only=True, rename=str.upper):
    """What the feedback processor needs to know. Without a topic any topic may report."""

    soft_bounce_retry_seconds: Annotated[
        int, Meta(ge=0, le=900, description="whole seconds from 0 to 900 (the longest delay of SQS)")
    ] = 900
    ses_feedback_topic_arn: TopicArn = ""


class UnsubscribeSettings(_Common, frozen=True, kw_only=True, rename=str.upper):
    """What the unsubscribe page needs to know. `unsubscribe_topics`: topics and their names, `news=News`."""

    unsubscribe_secret_arn: Text
    unsubscribe_topics: Annotated[
        str,
        Meta(
            pattern="^([a-z0-9-]{1,64}=[^,=]{1,80}(,|$))*$",
            description="topics with their names, such as news=Newsletter,offers=Offers",
        ),
    ] = ""

    @property
    def topics(self) -> dict[str, str]:
        return named_topics(self.unsubscribe_topics)


def named_topics(listed: str) -> dict[str, str]:
    """The names by topic, of text such as `news=Newsletter,offers=Offers`."""
    pairs = (pair.partition("=") for pair in listed.split(",") if pair)
    return {topic: name for topic, _, name in pairs}


S = TypeVar("S", SenderSettings, FeedbackSettings, UnsubscribeSettings)


def read_settings(kind: type[S], environ: Mapping[str, str]) -> S:
    """Raises SettingsError, which lists every missing or malformed variable. An empty one is not set."""
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    if "LOG_LEVEL" in given:
        given["LOG_LEVEL"] = given["LOG_LEVEL"].upper()
    values: dict[str, object] = {}
    problems = []
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in given:
            problems += [f"{name} is missing"] if field.required else []
            continue
        try:
            value = values[field.name] = msgspec.convert(given[name], field.type, strict=False)
            fits = value == value  # noqa: PLR0124 - NaN passes msgspec's bounds, and equals nothing
        except msgspec.ValidationError:
            fits = False
        if not fits:
            info = msgspec.inspect.type_info(field.type)
            expected = info.extra_json_schema if isinstance(info, msgspec.inspect.Metadata) else None
            problems.append(f"{name} must be {(expected or {}).get('description')}, not {given[name]!r}")
    if kind is SenderSettings:
        problems += _sender_problems(given)
    if problems:
        raise SettingsError(problems)
    return kind(**values)  # type: ignore[arg-type] # each was converted to its field's type


def _sender_problems(given: Mapping[str, str]) -> list[str]:
    problems = []
    if holds_control(given.get("DEFAULT_SENDER_NAME", "")):
        problems.append("DEFAULT_SENDER_NAME must hold no line break or other control character")
    try:
        SenderPolicy.of(given.get("DEFAULT_SENDER_EMAIL", "unset@example.com"), "")
    except BadAddress as error:
        problems.append(f"DEFAULT_SENDER_EMAIL must be an email address: {error}")
    try:
        SenderPolicy.of("unset@example.com", "", tuple(given.get("ALLOWED_SENDERS", "").split(",")))
    except BadAddress as error:
        problems.append(f"ALLOWED_SENDERS must be addresses and domains, split by commas: {error}")
    return problems
