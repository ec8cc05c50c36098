"""A campaign on its way: looked through first, then sent, then summed up."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from engine.cli.campaign.plan import Asked, Plan
from engine.cli.campaign.saved import Marks, Saved
from engine.client import EmailClient, EmailRequest, Progress, Report

# How many bad rows are named; all are counted.
NAMED: Final = 20
_SAVE_EVERY: Final = 1.0  # seconds


class Survey(Struct, kw_only=True):
    """What a file holds. `first`: its first good request."""

    rows: int = 0
    bad: int = 0
    named: list[str] = []
    first: EmailRequest | None = None

    @property
    def good(self) -> int:
        return self.rows - self.bad


def survey(plan: Plan, on_row: Callable[[int], None] = lambda _: None) -> Survey:
    """Check every row, and send nothing. `on_row` hears how many were seen. Raises RecipientsError."""
    seen = Survey(named=[])
    for asked in plan.requests():
        seen.rows += 1
        on_row(seen.rows)
        if asked.request is None:
            seen.bad += 1
            if len(seen.named) < NAMED:
                seen.named.append(at(plan.recipients, asked.line.number, asked.problem))
        elif seen.first is None:
            seen.first = asked.request
    return seen


def at(path: Path, line: int, problem: str) -> str:
    return f"{path.name} line {line}: {problem}"


class Campaign:
    """Sends what is not done yet. `clock` counts seconds; `state` is None where nothing is remembered."""

    def __init__(self, plan: Plan, saved: Saved, state: Path | None, clock: Callable[[], float]) -> None:
        self._plan = plan
        self._saved = saved
        self._state = state
        self._clock = clock
        self._marks = Marks(saved)
        self._under_way: dict[int, Asked] = {}
        self._saved_at = clock()
        self.stopping = False
        self.skipped = 0  # accepted in an earlier run
        self.refused: list[str] = []  # what the bus did not take, by line, as far as it is named

    @property
    def done_before(self) -> int:
        """About how many rows an earlier run has done."""
        return self._marks.count

    def stop(self) -> None:
        """Read no further; what is under way comes to its end."""
        self.stopping = True

    async def run(self, emails: EmailClient, on_progress: Callable[[Progress], None]) -> Report:
        def hear(progress: Progress) -> None:
            self._hear(progress)
            on_progress(progress)

        self._save()
        try:
            report = await emails.send_many(self._requests(), on_progress=hear)
        except BaseException:
            self._save()
            raise
        self._save(finished=not self.stopping and report.complete)
        return report

    def _requests(self) -> Iterator[EmailRequest]:
        index = 0
        for asked in self._plan.requests():
            if self.stopping:
                return
            row = asked.line.row
            if self._marks.done(row):
                self.skipped += asked.request is not None
            elif asked.request is None:
                self._marks.mark([row])
            else:
                self._under_way[index] = asked
                index += 1
                yield asked.request

    def _hear(self, progress: Progress) -> None:
        accepted = [self._under_way.pop(one.index) for one in progress.newly_accepted]
        left = [(self._under_way.pop(one.index), one) for one in progress.newly_not_accepted]
        self._marks.mark(asked.line.row for asked in accepted)
        self._marks.mark((asked.line.row for asked, _ in left), left=True)
        self.refused += [
            at(self._plan.recipients, asked.line.number, f"{one.code}: {one.message}")
            for asked, one in left[: NAMED - len(self.refused)]
        ]
        if self._clock() - self._saved_at >= _SAVE_EVERY:
            self._save()

    def _save(self, *, finished: bool = False) -> None:
        if self._state:
            self._marks.save(self._state, self._saved, finished=finished)
            self._saved_at = self._clock()
