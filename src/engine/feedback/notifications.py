"""The notifications of SES in whatever Lambda hands over: SNS's own event, and what a person brings back.

What was given up lies in the dead-letter queue in two shapes: as Lambda's on-failure record, which holds the
event in `requestPayload`, and as SNS's notification, where SNS could not hand it over. Both come back by
invoking the function with one of them, or by making the queue a trigger of the function for a while.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html,
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html,
https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from engine.schemas.envelopes import SnsMessage

# It goes into the log where it is another topic's, so it must be one.
_ARN: Final = re.compile(r"arn:[A-Za-z0-9:._-]{1,300}")


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
            topic = str(others.get("TopicArn", ""))
            readable = not topic or _ARN.fullmatch(topic)
            yield SnsMessage(message=message, topic_arn=topic if readable else "unreadable")
        case {"body": str(body)}:
            try:
                yield from notifications(json.loads(body))
            except (ValueError, RecursionError):
                yield SnsMessage(message=body)
        case _:
            try:
                yield SnsMessage(message=json.dumps(event))
            except RecursionError:
                yield SnsMessage(message="nested too deeply")
