"""What a deployment may choose. Each setting is a CDK context key and a CloudFormation parameter.

Context is read and checked here, before anything is synthesized. What context leaves open becomes a parameter
of the template (`infra.constructs.parameters`), with the same limits and the defaults below.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self

from engine.requests.addresses import BadAddress, normalised
from engine.sending.sender import SenderPolicy, holds_control
from infra.spec import (
    ADDRESS,
    ADDRESS_OR_NONE,
    DOMAIN_OR_NONE,
    ONE_LINE,
    POOL_OR_NONE,
    REASONS_OR_NONE,
    SENDERS,
    SWITCH,
    TOPICS,
    Spec,
    choice,
    number,
    text,
)

EnvironmentName = Literal["dev", "staging", "prod"]
Target = Literal["lambda", "local"]

EMAIL, LIMITS, TRACKING, FUNCTIONS, OPERATION = "Email", "Limits", "Tracking", "Functions", "Operation"
CONSENT = "Consent"
STREAMS = "Streams"

# A bucket carries the stack's name in front of "-templates-" and twelve digits, and S3 allows 63 characters.
_STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")

# The sender's time-outs that the template offers: a queue waits six times as long, and CloudFormation can't
# multiply. Context takes any.
TIMEOUTS: Final = (15, 30, 45, 60, 90, 120, 180, 300, 600, 900)
# CloudWatch Logs keeps logs for these days and no others:
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_LOG_DAYS: Final = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653)
# Lambda keeps so many of an account's concurrent executions unreserved:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
UNRESERVED: Final = 100

_CONCURRENCY = "0 (nothing is reserved) to 10000"


class StackSettingsError(ValueError):
    """One or more context values can't be used; the message names each, and what was expected instead."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The deployment's settings can't be used:\n" + "\n".join(f"  - {p}" for p in problems)
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Every field is a CDK context key in camelCase: `cdk deploy -c defaultSenderEmail=you@example.com`.

    `pinned` names the fields that context gave: these are written into the template as they are.
    """

    stack_name: str = "sesmailengine"
    # Which machine the dependencies are for: Lambda (arm64, python3.13) or the one that runs the emulator.
    target: Target = "lambda"
    pinned: frozenset[str] = frozenset()

    default_sender_email: str = text(
        "", EMAIL, "Address that sends where neither the event nor the template names one; verified in SES.",
        "an address such as no-reply@example.com, its domain in lower case",
        pattern=ADDRESS, longest=254, required=True,
    )  # fmt: skip
    default_sender_name: str = text(
        "", EMAIL, "Name beside that address. Empty: none.", "up to 128 characters on one line",
        pattern=ONE_LINE, longest=128,
    )  # fmt: skip
    allowed_senders: str = text(
        "", EMAIL,
        "Addresses and domains that may send, split by commas, without spaces. Empty: the domain of"
        " DefaultSenderEmail.",
        "addresses and domains split by commas, in lower case and without spaces",
        pattern=SENDERS, longest=1536,  # the sender's role holds all of them, and a role 10,240 characters
    )  # fmt: skip
    admin_email: str = text(
        "", EMAIL, "Address that alarms go to; it must confirm the subscription once. Empty: nobody.",
        "empty or an address such as ops@example.com", pattern=ADDRESS_OR_NONE, longest=254,
    )  # fmt: skip

    bounce_rate_threshold: float = number(
        5.0, LIMITS, "Percent of a day's recipients that may bounce hard before sending stops.",
        "a percentage from 0.1 to 100", 0.1, 100,
    )  # fmt: skip
    bounce_rate_min_sends: int = number(
        100, LIMITS, "Recipients in a day from which on that percentage counts.", "1 to 1000000", 1, 1_000_000
    )
    bounce_rate_action: str = choice(
        "fail", LIMITS,
        "What happens above that percentage: fail refuses all mail; hold-bulk stops the bulk lane, whose mail"
        " waits until you let it go, and transactional mail goes on.",
        ("fail", "hold-bulk"),
    )  # fmt: skip
    ses_max_send_rate: float = number(
        0.0, LIMITS, "Recipients a second. 0: what SES allows the account, asked every five minutes.",
        "0 (ask SES) to 100000", 0, 100_000,
    )  # fmt: skip
    bulk_share: float = number(
        0.8, LIMITS, "Part of that rate that the bulk lane may take while transactional mail waits.",
        "a part from 0.1 to 1", 0.1, 1,
    )  # fmt: skip
    bulk_call_size: int = number(
        50, LIMITS, "Emails of the bulk lane in one call to SES. 1: each has its own.", "1 to 50", 1, 50
    )
    # A message lives 14 days, and a redelivery of an email that its row no longer tells of sends it again.
    data_retention_days: int = number(
        90, LIMITS, "Days until a row of EmailTracking expires.", "15 to 3650 days", 15, 3650
    )
    template_cache_seconds: int = number(
        300, LIMITS, "Seconds until a changed template is noticed.", "0 to 86400 seconds", 0, 86_400
    )

    sender_memory: int = number(
        512, FUNCTIONS, "Memory of EmailSender in MB; its share of a CPU grows with it.",
        "128 to 10240 MB", 128, 10_240,
    )  # fmt: skip
    sender_timeout: int = number(
        30, FUNCTIONS, "Time-out of EmailSender in seconds; its queues' visibility is six times that.",
        "10 to 900 seconds", 10, 900, parameter_choices=TIMEOUTS,
    )  # fmt: skip
    sender_concurrency: int = number(
        14, FUNCTIONS,
        "Reserved concurrency of EmailSender: more than BulkConcurrency and RetryConcurrency together."
        " 0: nothing is reserved, for accounts with a small limit.",
        _CONCURRENCY, 0, 10_000,
    )  # fmt: skip
    bulk_concurrency: int = number(
        8, FUNCTIONS, "Of these, at most so many for the bulk queue.", "2 to 1000", 2, 1000
    )
    retry_concurrency: int = number(
        2, FUNCTIONS, "Of these, at most so many for the retry queue.", "2 to 1000", 2, 1000
    )
    bulk_batch_size: int = number(
        50, FUNCTIONS, "Emails of the bulk queue in one invocation.", "1 to 10000", 1, 10_000
    )
    feedback_memory: int = number(
        256, FUNCTIONS, "Memory of FeedbackProcessor in MB.", "128 to 10240 MB", 128, 10_240
    )
    feedback_timeout: int = number(
        15, FUNCTIONS, "Time-out of FeedbackProcessor in seconds.", "3 to 900 seconds", 3, 900
    )
    feedback_concurrency: int = number(
        100, FUNCTIONS, "Reserved concurrency of FeedbackProcessor. 0: nothing is reserved.",
        _CONCURRENCY, 0, 10_000,
    )  # fmt: skip

    track_opens: str = choice(
        "true", TRACKING,
        "Whether SES puts an invisible picture into each email and reports when it is loaded.", SWITCH,
    )  # fmt: skip
    track_clicks: str = choice(
        "false", TRACKING,
        "Whether SES sends every link through its own servers, password resets too, and reports clicks.",
        SWITCH,
    )  # fmt: skip
    tracking_domain: str = text(
        "", TRACKING,
        "Your own domain for that picture and those links, by HTTPS alone. Empty: SES's domain, which loads"
        " the picture by HTTP.",
        "empty or a domain such as click.example.com, in lower case",
        pattern=DOMAIN_OR_NONE, longest=253,
    )  # fmt: skip

    hosted_unsubscribe: str = choice(
        "false", CONSENT,
        "Whether the stack hosts a page where people unsubscribe from topics, and links every email with a"
        " topic to it. A secret costs money as long as it is kept.",
        SWITCH,
    )  # fmt: skip
    unsubscribe_topics: str = text(
        "", CONSENT,
        "Topics that the page always shows, with their names: news=Newsletter,offers=Offers. Empty: the"
        " topic of the link alone, by its own name.",
        "empty or topics with their names, such as news=Newsletter,offers=Offers",
        pattern=TOPICS, longest=2000,
    )  # fmt: skip
    unsubscribe_concurrency: int = number(
        2, CONSENT, "Reserved concurrency of the page. 0: nothing is reserved.", _CONCURRENCY, 0, 10_000
    )
    separate_streams: str = choice(
        "false", STREAMS,
        "Whether bulk mail leaves by a configuration set of its own; the other lane's mail is then never"
        " tracked.",
        SWITCH,
    )  # fmt: skip
    transactional_ip_pool: str = text(
        "", STREAMS, "Dedicated IP pool of transactional mail, or of all. Empty: SES's shared ones.",
        "empty or the name of a dedicated IP pool", pattern=POOL_OR_NONE, longest=64,
    )  # fmt: skip
    bulk_ip_pool: str = text(
        "", STREAMS, "Dedicated IP pool of bulk mail, where streams are separate.",
        "empty or the name of a dedicated IP pool", pattern=POOL_OR_NONE, longest=64,
    )  # fmt: skip
    transactional_suppression: str = text(
        "", STREAMS,
        "What puts an address on SES's own list by transactional mail, or all. Empty: as the account says.",
        "empty, BOUNCE, COMPLAINT or BOUNCE,COMPLAINT", pattern=REASONS_OR_NONE, longest=16,
    )  # fmt: skip
    bulk_suppression: str = text(
        "", STREAMS, "The same by bulk mail, where streams are separate.",
        "empty, BOUNCE, COMPLAINT or BOUNCE,COMPLAINT", pattern=REASONS_OR_NONE, longest=16,
    )  # fmt: skip
    tenant_name: str = text(
        "", STREAMS, "SES tenant of transactional mail, or of all. Empty: none.",
        "empty or the name of a tenant", pattern=POOL_OR_NONE, longest=64,
    )  # fmt: skip
    bulk_tenant_name: str = text(
        "", STREAMS, "SES tenant of bulk mail, where streams are separate. Empty: none.",
        "empty or the name of a tenant", pattern=POOL_OR_NONE, longest=64,
    )  # fmt: skip

    snap_start: str = choice(
        "true", FUNCTIONS,
        "Whether functions start from a snapshot, in a fraction of a second. Costs money as long as it is"
        " kept; some regions lack it.",
        SWITCH,
    )  # fmt: skip

    environment: EnvironmentName = choice(  # noqa: RUF009 -- it returns a dataclass field, as `text` and `number` do
        "prod", OPERATION, "Named in every log line and metric.", ("dev", "staging", "prod")
    )
    log_level: str = choice("INFO", OPERATION, "How much is logged.", ("DEBUG", "INFO", "WARNING", "ERROR"))
    log_retention_days: int = choice(30, OPERATION, "Days until a log line is deleted.", _LOG_DAYS)
    register_schemas: str = choice(
        "true", OPERATION,
        "Whether the events' schemas go into the EventBridge schema registry, which some regions lack.",
        SWITCH,
    )  # fmt: skip
    signed_webhooks: str = choice(
        "false", OPERATION,
        "Whether the stack has the function that signs what it posts to webhooks.",
        SWITCH,
    )  # fmt: skip
    webhook_concurrency: int = number(
        10, OPERATION,
        "Reserved concurrency of that function, and so the most requests at once; further events wait. 0:"
        " nothing is reserved, and a slow endpoint may use up the account's.",
        _CONCURRENCY, 0, 10_000,
    )  # fmt: skip

    @classmethod
    def specs(cls) -> dict[str, Spec]:
        """By field name, what may be chosen, in order."""
        return {field.name: field.metadata["spec"] for field in fields(cls) if "spec" in field.metadata}

    @classmethod
    def context_keys(cls) -> list[str]:
        return [context_key(name) for name in ("stack_name", "target", *cls.specs())]

    @classmethod
    def from_context(cls, context: Mapping[str, Any], account_concurrency: int | None = None) -> Self:
        """Read the camelCase keys of `context`; raise `StackSettingsError` listing everything that is wrong.

        `account_concurrency`: the account's limit of concurrent executions, where it is known.
        """
        problems: list[str] = []
        values: dict[str, Any] = {}
        for name, spec in {**_FIXED, **cls.specs()}.items():
            key = context_key(name)
            if (raw := context.get(key)) is not None:
                try:
                    values[name] = spec.read(raw)
                except ValueError as error:
                    problems.append(f"{key}: {error}, got {raw!r}")
        settings = cls(**values, pinned=frozenset(values) - _FIXED.keys())
        problems += settings.problems(account_concurrency)
        if problems:
            raise StackSettingsError(problems)
        return settings

    def problems(self, account_concurrency: int | None = None) -> Iterator[str]:
        """What no single value shows."""
        if _STACK_NAME.fullmatch(self.stack_name) is None:
            yield (
                "stackName: 2 to 40 lower-case letters, digits and hyphens, a letter first (a bucket's name"
                f" starts with it), got {self.stack_name!r}"
            )
        for name in ("default_sender_email", "admin_email"):
            if address := getattr(self, name):
                try:
                    normalised(address)
                except BadAddress as error:
                    yield f"{context_key(name)}: {error}, got {address!r}"
        if holds_control(self.default_sender_name):
            yield f"defaultSenderName: a name on one line, got {self.default_sender_name!r}"
        try:
            SenderPolicy.of("postmaster@example.com", "", tuple(self.allowed_senders.split(",")))
        except BadAddress as error:
            yield f"allowedSenders: addresses and domains split by commas: {error}"
        domain = self.specs()["tracking_domain"]
        if re.fullmatch(domain.pattern, self.tracking_domain) is None:
            yield f"trackingDomain: expected {domain.expected}, got {self.tracking_domain!r}"
        yield from self._concurrency_problems(account_concurrency)

    def _concurrency_problems(self, account: int | None) -> Iterator[str]:
        # A trigger that may use more than what is reserved is throttled, which costs its messages receives:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
        queued = self.bulk_concurrency + self.retry_concurrency
        if self.sender_concurrency and self.sender_concurrency <= queued:
            yield (
                f"senderConcurrency: more than bulkConcurrency + retryConcurrency ({queued}), so that direct"
                f" sends always find room, or 0 to reserve nothing, got {self.sender_concurrency}"
            )
        functions = ["sender", "feedback"]
        functions += ["unsubscribe"] if self.hosted_unsubscribe == "true" else []
        functions += ["webhook"] if self.signed_webhooks == "true" else []
        reserved = sum(getattr(self, f"{function}_concurrency") for function in functions)
        if account is not None and reserved and reserved + UNRESERVED > account:
            yield (
                f"{' + '.join(f'{function}Concurrency' for function in functions)}: at most"
                f" {max(account - UNRESERVED, 0)}, because this account's limit is {account} and Lambda keeps"
                f" {UNRESERVED} of it unreserved, got {reserved}; set all to 0 to reserve nothing, or have"
                " the limit raised in Service Quotas"
            )


def context_key(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def parameter_name(name: str) -> str:
    """As the context key, with a capital: `senderMemory` and `SenderMemory` are one setting."""
    return "".join(part.title() for part in name.split("_"))


_FIXED: Final = {
    "stack_name": Spec(group="", description="", expected="text", kind=str),
    "target": Spec(
        group="", description="", expected="one of lambda, local", kind=str, choices=("lambda", "local")
    ),
}
