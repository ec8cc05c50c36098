"""How much lies in the stack's queues."""

from collections.abc import Iterable
from typing import Final

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.error_codes import is_code
from engine.concurrency import concurrently
from engine.operations.stack import DeployedStack

BULK: Final = "BulkEmailQueue"
RETRY: Final = "EmailRetryQueue"
PARKED: Final = "ParkedEmailQueue"
LANES: Final = (BULK, RETRY, PARKED)
"""Where mail waits: for its turn, to be tried again, and under a brake."""

WEBHOOK_DLQ: Final = "WebhookDLQ"
"""Events that a webhook did not take: neither mail nor reports, and nobody can publish them again."""

NOT_POSTED_AGAIN: Final = (
    "They can't be redriven: only the engine may publish its events, and EventBridge posts only what is"
    " published. Mend the webhook, read what it missed (docs/webhooks.md#when-it-fails), then drop it."
)

DEAD_LETTER_QUEUES: Final = (
    "EventBridgeDLQ",
    "BulkEmailDLQ",
    "EmailRetryDLQ",
    "FeedbackProcessorDLQ",
    WEBHOOK_DLQ,
)

_COUNTS: Final = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}
_MISSING: Final = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


class QueueDepth(Struct, frozen=True, kw_only=True, rename="camel"):
    """Messages of a queue, as SQS approximates them. `oldest_seconds`: as CloudWatch says, if it does."""

    queue: str
    visible: int
    in_flight: int = 0
    delayed: int = 0
    oldest_seconds: float | None = None

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed


async def queue_depths(stack: DeployedStack, queues: Iterable[str]) -> list[QueueDepth]:
    """The depths of those that exist: a stack of an older version lacks some. May raise ClientError."""
    depths = await concurrently([_depth(stack, queue) for queue in queues])
    return [depth for depth in depths if depth]


async def _depth(stack: DeployedStack, queue: str) -> QueueDepth | None:
    sqs = await stack.client("sqs")
    try:
        url = await stack.queue_url(queue)
    except ClientError as error:
        if is_code(error, *_MISSING):
            return None
        raise
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS.values()))
    counts = {field: int(answer["Attributes"][name]) for field, name in _COUNTS.items()}
    return QueueDepth(queue=queue, **counts)
