"""What a campaign would take: who gets it, how long it takes, which concurrency, what it costs."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from msgspec import Struct

from engine.operations import prices
from engine.operations.asking import ask, known
from engine.operations.campaign import Wanted
from engine.operations.capacity import MOST_A_SECOND, QUEUES_KEEP, environments, sending_time
from engine.operations.reachable import open_reachability
from engine.operations.ses_account import SesAccount, ses_account
from engine.operations.settings import sender_settings
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict
from engine.tracking.consent import UNSUBSCRIBE

BATCH: Final = 50
"""Emails of the bulk queue in one invocation, unless the stack is told otherwise (BulkBatchSize)."""

UNSUBSCRIBED: Final = "unsubscribed"
"""Why an address is left out that ended its subscription, however it did."""

# As `make bench` measured them in November 2026: seconds of such a batch with 512 MB, each email by a call of
# its own, and dollars of one email for everything but SES.
_BATCH_SECONDS: Final = 0.35
_AROUND_SES: Final = 0.013 / 1000
_LOOKED_UP: Final = 1_000  # addresses at a time


class CampaignPlan(Struct, frozen=True, kw_only=True, rename="camel"):
    """`kept_from`: emails that the suppression table keeps from their addresses, by its reason.

    `rate`: recipients a second, the lowest of the account's, the stack's and the engine's. `daily_quota` and
    `left_today` in recipients, None without one. `concurrency`: environments that the rate keeps busy.
    `dollars` on SES's plan of older accounts, `dollars_essentials` on that of newer ones.
    """

    rows: int
    bad_rows: int
    repeated: int
    kept_from: dict[str, int]
    emails: int
    recipients: int
    account: SesAccount
    rate: float
    daily_quota: float | None
    left_today: float | None
    seconds: float
    concurrency: int
    dollars: float
    dollars_essentials: float


async def plan(
    stack: DeployedStack,
    wanted: Iterable[Wanted],
    *,
    rows: int,
    bad_rows: int,
    topic: str | None,
    on_rows: Callable[[int], None],
) -> CampaignPlan:
    """`wanted`: each email once. May raise ServiceUnavailable and ClientError."""
    account = await ses_account(stack)
    settings = known(await ask(sender_settings(stack)))
    configured = settings.ses_max_send_rate if settings else 0
    rate = min(account.max_send_rate, configured or account.max_send_rate, MOST_A_SECOND)
    reachability = await open_reachability(stack, topic)
    kept_from: Counter[str] = Counter()
    asked = emails = recipients = 0
    left = iter(wanted)
    while part := list(islice(left, _LOOKED_UP)):
        rows_found = await reachability.kept_from([each.to for each in part])
        for each in part:
            if row := rows_found.get(each.key):
                ended = row.suppression_type == UNSUBSCRIBE
                kept_from[UNSUBSCRIBED if ended else row.reason or row.suppression_type] += 1
            else:
                emails += 1
                recipients += each.recipients
        asked += len(part)
        on_rows(asked)
    quota = account.daily_quota if account.daily_quota >= 0 else None
    may_send = rate > 0 and quota != 0
    seconds = sending_time(recipients, rate, quota, account.left).total_seconds() if may_send else math.inf
    return CampaignPlan(
        rows=rows,
        bad_rows=bad_rows,
        repeated=rows - bad_rows - asked,
        kept_from=dict(kept_from.most_common()),
        emails=emails,
        recipients=recipients,
        account=account,
        rate=rate,
        daily_quota=quota,
        left_today=account.left,
        seconds=seconds,
        concurrency=environments(rate, BATCH, _BATCH_SECONDS),
        dollars=recipients * prices.SES_EMAIL + emails * _AROUND_SES,
        dollars_essentials=recipients * prices.SES_EMAIL_ESSENTIALS + emails * _AROUND_SES,
    )


def judge_plan(facts: CampaignPlan) -> Verdict:
    """Whether it can go, as it is."""
    account = facts.account
    if not facts.emails:
        return Verdict(good=False, sentence="Nobody in the file would get an email.")
    if not account.sending_enabled:
        return Verdict(good=False, sentence="SES has paused sending for this account: the emails would wait.")
    if not account.production:
        return Verdict(
            good=False,
            sentence="This account is in SES's sandbox: it may write to verified addresses alone. Ask for"
            " production access first.",
        )
    if math.isinf(facts.seconds):
        return Verdict(good=False, sentence="SES lets this account send nothing: its rate or quota is 0.")
    bad = (
        f"{facts.bad_rows:,} of {facts.rows:,} rows can't be sent: `send --dry-run` names them. "
        if facts.bad_rows
        else ""
    )
    said = f"{bad}{facts.emails:,} emails leave within {in_words(facts.seconds)}"
    if facts.seconds <= QUEUES_KEEP.total_seconds():
        return Verdict(good=True, sentence=f"{said}, while no other mail takes a share of the rate.")
    share = int(facts.daily_quota or facts.rate * 86_400)
    return Verdict(
        good=False,
        sentence=f"{said}, and SQS deletes what has waited for {QUEUES_KEEP.days} days. Send it in parts,"
        f" with --max-per-day {share}, or ask SES for a higher quota.",
    )


def in_words(seconds: float) -> str:
    """Such as `4 minutes`, `10 hours`, `3.2 days`."""
    if math.isinf(seconds):
        return "never"
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            count = seconds / unit
            return f"{count:.1f} {name}" if count < 10 and unit > 60 else f"{count:.0f} {name}"
    return f"{max(seconds, 1):.0f} seconds"
