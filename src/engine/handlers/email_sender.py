"""EmailSender: Email Requests from the bus, and batches from the bulk and retry queues."""

from typing import Any

import msgspec

from engine.bootstrap.email_sender import EmailSender, open_email_sender
from engine.bootstrap.runtime import Environment, LambdaContext, seconds_left

environment = Environment(open_email_sender)
environment.prepare()


def handler(event: dict[str, Any], context: LambdaContext | None = None) -> Any:
    """Send what the event asks for.

    A queue's batch is answered with `{"batchItemFailures": [...]}`, a single event with what became of its
    email.
    Raises only where a redelivery is wanted: SettingsError, UnreadableRecordError, InvocationFailedError.
    """
    left = seconds_left(context)

    async def work(sender: EmailSender) -> Any:
        try:
            if "Records" in event:
                return msgspec.to_builtins(await sender.lanes.queue(event, left))
            return msgspec.to_builtins(await sender.lanes.direct(event, left))
        finally:
            sender.telemetry.flush()

    return environment.invoke(work)
