"""Tracking rows that need no memory: a day of a million emails in a few hundred bytes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_PREFIX: Final = "row-"


class AnyRow(Mapping[str, Any]):
    """A sent email behind every id that begins with `row-`; `emails` of them are of today."""

    def __init__(self, emails: int = 0) -> None:
        self._emails = emails

    def __getitem__(self, email_id: str) -> Any:
        if not email_id.startswith(_PREFIX):
            raise KeyError(email_id)
        return {
            "emailId": {"S": email_id},
            "toEmail": {"S": "ada@example.com"},
            "status": {"S": "sent"},
            "statusRank": {"N": "1"},
            "timestamp": {"S": "2026-11-24T08:00:00Z"},
            "datePartition": {"S": "2026-11-24"},
            "sentAt": {"S": "2026-11-24T08:00:01Z"},
            "originalEmailId": {"S": email_id},
            "originalSource": {"S": "shop"},
            "templateName": {"S": "order-confirmation"},
            "claimId": {"S": "7c1d8a1e1b9f4f0e9a52d3c1f0b7a6e5"},
        }

    def __iter__(self) -> Iterator[str]:
        return (f"{_PREFIX}{number}" for number in range(self._emails))

    def __len__(self) -> int:
        return self._emails
