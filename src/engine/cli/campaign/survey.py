"""What a campaign's file holds, before anything is sent."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from engine.cli.campaign.plan import Plan
from engine.cli.campaign.progress import RowMarks
from engine.cli.campaign.recipients import RecipientsFile
from engine.client import EmailRequest

# How many bad rows are named; all are counted.
NAMED: Final = 20


class RowProblem(Struct, frozen=True):
    """What is wrong with a row. The text may quote what the row says."""

    file: str
    line: int
    text: str

    @property
    def sentence(self) -> str:
        return f"{self.file} line {self.line}: {self.text}"


class Survey(Struct, frozen=True, kw_only=True):
    """What a file holds. `first`: its first good request. Blank rows and empty columns are passed over.

    `done`: good rows that earlier runs have done. `bulk`: the templates of bulk rows, and the variables that
    all rows of each give. `without_topic`: how many of them name no topic, by template.
    """

    rows: int
    bad: int
    named: tuple[RowProblem, ...]
    first: EmailRequest | None
    done: int
    bulk: dict[str, frozenset[str]]
    without_topic: dict[str, int]
    blank_rows: int
    empty_columns: int

    @property
    def good(self) -> int:
        return self.rows - self.bad


def survey(
    plan: Plan, on_row: Callable[[int], None] = lambda _: None, marks: RowMarks | None = None
) -> Survey:
    """Check every row, and send nothing. `on_row` gets the number of rows so far. Raises RecipientsError."""
    file = RecipientsFile(plan.recipients)
    rows = bad = done = 0
    named: list[RowProblem] = []
    first: EmailRequest | None = None
    bulk: dict[str, frozenset[str]] = {}
    without_topic = Counter[str]()
    for checked in plan.check(file):
        rows += 1
        on_row(rows)
        request = checked.request
        first = first or request
        if request is None:
            bad += 1
            if len(named) < NAMED:
                named.append(RowProblem(plan.recipients.name, checked.row.line, checked.problem))
            continue
        done += bool(marks and marks.done(checked.row.row))
        if request.priority == "bulk":
            name, data = request.template_name, request.template_data
            given = frozenset(variable for variable, value in data.items() if value is not None)
            bulk[name] = bulk.get(name, given) & given
            without_topic[name] += request.topic is None
    return Survey(
        rows=rows,
        bad=bad,
        named=tuple(named),
        first=first,
        done=done,
        bulk=bulk,
        without_topic=+without_topic,
        blank_rows=file.blank_rows,
        empty_columns=file.empty_columns,
    )
