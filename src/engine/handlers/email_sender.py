"""EmailSender: Email Requests from the bus, and batches from the bulk and retry queues."""

from typing import Any

from engine.bootstrap.email_sender import open_email_sender
from engine.bootstrap.runtime import Environment, LambdaContext, seconds_left

environment = Environment(open_email_sender)
environment.prepare()


def handler(event: dict[str, Any], context: LambdaContext | None = None) -> Any:
    """Send what the event asks for.

    Raises SettingsError, and what `EmailSender.process` raises.
    """
    left = seconds_left(context)
    return environment.invoke(lambda sender: sender.process(event, left))
