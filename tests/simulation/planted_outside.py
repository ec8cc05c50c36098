"""Faults of who gets no mail and of scheduled mail, as `planted` has them of what sends and reports."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError
from msgspec.structs import replace
from tests.simulation.planting import Planted, method, name_in, nothing, says_done

from engine.aws import template_store
from engine.aws.consent_rows import ConsentTable
from engine.aws.dynamodb import to_item
from engine.aws.event_bus import StatusBus
from engine.aws.suppression import SuppressionList
from engine.client import email_client
from engine.client.schedule import Scheduling, cancel, create, scheduled_event
from engine.consent.subscriptions import Action, SubscriptionPage
from engine.operations.suppression_table import SuppressionTable
from engine.schemas.rows import SuppressionRow
from engine.templating.template import compile_template
from engine.tracking.consent import EVERY_TOPIC


async def _presses(_true: object, self: SubscriptionPage, *arguments: Any) -> Any:
    return await self.one_click(*arguments)


async def _ends_everything(_true: object, self: SubscriptionPage, token: str, texts: Any) -> Any:
    return await self.act(token, EVERY_TOPIC, Action.UNSUBSCRIBE, texts)


async def _overwrites(_true: object, self: SuppressionList, row: SuppressionRow) -> None:
    await self._client.put_item(TableName=self._table, Item=to_item(row))


def _with_a_topic(*arguments: Any, **named: Any) -> Any:
    return replace(compile_template(*arguments, **named), topic="news")


async def _deletes(client: Any, group: str, email_id: str, _clock: object) -> bool:
    """Whether there was a schedule, as if that said that it had not run."""
    try:
        await client.delete_schedule(Name=email_id, GroupName=group)
    except ClientError:
        return False
    return True


async def _keeps(*_: object) -> bool:
    return True


async def _says_no(*arguments: Any) -> bool:
    await cancel(*arguments)
    return False


async def _schedules_or_not(*arguments: Any) -> None:
    with suppress(Exception):
        await create(*arguments)


def _of_another(bus: str, _source: str, *arguments: Any) -> bytes:
    return scheduled_event(bus, "another", *arguments)


_request = Scheduling.request


def _early(self: Scheduling, email_id: str, at: datetime, event: bytes) -> dict[str, Any]:
    """As by the clock of another zone."""
    return _request(self, email_id, at - timedelta(hours=1), event)


CONSENT_AND_SCHEDULES: Final[Mapping[str, Planted]] = {
    "a bounce takes the place of an opt-out": Planted(method(SuppressionList, "add", _overwrites), 6),
    "an operator's suppression is confirmed and not kept": Planted(
        method(SuppressionTable, "add", nothing), 17
    ),
    "an opt-out is confirmed and not kept": Planted(method(ConsentTable, "add", nothing), 1),
    "coming back is confirmed and changes nothing": Planted(method(ConsentTable, "remove", nothing), 11),
    "opening a link unsubscribes": Planted(method(SubscriptionPage, "show", _presses), 1),
    "one click ends every topic": Planted(method(SubscriptionPage, "one_click", _ends_everything), 1),
    "a change is confirmed and not told": Planted(method(StatusBus, "publish_change", says_done), 22),
    "every email has a topic": Planted(name_in(template_store, "compile_template", _with_a_topic), 1),
    "what is due by now is taken back": Planted(name_in(email_client, "cancel", _deletes), 4),
    "what is taken back stays scheduled": Planted(name_in(email_client, "cancel", _keeps), 4),
    "what was taken back is said to be sent": Planted(name_in(email_client, "cancel", _says_no), 4),
    "what could not be scheduled is said to be": Planted(
        name_in(email_client, "create", _schedules_or_not), 14
    ),
    "scheduled mail has another source": Planted(name_in(email_client, "scheduled_event", _of_another), 4),
    "mail is scheduled an hour too early": Planted(name_in(Scheduling, "request", _early), 4),
}
