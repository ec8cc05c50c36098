"""Redrive dead letters: requests go into EmailRetryQueue, reports before FeedbackProcessor.

A message is deleted after it was handed on, never before. Whatever dies in between is handed on again by the
next run, and that doubles nothing: the ledger knows each email by an id that follows from its request, and a
report that comes again finds its mark in the row.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from engine.aws.error_codes import service_errors
from engine.feedback.notifications import notifications
from engine.operations.conditions import Condition, RowReader, is_meant
from engine.operations.dead_letters import DeadLetter, general
from engine.operations.queue_pass import QueuePass
from engine.types import Clock

Sleep = Callable[[float], Awaitable[None]]


class Redriven(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a run did. `handed_on` were deleted from the queue, all others are in it again.

    `unmatched` were not meant; `unreadable` are neither request nor report; `failed`: by cause, those that
    FeedbackProcessor failed on. `stopped`: why the run ended before it had seen all.
    """

    seen: int
    requests: int
    reports: int
    unmatched: int
    unreadable: int
    failed: dict[str, int]
    stopped: str | None

    @property
    def handed_on(self) -> int:
        return self.requests + self.reports


@dataclass
class Pace:
    """No more than `rate` a second; None: as fast as it goes."""

    rate: float | None
    sleep: Sleep
    _next: float = 0.0

    async def turn(self) -> None:
        if self.rate is None:
            return
        now = asyncio.get_running_loop().time()
        mine = max(now, self._next)
        self._next = mine + 1 / self.rate
        if mine > now:
            await self.sleep(mine - now)


@dataclass(frozen=True, kw_only=True)
class Redrive:
    """`sqs`, `functions` (Lambda): aiobotocore clients. `feedback_function`: its name with the alias.

    `ledger` is asked for the template or source of a report, where a condition names one.
    """

    sqs: Any
    functions: Any
    ledger: RowReader
    retry_queue_url: str
    feedback_function: str
    clock: Clock
    sleep: Sleep = asyncio.sleep

    async def run(
        self,
        queue_url: str,
        *,
        conditions: Sequence[Condition] = (),
        rate: float | None = None,
        advance: Callable[[int], None] = lambda _seen: None,
    ) -> Redriven:
        """One pass over the queue. `rate`: messages a second. `advance` hears how many were seen by now.

        Raises nothing for a service that does not answer: the run ends, and its answer says why.
        """
        pace, done, failed = Pace(rate, self.sleep), Counter[str](), Counter[str]()

        async def act(letter: DeadLetter) -> bool:
            outcome = await self._outcome(letter, conditions)
            if outcome == "meant":
                await pace.turn()
                problem = await self._hand_on(letter)
                outcome = "failed" if problem else letter.kind
                failed.update([problem] if problem else [])
            done[outcome] += 1
            advance(done.total())
            return outcome in {"request", "report"}

        one_pass = QueuePass(self.sqs, queue_url, act, self.clock, workers=1 if rate else 4)
        await one_pass.run()
        return Redriven(
            seen=len(one_pass.seen),
            requests=done["request"],
            reports=done["report"],
            unmatched=done["unmatched"],
            unreadable=done["unreadable"],
            failed=dict(failed),
            stopped=one_pass.stopped,
        )

    async def _outcome(self, letter: DeadLetter, conditions: Sequence[Condition]) -> str:
        if not await is_meant(letter, conditions, self.ledger):
            return "unmatched"
        return "meant" if letter.kind in {"request", "report"} else "unreadable"

    async def _hand_on(self, letter: DeadLetter) -> str | None:
        """What kept it from being handed on, if anything did. Raises ServiceUnavailable."""
        if letter.kind == "report":
            return await self._report(letter)
        with service_errors("SQS (EmailRetryQueue)"):
            await self.sqs.send_message(QueueUrl=self.retry_queue_url, MessageBody=letter.body)
        return None

    async def _report(self, letter: DeadLetter) -> str | None:
        """Call FeedbackProcessor as SNS does; what it failed on, if it did."""
        records = [
            {"EventSource": "aws:sns", "Sns": {"Message": each.message, "TopicArn": each.topic_arn}}
            for each in notifications({"body": letter.body})
        ]
        with service_errors("Lambda (FeedbackProcessor)"):
            answer = await self.functions.invoke(
                FunctionName=self.feedback_function, Payload=msgspec.json.encode({"Records": records})
            )
            if "FunctionError" not in answer:
                return None
            payload = await answer["Payload"].read()
        try:
            said = msgspec.json.decode(payload, type=dict[str, Any])
        except msgspec.MsgspecError:
            said = {}
        kind, message = said.get("errorType", answer["FunctionError"]), said.get("errorMessage", "")
        return general(f"{kind}: {message}" if message else str(kind))
