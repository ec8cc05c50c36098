"""SES without HTTP: accepts or refuses requests, and reports the outcomes of accepted messages."""

import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.local.ses import rules
from engine.local.ses.account import Account, Usage
from engine.local.ses.composing import Composed, compose, inline_content, template_data, templated
from engine.local.ses.errors import SesError, bad_request
from engine.local.ses.faults import Faults, bulk_status
from engine.local.ses.message import Message
from engine.local.ses.outcomes import OUTCOMES, is_mailbox_simulator, is_recovering
from engine.local.ses.outgoing import Outgoing, Publish, Schedule, SimulatedEvent, at_once
from engine.local.ses.scenario import later_events, scenario
from engine.local.ses.suppression import SuppressionList
from engine.local.ses.wire import (
    BulkEntry,
    BulkEntryResult,
    GetAccountResponse,
    SendBulkEmailRequest,
    SendEmailRequest,
    SendQuota,
    SuppressionAttributes,
    Tag,
)
from engine.types import Clock

Listener = Callable[[Message | SimulatedEvent], None]


def utc_now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


class Simulator:
    """An SES account in memory.

    `publish` receives each event as JSON text (None: events are only kept), `schedule` says when. Messages
    and events are kept, the newest `keep` of each (None: all). As with real SES, only messages that name a
    configuration set have events.
    """

    def __init__(
        self,
        account: Account | None = None,
        *,
        publish: Publish | None = None,
        schedule: Schedule = at_once,
        now: Clock = utc_now,
        keep: int | None = None,
    ) -> None:
        self.faults = Faults()
        self.usage = Usage(account or Account(), now)
        self.suppression = SuppressionList(now)
        self._now = now
        self._messages: deque[Message] = deque(maxlen=keep)
        self._events: deque[SimulatedEvent] = deque(maxlen=keep)
        self._received: Counter[str] = Counter()  # messages to recovering addresses
        self._listeners: list[Listener] = []
        self._outgoing = Outgoing(publish, schedule, self.faults, self._record)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Accepted messages, oldest first."""
        return tuple(self._messages)

    @property
    def events(self) -> tuple[SimulatedEvent, ...]:
        """Published events, in the order of publishing; repeated ones repeatedly."""
        return tuple(self._events)

    @property
    def held(self) -> tuple[SimulatedEvent, ...]:
        """Events that wait for `release`."""
        return self._outgoing.held

    def configure(self, **changes: Any) -> None:
        """Change settings of the account, such as `max_send_rate`, while it runs."""
        self.usage.account = msgspec.structs.replace(self.usage.account, **changes)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every accepted message and every published event, on the simulator's loop."""
        self._listeners.append(listener)

    def message(self, message_id: str) -> Message:
        """An accepted message. Raises KeyError when there is none, or no longer."""
        for message in reversed(self._messages):
            if message.message_id == message_id:
                return message
        raise KeyError(message_id)

    async def send_email(self, request: SendEmailRequest) -> str:
        """Accept one message and return its id, or raise SesError."""
        self._raise_fault()
        composed = compose(request.content)
        account = self.usage.account
        sender = rules.check_sender(account, request.from_email_address or composed.sender)
        configuration_set = request.configuration_set_name or composed.configuration_set
        rules.check_configuration_set(account, configuration_set)
        tags = (*composed.tags, *request.email_tags)
        message = self._message(
            composed,
            sender=sender,
            to=request.destination.to_addresses or composed.to,
            cc=request.destination.cc_addresses or composed.cc,
            bcc=request.destination.bcc_addresses or composed.bcc,
            reply_to=request.reply_to_addresses or composed.reply_to,
            tags=tags,
            configuration_set=configuration_set,
            operation="SendEmail",
        )
        await self._accept(message)
        return message.message_id

    async def send_bulk_email(self, request: SendBulkEmailRequest) -> tuple[BulkEntryResult, ...]:
        """Accept each entry that can be, or raise SesError when the request as a whole is refused."""
        self._raise_fault()
        account = self.usage.account
        entries = request.bulk_email_entries
        if not 0 < len(entries) <= rules.MAX_RECIPIENTS:
            raise bad_request(f"BulkEmailEntries must have between 1 and {rules.MAX_RECIPIENTS} entries.")
        rules.check_sender(account, request.from_email_address)
        rules.check_configuration_set(account, request.configuration_set_name)
        rules.check_tags(request.default_email_tags)
        inline_content(request.default_content.template)
        refusal = self.usage.refusal(1)
        if refusal is not None:
            raise refusal
        forced = self.faults.take_bulk_statuses()
        return tuple(
            [
                await self._send_entry(request, entry)
                if position not in forced
                else _failed(forced[position])
                for position, entry in enumerate(entries)
            ]
        )

    def account_status(self) -> GetAccountResponse:
        """The answer to GetAccount."""
        account = self.usage.account
        plan = self.faults.plan
        quota = SendQuota(
            max24_hour_send=account.daily_quota,
            max_send_rate=account.max_send_rate,
            sent_last24_hours=account.daily_quota
            if plan.daily_quota_used_up
            else self.usage.sent_last_24_hours(),
        )
        return GetAccountResponse(
            send_quota=quota,
            sending_enabled=not (plan.sending_paused or plan.account_suspended),
            enforcement_status="SHUTDOWN" if plan.account_suspended else "HEALTHY",
            suppression_attributes=SuppressionAttributes(
                suppressed_reasons=tuple(sorted(account.suppressed_reasons))
            ),
        )

    async def report(self, message_id: str, outcome: str) -> None:
        """Report an outcome (a key of `OUTCOMES`) of a message. Raises KeyError if either is unknown.

        The delivery that precedes some outcomes is not reported again.
        """
        message = self.message(message_id)
        events = later_events(message, OUTCOMES[outcome], self.usage.account, self._now())
        await self._report(events)

    async def release(self, count: int | None = None, *, newest_first: bool = False) -> int:
        """Publish events that the schedule or a fault held back; the number that went out."""
        return await self._outgoing.release(count, newest_first=newest_first)

    def forget(self) -> None:
        """Drop all messages, events, faults, and who is suppressed."""
        self._messages.clear()
        self._events.clear()
        self._received.clear()
        self.suppression.clear()
        self.faults.clear()

    async def aclose(self) -> None:
        """Stop publishing."""
        await self._outgoing.aclose()

    def _raise_fault(self) -> None:
        refusal = self.faults.refusal()
        if refusal is not None:
            raise refusal

    async def _send_entry(self, request: SendBulkEmailRequest, entry: BulkEntry) -> BulkEntryResult:
        try:
            data = template_data(
                entry.replacement_email_content.replacement_template.replacement_template_data
            )
            composed = templated(request.default_content.template, data, entry.replacement_headers)
            message = self._message(
                composed,
                sender=request.from_email_address or "",
                to=entry.destination.to_addresses,
                cc=entry.destination.cc_addresses,
                bcc=entry.destination.bcc_addresses,
                reply_to=request.reply_to_addresses,
                tags=(*request.default_email_tags, *entry.replacement_tags),
                configuration_set=request.configuration_set_name,
                operation="SendBulkEmail",
            )
            await self._accept(message)
        except SesError as error:
            return _failed(bulk_status(error), error.message)
        return BulkEntryResult(status="SUCCESS", message_id=message.message_id)

    def _message(self, composed: Composed, *, tags: Sequence[Tag], **envelope: Any) -> Message:
        rules.check_tags(tags)
        rules.check_recipients((*envelope["to"], *envelope["cc"], *envelope["bcc"]))
        for mailbox in envelope["reply_to"]:
            rules.check_address(mailbox)
        moment = self._now()
        return Message(
            message_id=_message_id(moment),
            accepted_at=moment,
            subject=composed.subject,
            html=composed.html,
            text=composed.text,
            headers=composed.headers,
            attachments=composed.attachments,
            raw=composed.raw,
            rendering_failure=composed.rendering_failure,
            tags={tag.name: tag.value for tag in tags},
            **envelope,
        )

    async def _accept(self, message: Message) -> None:
        recipients = message.recipients
        refusal = self.usage.refusal(len(recipients))
        if refusal is not None:
            raise refusal
        for_day = sum(not is_mailbox_simulator(recipient) for recipient in recipients)
        self.usage.take(len(recipients), counts_for_day=for_day)
        self._messages.append(message)
        self._notify(message)
        if message.configuration_set:
            account = self.usage.account
            reasons = account.suppressed_reasons
            await self._report(
                scenario(
                    message,
                    account,
                    self._now(),
                    self._received.__getitem__,
                    lambda recipient: self.suppression.holds_back(recipient, reasons),
                )
            )
        self._received.update(recipient for recipient in recipients if is_recovering(recipient))

    async def _report(self, events: Sequence[SimulatedEvent]) -> None:
        for event in events:
            self.suppression.learn(event, self.usage.account.suppressed_reasons)
        await self._outgoing.report(events)

    def _record(self, event: SimulatedEvent) -> None:
        self._events.append(event)
        self._notify(event)

    def _notify(self, subject: Message | SimulatedEvent) -> None:
        for listener in self._listeners:
            listener(subject)


def _failed(status: str, error: str = "The simulator was told to fail this entry.") -> BulkEntryResult:
    return BulkEntryResult(status=status, error=error)


def _message_id(moment: datetime) -> str:
    """An id in SES's form: time, random part, counter."""
    return f"0100{int(moment.timestamp() * 1000):012x}-{uuid.uuid4()}-000000"
