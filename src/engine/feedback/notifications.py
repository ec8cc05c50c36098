"""The notifications of SES in whatever Lambda hands over: SNS's own event, and what a person brings back.

What was given up lies in the dead-letter queue in two shapes: as Lambda's on-failure record, which holds the
event in `requestPayload`, and as SNS's notification, where SNS could not hand it over. Both come back by
invoking the function with one of them, or by making the queue a trigger of the function for a while.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html,
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html,
https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
"""

import json
from collections.abc import Iterator
from typing import Any

from engine.schemas.envelopes import SnsMessage


def notifications(event: Any) -> Iterator[SnsMessage]:
    """Each notification in the event; what is none is handed on whole, for the pipeline to complain about."""
    match event:
        case {"requestPayload": payload}:
            yield from notifications(payload)
        case {"Records": [*records]}:
            for record in records:
                yield from notifications(record)
        case {"Sns": notification}:
            yield from notifications(notification)
        case {"Message": str(message), **others}:
            yield SnsMessage(message=message, topic_arn=str(others.get("TopicArn", "")))
        case {"body": str(body)}:
            try:
                yield from notifications(json.loads(body))
            except (ValueError, RecursionError):
                yield SnsMessage(message=body)
        case _:
            yield SnsMessage(message=json.dumps(event))
