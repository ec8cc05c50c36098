"""Which rate the gate keeps to: the configured one, or what SES says."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from benchmarks.gate.fake_aws import Silence, SimulatedTable
from benchmarks.gate.virtual_time import run_virtually
from botocore.exceptions import ClientError

from engine.aws.mailer import get_send_rate
from engine.errors import ServiceUnavailable
from engine.rate.gcra import SECOND
from engine.rate.shared_state import (
    ASKED_AGAIN,
    CAUTIOUS_RATE,
    PATIENCE,
    REMEMBERED,
    AccountRate,
    SharedRateState,
)

NOW = 1_795_507_200.0
MINUTES = REMEMBERED / SECOND
THROTTLE = ServiceUnavailable("SES GetAccount answered TooManyRequestsException")


@dataclass
class Ses:
    """Answers with each of these in turn, the last one again and again."""

    answers: list[float | ServiceUnavailable]
    asked: int = 0
    seconds: float = 0.0

    async def __call__(self) -> float:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ServiceUnavailable):
            raise answer
        return answer


@dataclass
class Account:
    """An SES account and its State table, with one environment or several."""

    ses: Ses
    now: float = NOW
    telemetry: Silence = field(default_factory=Silence)
    table: SimulatedTable = field(default_factory=lambda: SimulatedTable(random.Random(1)))  # noqa: S311 - dice

    def environment(self, configured: float = 0.0) -> tuple[AccountRate, SharedRateState]:
        shared = SharedRateState(self.table, self.telemetry, lambda: self.now)
        rate = AccountRate(
            shared, self.ses, self.telemetry, configured=configured, vary=lambda shortest, _: shortest
        )
        return rate, shared


async def test_a_configured_rate_is_kept_and_ses_is_not_asked() -> None:
    account = Account(Ses([50.0]))
    rate, shared = account.environment(configured=7)
    await shared.publish_rate(99)
    assert await rate.current() == 7
    assert account.ses.asked == 0


async def test_without_one_ses_is_asked_once_in_five_minutes() -> None:
    account = Account(Ses([50.0]))
    rate, _ = account.environment()
    assert [await rate.current() for _ in range(3)] == [50, 50, 50]
    account.now += MINUTES - 1
    assert await rate.current() == 50
    assert account.ses.asked == 1
    assert account.telemetry.names == ["send-rate-told"]


async def test_a_change_is_followed() -> None:
    account = Account(Ses([50.0, 200.0]))
    rate, _ = account.environment()
    await rate.current()
    account.now += MINUTES
    assert await rate.current() == 200


async def test_only_one_of_many_asks() -> None:
    account = Account(Ses([50.0], seconds=0.01))
    rate, _ = account.environment()
    await asyncio.gather(*(rate.current() for _ in range(20)))
    assert account.ses.asked == 1


async def test_what_one_environment_was_told_saves_the_others_the_question() -> None:
    account = Account(Ses([80.0, 50.0]))
    first, _ = account.environment()
    await first.current()
    second, shared = account.environment()
    await shared.refresh()
    assert await second.current() == 80
    assert account.ses.asked == 1
    account.now += MINUTES
    assert await second.current() == 50


async def test_older_news_is_no_news() -> None:
    account = Account(Ses([50.0]))
    late, its_view = account.environment()
    await its_view.refresh()
    account.now += 10
    rate, _ = account.environment()
    await rate.current()
    account.now -= 5
    await its_view.publish_rate(80)
    assert (account.table.state.rate, await late.current()) == (50, 50)


async def test_while_ses_does_not_answer_the_last_answer_holds_on() -> None:
    account = Account(Ses([50.0, THROTTLE, 60.0]))
    rate, _ = account.environment()
    await rate.current()
    account.now += MINUTES
    assert await rate.current() == 50
    account.now += ASKED_AGAIN / SECOND - 1
    assert (await rate.current(), account.ses.asked) == (50, 2)
    account.now += 1
    assert await rate.current() == 60


@pytest.mark.parametrize("answer", [THROTTLE, 0.0])
async def test_without_any_answer_the_rate_is_a_cautious_one(answer: float | ServiceUnavailable) -> None:
    rate, _ = Account(Ses([answer])).environment()
    assert await rate.current() == CAUTIOUS_RATE


def test_what_ses_said_is_kept_though_the_table_cannot_be_told() -> None:
    async def play() -> tuple[float, float]:
        account = Account(Ses([50.0]))
        account.table = SimulatedTable(random.Random(1), outage=(0, 1))  # noqa: S311 - dice
        rate, shared = account.environment()
        meanwhile = await rate.current()
        await asyncio.sleep(2)
        account.now += 2
        await shared.refresh()
        return meanwhile, await rate.current()

    assert run_virtually(play()) == (50, 50)


def test_mail_does_not_wait_longer_than_a_second_for_an_answer() -> None:
    async def play() -> tuple[float, float]:
        rate, _ = Account(Ses([50.0], seconds=30)).environment()
        return await rate.current(), asyncio.get_running_loop().time()

    assert run_virtually(play()) == (CAUTIOUS_RATE, PATIENCE)


# -- GetAccount ------------------------------------------------------------------------------------------


class Client:
    """An SES client of which only GetAccount is asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def get_account(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(("answer", "rate"), [({"SendQuota": {"MaxSendRate": 14.0}}, 14), ({}, 0)])
async def test_get_account_names_the_send_rate(answer: dict[str, Any], rate: float) -> None:
    client: Any = Client(answer)
    assert await get_send_rate(client) == rate


async def test_get_account_is_refused_beyond_once_a_second() -> None:
    error = ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow"}}, "GetAccount")
    client: Any = Client(error)
    with pytest.raises(ServiceUnavailable, match="SES GetAccount"):
        await get_send_rate(client)
