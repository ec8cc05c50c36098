"""The emails of a campaign are asked for; it can be interrupted and resumed."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from engine.cli.campaign.plan import CheckedRow, Plan
from engine.cli.campaign.progress import RowMarks, SavedProgress
from engine.cli.campaign.recipients import RecipientsFile
from engine.cli.campaign.survey import NAMED, RowProblem
from engine.client import EmailClient, EmailRequest, PublishProgress, PublishReport
from engine.client.stream import EmailRequests

_SAVE_EVERY: Final = timedelta(seconds=1)


class Campaign:
    """Sends what is not done yet. `now` tells the time in UTC; `state` None saves no progress."""

    def __init__(
        self, plan: Plan, saved: SavedProgress, state: Path | None, now: Callable[[], datetime]
    ) -> None:
        self._plan = plan
        self._saved = saved
        self._state = state
        self._now = now
        self._marks = RowMarks(saved)
        self._under_way: dict[int, CheckedRow] = {}
        self._saved_at = now()
        self.accepted = 0
        self.not_accepted = 0
        self.whole = False  # the last pass has read the file to its end
        self.stopping = False
        self.skipped = 0  # rows that an earlier run has done
        self.refused: list[RowProblem] = []  # what the bus did not take, the first of them

    @property
    def done(self) -> int:
        """About how many rows are done."""
        return self._marks.count

    @property
    def asked_today(self) -> int:
        """How many emails were asked for today (UTC), by earlier runs too."""
        return self._saved.asked_that_day if self._saved.day == f"{self._now():%Y-%m-%d}" else 0

    @property
    def first_done_at(self) -> datetime | None:
        at = self._saved.first_done_at
        return datetime.fromtimestamp(at, UTC) if at is not None else None

    def first_done(self) -> datetime:
        """Remember that the first emails are asked for; since when."""
        now = self._now()
        self._saved = replace(self._saved, first_done_at=now.timestamp())
        self._save()
        return now

    def stop(self) -> None:
        """Read no further; the calls under way end as usual."""
        self.stopping = True

    async def run(
        self, emails: EmailClient, on_progress: Callable[[PublishProgress], None], most: int | None = None
    ) -> PublishReport:
        """Publish the requests that are not done, at most so many, saving progress about once a second.

        May run again, and then goes on.
        """
        return await self._publish(emails, self._requests(most), on_progress)

    async def run_again(
        self,
        emails: EmailClient,
        on_progress: Callable[[PublishProgress], None],
        rows: AsyncIterable[CheckedRow],
    ) -> PublishReport:
        """Publish the requests of these rows, done or not."""
        return await self._publish(emails, self._again(rows), on_progress)

    async def _publish(
        self, emails: EmailClient, requests: EmailRequests, on_progress: Callable[[PublishProgress], None]
    ) -> PublishReport:
        def record(progress: PublishProgress) -> None:
            self._record(progress)
            on_progress(progress)

        self._under_way.clear()
        self.whole = False
        self._save()
        try:
            report = await emails.send_many(requests, on_progress=record)
        except BaseException:  # Ctrl-C too: what was accepted stays known
            self._save()
            raise
        self._save(finished=self.whole and report.complete)
        return report

    def _requests(self, most: int | None) -> Iterator[EmailRequest]:
        index = 0
        self.skipped = -self.accepted  # what this run has accepted before was not done by an earlier one
        for checked in self._plan.check(RecipientsFile(self._plan.recipients)):
            row = checked.row.row
            if self.stopping:
                return
            if self._marks.done(row):
                self.skipped += checked.request is not None
            elif checked.request is None:
                self._marks.mark([row])
            elif index == most:
                return
            else:
                self._under_way[index] = checked
                index += 1
                yield checked.request
        self.whole = True

    async def _again(self, rows: AsyncIterable[CheckedRow]) -> AsyncIterator[EmailRequest]:
        index = 0
        async for checked in rows:
            if self.stopping:
                return
            if checked.request:
                self._under_way[index] = checked
                index += 1
                yield checked.request
        self.whole = True

    def _record(self, progress: PublishProgress) -> None:
        accepted = [self._under_way.pop(one.index) for one in progress.newly_accepted]
        left = [(self._under_way.pop(one.index), one) for one in progress.newly_not_accepted]
        self._marks.mark(checked.row.row for checked in accepted)
        self._marks.mark((checked.row.row for checked, _ in left), left=True)
        self.accepted += len(accepted)
        self.not_accepted += len(left)
        today = f"{self._now():%Y-%m-%d}"
        self._saved = replace(self._saved, asked_that_day=self.asked_today + len(accepted), day=today)
        self.refused += [
            RowProblem(self._plan.recipients.name, checked.row.line, f"{one.code}: {one.message}")
            for checked, one in left[: NAMED - len(self.refused)]
        ]
        if self._now() - self._saved_at >= _SAVE_EVERY:
            self._save()

    def _save(self, *, finished: bool = False) -> None:
        if self._state:
            self._marks.save(self._state, self._saved, finished=finished)
            self._saved_at = self._now()
