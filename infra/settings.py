"""What a deployment may choose, read from CDK context and checked before anything is synthesized."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from email_validator import EmailNotValidError, validate_email

Environment = Literal["dev", "staging", "prod"]
Target = Literal["lambda", "local"]

# A bucket carries the stack's name in front of "-templates-" and twelve digits, and S3 allows 63 characters.
_STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")


class SettingsError(ValueError):
    """One or more context values can't be used; the message names each, and what was expected instead."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The deployment's settings can't be used:\n" + "\n".join(f"  - {p}" for p in problems)
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Every field is a CDK context key in camelCase: `cdk deploy -c defaultSenderEmail=you@example.com`."""

    stack_name: str = "sesmailengine"
    default_sender_email: str
    default_sender_name: str = ""
    # Addresses and domains, comma-separated; empty means the domain of the default sender.
    allowed_senders: str = ""
    environment: Environment = "prod"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    bounce_rate_threshold: float = 5.0
    bounce_rate_min_sends: int = 100
    data_retention_days: int = 90
    # Recipients a second; 0 asks SES for the account's rate.
    ses_max_send_rate: float = 0.0
    template_cache_seconds: int = 300

    sender_memory: int = 512
    sender_timeout: int = 30
    sender_concurrency: int = 14
    bulk_concurrency: int = 8
    retry_concurrency: int = 2
    bulk_batch_size: int = 50
    feedback_memory: int = 256
    feedback_timeout: int = 15
    feedback_concurrency: int = 100

    # Which machine the dependencies are for: Lambda (arm64, python3.13) or the one that runs the emulator.
    target: Target = "lambda"

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """Read the camelCase keys of `context`; raise `SettingsError` listing everything that is wrong."""
        problems: list[str] = []
        values: dict[str, Any] = {}
        for field in fields(cls):
            key = context_key(field.name)
            raw = context.get(key)
            if raw is None:
                if field.name == "default_sender_email":
                    problems.append(
                        f"{key}: give the address that sends by default, -c {key}=you@example.com"
                    )
                continue
            try:
                values[field.name] = _READERS.get(field.type, _choice(field.type))(raw)
            except ValueError as error:
                problems.append(f"{key}: {error}, got {raw!r}")
        if not problems:
            settings = cls(**values)
            problems = list(settings._problems())
            if not problems:
                return settings
        raise SettingsError(problems)

    def _problems(self) -> list[str]:
        problems = []

        def expect(key: str, value: object, condition: bool, expected: str) -> None:  # noqa: FBT001 -- a local shorthand, read positionally
            if not condition:
                problems.append(f"{key}: {expected}, got {value!r}")

        expect(
            "stackName",
            self.stack_name,
            _STACK_NAME.fullmatch(self.stack_name) is not None,
            "2 to 40 lower-case letters, digits and hyphens, a letter first (a bucket's name starts with it)",
        )
        try:
            validate_email(self.default_sender_email, check_deliverability=False)
        except EmailNotValidError as error:
            problems.append(f"defaultSenderEmail: {error}, got {self.default_sender_email!r}")
        expect(
            "bounceRateThreshold",
            self.bounce_rate_threshold,
            0 < self.bounce_rate_threshold <= 100,
            "a percentage above 0 and up to 100",
        )
        expect("bounceRateMinSends", self.bounce_rate_min_sends, self.bounce_rate_min_sends >= 1, "1 or more")
        expect("dataRetentionDays", self.data_retention_days, self.data_retention_days >= 1, "1 day or more")
        expect("sesMaxSendRate", self.ses_max_send_rate, self.ses_max_send_rate >= 0, "0 (ask SES) or more")
        expect(
            "templateCacheSeconds", self.template_cache_seconds, self.template_cache_seconds >= 0, "0 or more"
        )
        for name in ("sender_memory", "feedback_memory"):
            value = getattr(self, name)
            expect(context_key(name), value, 128 <= value <= 10_240, "128 to 10240 MB")
        for name in ("sender_timeout", "feedback_timeout"):
            value = getattr(self, name)
            expect(context_key(name), value, 3 <= value <= 900, "3 to 900 seconds")
        expect("feedbackConcurrency", self.feedback_concurrency, self.feedback_concurrency >= 1, "1 or more")
        # Lambda's own range for an SQS trigger; and a trigger that may use more than what is reserved is
        # throttled, which costs its messages receives:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
        for name in ("bulk_concurrency", "retry_concurrency"):
            value = getattr(self, name)
            expect(context_key(name), value, 2 <= value <= 1000, "2 to 1000")
        queued = self.bulk_concurrency + self.retry_concurrency
        expect(
            "senderConcurrency",
            self.sender_concurrency,
            self.sender_concurrency > queued,
            f"more than bulkConcurrency + retryConcurrency ({queued}), so that direct sends always find room",
        )
        expect("bulkBatchSize", self.bulk_batch_size, 1 <= self.bulk_batch_size <= 10_000, "1 to 10000")
        return problems


def context_key(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError("expected text")  # noqa: TRY004 -- from_context turns ValueError into a listed problem
    return raw


def _whole(raw: object) -> int:
    try:
        return int(str(raw))
    except ValueError:
        raise ValueError("expected a whole number") from None


def _number(raw: object) -> float:
    try:
        return float(str(raw))
    except ValueError:
        raise ValueError("expected a number") from None


def _choice(annotation: Any) -> Callable[[object], Any]:
    allowed = get_args(annotation)

    def read(raw: object) -> object:
        if raw not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return raw

    return read


_READERS: dict[Any, Callable[[object], Any]] = {str: _text, int: _whole, float: _number}
