"""What the pages ask of a stack and do to it, by the same functions as the commands."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.errors import EngineError, describe_bug
from engine.local.web.pages import Watchers
from engine.operations import dlq, dlq_verdicts, stopping
from engine.operations.advice import judge_email
from engine.operations.asking import Unknown, ask, known
from engine.operations.curve import Curve, today_curve
from engine.operations.explain import email_facts
from engine.operations.scopes import scope_in_words
from engine.operations.sentences import TOLD, one_error, sentence_of
from engine.operations.settings import sender_settings
from engine.operations.stack import DeployedStack
from engine.operations.status import StackStatus, stack_status
from engine.operations.stopping_verdicts import resumed_verdict, stopped_verdict
from engine.operations.suppression import Listed, Suppression, open_book
from engine.operations.suppression_verdicts import removed_verdict
from engine.operations.verdict import Verdict
from engine.types import Clock

SHOWN_ACTS: Final = 5
_SHOWN_ADDRESSES: Final = 100
_AT_ONCE: Final = 2.0  # seconds for which the browser waits; what takes longer goes on behind the page

logger = logging.getLogger(__name__)


class NoStackError(EngineError):
    """There is no stack to ask, or not yet."""


@dataclass
class Act:
    """Something that an operator has begun. `verdict`: None while it is under way."""

    title: str
    since: datetime
    verdict: Verdict | None = None


class Desk:
    """`stack` may come later than the pages: those of `make local` are there while it is deployed.

    Every method that asks the stack may raise NoStackError and what its operation raises.
    """

    def __init__(self, stack: DeployedStack | None, watchers: Watchers, clock: Clock) -> None:
        self.stack = stack
        self.acts: deque[Act] = deque(maxlen=SHOWN_ACTS)
        self.clock = clock
        self._watchers = watchers
        self._tasks: set[asyncio.Task[None]] = set()

    # -- look --------------------------------------------------------------------------------------------

    async def status(self) -> StackStatus:
        return await stack_status(self._here(), self.clock())

    async def curve(self) -> Curve:
        stack = self._here()
        settings = known(await ask(sender_settings(stack)))
        return await today_curve(stack, self.clock(), settings.environment if settings else None)

    async def verdict(self, email_id: str) -> Verdict | None:
        """What became of an email, as `explain` says; None where the ledger has none, or can't be asked."""
        if self.stack is None or not email_id:
            return None
        facts = await ask(email_facts(self.stack, email_id))
        if facts is None or isinstance(facts, Unknown):
            return None
        return judge_email(facts, self.clock(), self.options)

    async def suppressed(self, kinds: Sequence[str]) -> Listed:
        return await (await open_book(self._here(), self.clock)).list(kinds, None, _SHOWN_ADDRESSES)

    async def suppression(self, address: str) -> Suppression:
        return await (await open_book(self._here(), self.clock)).show(address)

    @property
    def options(self) -> str:
        """Those that name the stack on a command line."""
        return self.stack.address.options if self.stack else ""

    # -- act ---------------------------------------------------------------------------------------------

    async def stop(self, scope: str, because: str) -> None:
        stack = self._here()

        async def act() -> Verdict:
            return stopped_verdict(await stopping.stop(stack, scope, because, self.clock), self.options)

        await self._begin(f"Stop {scope_in_words(scope)}", act)

    async def go(self, scope: str) -> None:
        stack = self._here()

        async def act() -> Verdict:
            done = await stopping.go(stack, scope, self.clock, uncancel=False, on_progress=lambda *_: None)
            return resumed_verdict(done, self.options)

        await self._begin(f"Let {scope_in_words(scope)} go", act)

    async def redrive(self, queue: str) -> None:
        stack = self._here()

        async def act() -> Verdict:
            done = await dlq.redrive(stack, queue, self.clock)
            return dlq_verdicts.redriven_verdict(done, queue, self.options)

        await self._begin(f"Redrive {queue}", act)

    async def unsuppress(self, address: str, *, resend: bool) -> None:
        stack = self._here()

        async def act() -> Verdict:
            done = await (await open_book(stack, self.clock)).remove(address, resend=resend)
            return removed_verdict(done, self.options)

        await self._begin(f"Take {address} off the suppression lists", act)

    async def close(self) -> None:
        """Break off what is under way; every act may be run again."""
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _begin(self, title: str, work: Callable[[], Awaitable[Verdict]]) -> None:
        act = Act(title, self.clock())
        self.acts.appendleft(act)
        task = asyncio.create_task(self._run(act, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait([task], timeout=_AT_ONCE)

    async def _run(self, act: Act, work: Callable[[], Awaitable[Verdict]]) -> None:
        try:
            with one_error():
                act.verdict = await work()
        except asyncio.CancelledError:
            act.verdict = Verdict(good=False, sentence="It was broken off. It may be run again.")
            raise
        except TOLD as error:
            act.verdict = Verdict(good=False, sentence=sentence_of(error, self._here().address))
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says so and stays
            # No trace: its last line may quote an address.
            logger.error("An act failed: %s", describe_bug(error))  # noqa: TRY400 - as said above
            sentence = "This failed for a reason that the console's log names."
            act.verdict = Verdict(good=False, sentence=sentence)
        finally:
            self._watchers.wake()

    def _here(self) -> DeployedStack:
        if self.stack is None:
            raise NoStackError("The stack is not deployed yet.")
        return self.stack
