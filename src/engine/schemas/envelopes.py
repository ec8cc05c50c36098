"""How AWS hands events to a Lambda function: tolerant shapes, holding only what the engine reads."""

from typing import Any, Final

from msgspec import Struct, field

# Ours, in characters, and far more than any that AWS or an application writes: it goes into row and event.
LONGEST_SOURCE: Final = 1_024


class EventBridgeEvent(Struct, frozen=True, kw_only=True):
    """An event of a bus, as a rule hands it to a target.

    Source: https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    """

    id: str
    detail: Any
    detail_type: str = field(name="detail-type", default="")
    source: str = ""
    time: str = ""
    account: str = ""
    region: str = ""


class SqsAttributes(Struct, frozen=True, kw_only=True):
    """System attributes of a queue record; AWS sends every number as a string."""

    approximate_receive_count: str = field(name="ApproximateReceiveCount", default="1")


class SqsRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """One message of a queue.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """

    message_id: str
    body: str
    receipt_handle: str = ""
    event_source_arn: str = field(name="eventSourceARN", default="")
    attributes: SqsAttributes = SqsAttributes()


class SqsEvent(Struct, frozen=True, kw_only=True):
    """A batch of queue messages."""

    records: list[SqsRecord] = field(name="Records")


class SnsMessage(Struct, frozen=True, kw_only=True, rename="pascal"):
    """A notification of a topic; `message` is the text that SES published.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """

    message: str
    topic_arn: str = ""


class BatchItemFailure(Struct, frozen=True, kw_only=True, rename="camel"):
    item_identifier: str


class BatchAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The partial batch response: the messages that must stay in their queue."""

    batch_item_failures: list[BatchItemFailure] = []
