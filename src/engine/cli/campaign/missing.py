"""The rows of a file whose emails the ledger has never seen."""

from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import Final

from engine.cli.campaign.plan import CheckedRow, Plan
from engine.cli.campaign.recipients import RecipientsFile
from engine.operations.ledger_reader import LedgerReader
from engine.requests.email_job import email_id

_LOOKED_UP: Final = 1_000  # rows at a time


async def unseen(
    plan: Plan, source: str, ledger: LedgerReader, on_rows: Callable[[int], None]
) -> AsyncIterator[CheckedRow]:
    """Each email once. `on_rows` gets how many rows were looked up. May raise ServiceUnavailable."""
    rows = (checked for checked in plan.check(RecipientsFile(plan.recipients)) if checked.request)
    looked_up, known = 0, set[int]()
    while part := list(islice(rows, _LOOKED_UP)):
        by_id = {
            email_id(source, checked.request.idempotency_key or ""): checked
            for checked in part
            if checked.request
        }
        found = await ledger.read(by_id)
        for own_id, checked in by_id.items():
            if own_id not in found and hash(own_id) not in known:
                known.add(hash(own_id))
                yield checked
        looked_up += len(part)
        on_rows(looked_up)
