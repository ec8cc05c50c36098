"""Dead letters counted by kind and cause, template and source."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.operations.campaign import LEFT
from engine.operations.dead_letters import DeadLetter, Envelope, Kind
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso


class Group(Struct, frozen=True, kw_only=True, rename="camel"):
    """Messages of one kind and cause, of one template and source. `oldest`: since when it is in SQS."""

    kind: Kind
    envelope: Envelope
    cause: str
    template: str
    source: str
    count: int
    known_as_sent: int
    oldest: str | None


def was_sent(row: TrackingRow | None) -> bool:
    """Whether the ledger knows that SES took the email: to ask for it again sends nothing."""
    return row is not None and (row.status in LEFT or row.ses_message_id is not None)


def grouped(letters: Sequence[DeadLetter], rows: Mapping[str, TrackingRow]) -> list[Group]:
    """The largest group first."""
    groups: dict[tuple[Any, ...], list[DeadLetter]] = {}
    for bare in letters:
        letter = bare.with_row(rows.get(bare.email_id))
        key = (letter.kind, letter.envelope, letter.cause, letter.template, letter.source)
        groups.setdefault(key, []).append(letter)
    found = [
        Group(
            kind=kind,
            envelope=envelope,
            cause=cause,
            template=template,
            source=source,
            count=len(members),
            known_as_sent=sum(was_sent(rows.get(each.email_id)) for each in members),
            oldest=oldest(members),
        )
        for (kind, envelope, cause, template, source), members in groups.items()
    ]
    return sorted(found, key=lambda group: group.count, reverse=True)


def oldest(letters: Iterable[DeadLetter]) -> str | None:
    """When the oldest of them was put into its first queue; ISO 8601."""
    times = [letter.sent_at for letter in letters if letter.sent_at]
    return iso(min(times)) if times else None
