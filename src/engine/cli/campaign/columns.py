"""What a CSV's columns mean: fields of the request by name, every other one a variable of the template."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

_TEXTS: Final = frozenset({"to", "idempotencyKey"})
_LISTS: Final = frozenset({"cc", "bcc", "replyTo"})
# Columns `metadata.orderId`, `unsubscribe.url`, …: parts of an object.
_OBJECTS: Final = frozenset({"templateData", "senderOverride", "unsubscribe", "metadata", "tags", "headers"})


class Columns:
    """`problem`: what is wrong with the header, if anything."""

    def __init__(self, names: Sequence[str], delimiter: str) -> None:
        self.names = [name.strip() for name in names]
        self.delimiter = delimiter
        self.problem = self._problem()

    def _problem(self) -> str:
        for place, name in enumerate(self.names, 1):
            head, dot, part = name.partition(".")
            if not name:
                return f"column {place} has no name"
            if dot and (head not in _OBJECTS or not part):
                return f"column {name!r}: expected one of {', '.join(sorted(_OBJECTS))} before the dot"
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        return f"column {twice[0]!r} is there twice" if twice else ""

    def read(self, cells: Sequence[str]) -> tuple[dict[str, Any] | None, str]:
        """The request's fields, or what is wrong with the row.

        An empty cell leaves a field out, but for a variable of the template, which is empty text.
        """
        if len(cells) != len(self.names):
            return None, f"has {len(cells)} cells; the header has {len(self.names)} columns"
        detail: dict[str, Any] = {}
        for name, cell in zip(self.names, cells, strict=True):
            _set(detail, name, cell)
        return detail, ""


def _set(detail: dict[str, Any], name: str, cell: str) -> None:
    head, dot, part = name.partition(".")
    if name in _TEXTS:
        if cell.strip() or name == "to":
            detail[name] = cell.strip()
    elif name in _LISTS:
        detail[name] = [address for address in re.split(r"[;,\s]+", cell) if address]
    elif not dot:
        detail.setdefault("templateData", {})[name] = cell
    elif cell or head == "templateData":
        detail.setdefault(head, {})[part] = cell
