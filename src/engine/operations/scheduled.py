"""Email that EventBridge Scheduler keeps until it is due (`engine.client.EmailClient.schedule`)."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.client.schedule import cancel
from engine.errors import ServiceUnavailable
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict, amount
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.times import parse_iso

_AT_ONCE: Final = 10
_PAGE: Final = 100


class ScheduledEmail(Struct, frozen=True, kw_only=True, rename="camel"):
    """One email that is not due yet. No more of its content than whom it is for and by which template."""

    email_id: str
    at: datetime | None
    to: str
    template_name: str
    source: str


class ScheduledEmails(Struct, frozen=True, kw_only=True, rename="camel"):
    """Those that are due first, and whether there are more."""

    emails: list[ScheduledEmail]
    more: bool

    def verdict(self) -> Verdict:
        if not self.emails:
            return Verdict(good=True, sentence="No email is scheduled.")
        more = ", and there are more: raise --limit" if self.more else ""
        return Verdict(good=True, sentence=f"{amount(len(self.emails), 'scheduled email')}{more}.")


class _Detail(Struct, frozen=True, rename="camel"):
    to: str = ""
    template_name: str = ""


class _Event(EventBridgeEvent, frozen=True, kw_only=True):
    detail: _Detail = _Detail()


class ScheduledMail:
    """The schedules of a stack's group. `client`: of EventBridge Scheduler."""

    def __init__(self, client: Any, group: str) -> None:
        self._client = client
        self._group = group

    async def list(self, limit: int) -> ScheduledEmails:
        """Scheduler lists by name, so the first that are due are only known among those that were read."""
        names: list[str] = []
        more: dict[str, str] = {}
        while len(names) <= limit:
            page = await self._client.list_schedules(GroupName=self._group, MaxResults=_PAGE, **more)
            names += [schedule["Name"] for schedule in page["Schedules"]]
            if "NextToken" not in page:
                break
            more = {"NextToken": page["NextToken"]}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def read(name: str) -> ScheduledEmail | None:
            async with gate:
                try:
                    answer = await self._client.get_schedule(Name=name, GroupName=self._group)
                except self._client.exceptions.ResourceNotFoundException:
                    return None  # due meanwhile
            return _email(name, answer["Target"].get("Input", ""))

        found = await asyncio.gather(*map(read, names[:limit]))
        emails = sorted((one for one in found if one), key=lambda one: (one.at is None, one.at))
        return ScheduledEmails(emails=emails, more=len(names) > limit)

    async def cancel(self, email_id: str, options: str = "") -> Verdict:
        """Raises NotScheduledError."""
        if await cancel(self._client, self._group, email_id, lambda: datetime.now(UTC)):
            return Verdict(good=True, sentence=f"Email {email_id} is cancelled; it will not be sent.")
        sentence = (
            f"No email {email_id} is scheduled: it is due or sent already, or the id is another stack's."
        )
        return Verdict(
            good=False, sentence=sentence, next_command=f"sesmailengine explain {email_id}{options}"
        )


def _email(name: str, event: str) -> ScheduledEmail:
    try:
        read = msgspec.json.decode(event, type=_Event)
    except msgspec.MsgspecError as error:
        raise ServiceUnavailable(f"the schedule {name} holds no Email Request: {error}") from None
    return ScheduledEmail(
        email_id=name,
        at=parse_iso(read.time),
        to=read.detail.to,
        template_name=read.detail.template_name,
        source=read.source,
    )


async def open_scheduled(stack: DeployedStack) -> ScheduledMail:
    return ScheduledMail(await stack.client("scheduler"), stack.resource("Scheduled"))
