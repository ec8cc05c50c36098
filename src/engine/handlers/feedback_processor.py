"""FeedbackProcessor: what SES reports about the emails, by way of SNS."""

from typing import Any

from engine.bootstrap.feedback_processor import open_feedback_processor
from engine.bootstrap.runtime import Environment, LambdaContext

environment = Environment(open_feedback_processor)
environment.prepare()


def handler(event: dict[str, Any], context: LambdaContext | None = None) -> None:  # noqa: ARG001 - Lambda's signature
    """Bring every reported email up to date.

    Raises for what could not be done, so that the delivery comes again and in the end lies in the DLQ, whole.
    """
    environment.invoke(lambda processor: processor.process(event))
