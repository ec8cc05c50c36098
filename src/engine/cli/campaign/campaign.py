"""A campaign: the survey of its file, and its run, which can be interrupted and resumed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from engine.cli.campaign.plan import CheckedRow, Plan
from engine.cli.campaign.progress import RowMarks, SavedProgress
from engine.cli.campaign.recipients import RecipientsFile
from engine.client import EmailClient, EmailRequest, PublishProgress, PublishReport

# How many bad rows are named; all are counted.
NAMED: Final = 20
_SAVE_EVERY: Final = 1.0  # seconds


class Survey(Struct, frozen=True, kw_only=True):
    """What a file holds. `first`: its first good request. Blank rows and empty columns are passed over."""

    rows: int
    bad: int
    named: tuple[str, ...]
    first: EmailRequest | None
    blank_rows: int
    empty_columns: int

    @property
    def good(self) -> int:
        return self.rows - self.bad


def survey(plan: Plan, on_row: Callable[[int], None] = lambda _: None) -> Survey:
    """Check every row, and send nothing. `on_row` gets the number of rows so far. Raises RecipientsError."""
    file = RecipientsFile(plan.recipients)
    rows = bad = 0
    named: list[str] = []
    first: EmailRequest | None = None
    for checked in plan.check(file):
        rows += 1
        on_row(rows)
        first = first or checked.request
        if checked.request is None:
            bad += 1
            if len(named) < NAMED:
                named.append(_located(plan, checked, checked.problem))
    return Survey(
        rows=rows,
        bad=bad,
        named=tuple(named),
        first=first,
        blank_rows=file.blank_rows,
        empty_columns=file.empty_columns,
    )


class Campaign:
    """Sends what is not done yet. `clock` counts seconds; `state` None saves no progress."""

    def __init__(
        self, plan: Plan, saved: SavedProgress, state: Path | None, clock: Callable[[], float]
    ) -> None:
        self._plan = plan
        self._saved = saved
        self._state = state
        self._clock = clock
        self._marks = RowMarks(saved)
        self._under_way: dict[int, CheckedRow] = {}
        self._saved_at = clock()
        self.stopping = False
        self.skipped = 0  # rows that an earlier run has done
        self.refused: list[str] = []  # what the bus did not take, the first of them by line

    @property
    def done_before(self) -> int:
        """About how many rows earlier runs have done."""
        return self._marks.count

    def stop(self) -> None:
        """Read no further; the calls under way end as usual."""
        self.stopping = True

    async def run(self, emails: EmailClient, on_progress: Callable[[PublishProgress], None]) -> PublishReport:
        """Publish the requests, saving progress about once a second."""

        def record(progress: PublishProgress) -> None:
            self._record(progress)
            on_progress(progress)

        self._save()
        try:
            report = await emails.send_many(self._requests(), on_progress=record)
        except BaseException:
            self._save()
            raise
        self._save(finished=not self.stopping and report.complete)
        return report

    def _requests(self) -> Iterator[EmailRequest]:
        index = 0
        for checked in self._plan.check(RecipientsFile(self._plan.recipients)):
            if self.stopping:
                return
            row = checked.row.row
            if self._marks.done(row):
                self.skipped += checked.request is not None
            elif checked.request is None:
                self._marks.mark([row])
            else:
                self._under_way[index] = checked
                index += 1
                yield checked.request

    def _record(self, progress: PublishProgress) -> None:
        accepted = [self._under_way.pop(one.index) for one in progress.newly_accepted]
        left = [(self._under_way.pop(one.index), one) for one in progress.newly_not_accepted]
        self._marks.mark(checked.row.row for checked in accepted)
        self._marks.mark((checked.row.row for checked, _ in left), left=True)
        self.refused += [
            _located(self._plan, checked, f"{one.code}: {one.message}")
            for checked, one in left[: NAMED - len(self.refused)]
        ]
        if self._clock() - self._saved_at >= _SAVE_EVERY:
            self._save()

    def _save(self, *, finished: bool = False) -> None:
        if self._state:
            self._marks.save(self._state, self._saved, finished=finished)
            self._saved_at = self._clock()


def _located(plan: Plan, checked: CheckedRow, problem: str) -> str:
    return f"{plan.recipients.name} line {checked.row.line}: {problem}"
