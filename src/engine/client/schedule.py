"""Email at a later time: EventBridge Scheduler puts the request into EmailRetryQueue when it is due.

A schedule is named after the email's id, holds the event as the bus would have delivered it, and deletes
itself once it has run: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.error_codes import is_code
from engine.errors import EngineError
from engine.requests.email_job import from_event, read_event
from engine.schemas.status import REQUEST_DETAIL_TYPE
from engine.schemas.times import iso
from engine.types import Clock

_BUS: Final = "-EmailBus"
_NOT_THERE: Final = "ResourceNotFoundException"
_EXPRESSION: Final = "at(%Y-%m-%dT%H:%M:%S)"
# Whoever cancels as late as this is told that it is too late: clocks differ, and the call takes time.
_TOO_LATE: Final = timedelta(seconds=10)


class NotScheduledError(EngineError):
    """The email is not scheduled as asked; says why, and what to do."""


class Scheduling(Struct, frozen=True):
    """Where a stack keeps its schedules: the group, the queue that they fill, the role that may fill it."""

    group: str
    queue_arn: str
    role_arn: str

    @classmethod
    def of_bus(cls, bus_arn: str) -> Self:
        """Everything is named after the stack, as its bus is. Raises NotScheduledError for another bus."""
        _, partition, _, region, account, bus = bus_arn.split(":")
        stack = bus.removeprefix("event-bus/").removesuffix(_BUS)
        if not bus.endswith(_BUS):
            raise NotScheduledError(f"{bus!r} is no engine's bus: its name must end in {_BUS}")
        return cls(
            group=f"{stack}-Scheduled",
            queue_arn=f"arn:{partition}:sqs:{region}:{account}:{stack}-EmailRetryQueue",
            role_arn=f"arn:{partition}:iam::{account}:role/{stack}-Schedule-{region}",
        )

    def request(self, email_id: str, at: datetime, event: bytes) -> dict[str, Any]:
        """What CreateSchedule takes: once, at that second, and gone afterwards."""
        return {
            "Name": email_id,
            "GroupName": self.group,
            "ScheduleExpression": at.astimezone(UTC).strftime(_EXPRESSION),
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": self.queue_arn, "RoleArn": self.role_arn, "Input": event.decode()},
        }


def scheduled_event(bus_arn: str, source: str, email_id: str, at: datetime, detail: bytes) -> bytes:
    """The Email Request event as a rule would deliver it; its time is when the email is due.

    The same request and time make the same bytes, so that a repetition is known from a change.
    """
    _, _, _, region, account, _ = bus_arn.split(":")
    event = {
        "version": "0",
        "id": email_id,
        "detail-type": REQUEST_DETAIL_TYPE,
        "source": source,
        "account": account,
        "time": iso(at),
        "region": region,
        "resources": [],
        "detail": msgspec.Raw(detail),
    }
    return msgspec.json.encode(event)


def refuse_unsendable(event: bytes, at: datetime) -> None:
    """Raise NotScheduledError for what is wrong with a request now, not when it is due.

    Templates, senders and suppression are those of that moment, and so are not looked at.
    """
    job = from_event(read_event(msgspec.json.decode(event)), at)
    if job.refusal:
        raise NotScheduledError(f"the engine would refuse the request: {job.refusal.message}")
    if job.request and job.request.expires_at and job.request.expires_at < at:
        raise NotScheduledError(f"expiresAt: {iso(job.request.expires_at)} is before the email is due")


async def create(client: Any, request: dict[str, Any]) -> None:
    """Create the schedule, or find the very same one. Raises NotScheduledError.

    `client`: of EventBridge Scheduler. It has no condition on what is there, but its names are unique.
    """
    try:
        await client.create_schedule(**request)
    except ClientError as error:
        if not is_code(error, "ConflictException"):
            raise NotScheduledError(_refusal(error)) from error
        there = await _in_the_way(client, request["Name"], request["GroupName"])
        same_time = there["ScheduleExpression"] == request["ScheduleExpression"]
        if not same_time or there["Target"].get("Input") != request["Target"]["Input"]:
            raise NotScheduledError(
                f"email {request['Name']} is scheduled already, {there['ScheduleExpression']} UTC, at another"
                " time or with other content; cancel it first, or use another idempotency key"
            ) from None


async def _in_the_way(client: Any, email_id: str, group: str) -> dict[str, Any]:
    try:
        there: dict[str, Any] = await client.get_schedule(Name=email_id, GroupName=group)
    except ClientError as error:
        if not is_code(error, _NOT_THERE):
            raise NotScheduledError(_refusal(error)) from error
        raise NotScheduledError(
            f"email {email_id} was scheduled before, and is just now handed over or taken back; schedule it"
            " again, for it goes out once whatever became of that"
        ) from None
    return there


async def cancel(client: Any, group: str, email_id: str, clock: Clock) -> bool:
    """Whether the email is taken back and will not be sent. False: it is due by now, or there is none.

    A schedule stays for a while after it has run, so its time decides, and not that it could be deleted.
    Source: https://aws.amazon.com/blogs/compute/automatically-delete-schedules-upon-completion-with-amazon-eventbridge-scheduler/
    Raises NotScheduledError where it was deleted too late to know whether it had run.
    """
    try:
        there = await client.get_schedule(Name=email_id, GroupName=group)
    except ClientError as error:
        if is_code(error, _NOT_THERE):
            return False
        raise
    at = datetime.strptime(there["ScheduleExpression"], _EXPRESSION).replace(tzinfo=UTC)
    if at - clock() < _TOO_LATE:
        return False
    try:
        await client.delete_schedule(Name=email_id, GroupName=group)
    except ClientError as error:
        if not is_code(error, _NOT_THERE):  # another call took it back meanwhile
            raise
    if clock() >= at:
        raise NotScheduledError(
            f"email {email_id} was due before its schedule was deleted, so it may be sent or not;"
            f" `sesmailengine explain {email_id}` says which in a few minutes"
        )
    return True


def _refusal(error: ClientError) -> str:
    code = error.response.get("Error", {}).get("Code", "unknown")
    message = error.response.get("Error", {}).get("Message", "")
    hint = ""
    if code == _NOT_THERE:
        hint = "; the stack is older than scheduled email: update it"
    elif code.startswith("AccessDenied"):
        hint = "; docs/scheduling.md has the permissions that an application needs"
    return f"EventBridge Scheduler refused the schedule: {code} {message}{hint}"
