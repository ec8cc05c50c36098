"""Which rate the gate keeps to: the configured one, or what SES says."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gate.virtual_time import run_virtually
from botocore.exceptions import ClientError

from engine.aws.send_rate import ASKED_AGAIN, CAUTIOUS_RATE, REMEMBERED, SendRate

THROTTLE = ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow"}}, "GetAccount")


@dataclass
class Account:
    """Answers GetAccount with each of these in turn, the last one again and again."""

    answers: list[Any]
    asked: int = 0
    seconds: float = 0.0

    async def get_account(self) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {"SendQuota": {"MaxSendRate": answer}} if isinstance(answer, float) else answer


@dataclass
class Desk:
    account: Account
    configured: float = 0.0
    now: float = 1_795_507_200.0
    rate: SendRate = field(init=False)

    def __post_init__(self) -> None:
        client: Any = self.account
        self.rate = SendRate(client, self.configured, lambda: self.now, lambda low, _: low)


async def test_a_configured_rate_is_kept_and_ses_is_not_asked() -> None:
    desk = Desk(Account([50.0]), configured=7)
    desk.rate.learn(99, int(desk.now))
    assert await desk.rate() == 7
    assert (desk.account.asked, desk.rate.told) == (0, 0)


async def test_without_one_ses_is_asked_once_in_five_minutes() -> None:
    desk = Desk(Account([50.0]))
    assert [await desk.rate() for _ in range(3)] == [50, 50, 50]
    desk.now += REMEMBERED - 1
    assert await desk.rate() == 50
    assert desk.account.asked == 1


async def test_a_change_is_followed() -> None:
    desk = Desk(Account([50.0, 200.0]))
    await desk.rate()
    desk.now += REMEMBERED
    assert await desk.rate() == 200
    assert (desk.rate.told, desk.rate.told_at) == (200, int(desk.now))


async def test_only_one_of_many_asks() -> None:
    desk = Desk(Account([50.0]))
    await asyncio.gather(*(desk.rate() for _ in range(20)))
    assert desk.account.asked == 1


async def test_what_another_environment_was_told_saves_the_question() -> None:
    desk = Desk(Account([50.0]))
    desk.rate.learn(80, int(desk.now) - 10)
    assert await desk.rate() == 80
    assert desk.account.asked == 0
    desk.now += REMEMBERED - 10
    assert await desk.rate() == 50


async def test_older_news_is_no_news() -> None:
    desk = Desk(Account([50.0]))
    await desk.rate()
    desk.rate.learn(80, int(desk.now) - 1)
    desk.rate.learn(0, int(desk.now) + 1)
    assert await desk.rate() == 50


async def test_while_ses_does_not_answer_the_last_answer_holds_on() -> None:
    desk = Desk(Account([50.0, THROTTLE, 60.0]))
    await desk.rate()
    desk.now += REMEMBERED
    assert await desk.rate() == 50
    desk.now += ASKED_AGAIN - 1
    assert (await desk.rate(), desk.account.asked) == (50, 2)
    desk.now += 1
    assert await desk.rate() == 60


async def test_without_any_answer_the_rate_is_a_cautious_one() -> None:
    assert await Desk(Account([THROTTLE])).rate() == CAUTIOUS_RATE
    assert await Desk(Account([{}])).rate() == CAUTIOUS_RATE


def test_mail_does_not_wait_longer_than_a_second_for_an_answer() -> None:
    async def play() -> tuple[float, float]:
        desk = Desk(Account([50.0], seconds=30))
        return await desk.rate(), asyncio.get_running_loop().time()

    assert run_virtually(play()) == (CAUTIOUS_RATE, 1.0)
