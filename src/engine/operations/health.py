"""What a stack's status means: what its lanes wait for, and the worst that is wrong. Pure."""

from collections.abc import Iterator

from engine.operations.advice import day
from engine.operations.emails import duration
from engine.operations.queues import BULK, PARKED, QueueDepth
from engine.operations.scopes import go_command
from engine.operations.ses_account import ENOUGH, HEALTHY, MOST_COMPLAINTS, SesAccount
from engine.operations.status import StackStatus
from engine.operations.today import Trouble
from engine.operations.verdict import Verdict, amount
from engine.tracking.bounce_quota import QuotaReading, refuse_over_quota
from engine.tracking.brakes import STOP, STOP_ALL, STOP_BULK, describe


def waits_for(lane: QueueDepth, status: StackStatus) -> str:
    """What keeps the mail of a lane, as far as can be told; empty where none waits."""
    if not lane.total:
        return ""
    brakes = {brake.pk for brake in status.brakes}
    if lane.queue == PARKED:
        return "`go`: it is parked under a brake"
    if status.ses and (pause := _pause(status.ses)):
        return pause
    if STOP_ALL in brakes or (lane.queue == BULK and STOP_BULK in brakes):
        return "`go`: the lane is stopped"
    if lane.queue == BULK and status.ses and status.ses.max_send_rate:
        return f"its turn: at least {duration(lane.total / status.ses.max_send_rate)} at the account's rate"
    return "its turn"


def _pause(account: SesAccount) -> str:
    if not account.sending_enabled:
        return "SES, which has paused the account"
    if account.left == 0:
        return "SES's daily quota, which is used up"
    return ""


def judge_status(status: StackStatus, options: str = "") -> Verdict:
    """Healthy, or the worst first and then the others."""
    problems = [*_account_problems(status), *_mail_problems(status), *_alarm_problems(status)]
    if not problems:
        unknown = f" Not known: {', '.join(status.unknown)}." if status.unknown else ""
        today = status.today.by_status
        if today.get("failed", 0) > today.get("delivered", 0) + today.get("opened", 0):
            sentence = f"Nothing is wrong with the stack. More emails failed today than arrived.{unknown}"
            find = f"sesmailengine find --status failed --since 1d{options}"
            return Verdict(good=True, sentence=sentence, next_command=find)
        return Verdict(good=True, sentence=f"Nothing is wrong.{unknown}")
    sentences, commands = zip(*problems, strict=True)
    command = f"sesmailengine {commands[0]}{options}" if commands[0] else None
    return Verdict(good=False, sentence=" ".join(sentences), next_command=command)


_Problem = tuple[str, str | None]
"""A sentence, and the command that helps."""


def _account_problems(status: StackStatus) -> Iterator[_Problem]:
    account = status.ses
    if account is None:
        return
    if not account.sending_enabled or account.enforcement == "SHUTDOWN":
        yield "SES does not let the account send: its console says why. Mail waits, up to 14 days.", "doctor"
    elif account.enforcement != HEALTHY:
        yield f"SES has the account under review ({account.enforcement}): mend what bounces.", "doctor"
    if account.left == 0:
        yield "SES's daily quota is used up: mail waits until there is room again.", "doctor"


def _mail_problems(status: StackStatus) -> Iterator[_Problem]:
    today = status.reputation
    reading = QuotaReading(today.sends, today.bounces)
    if status.quota and (refusal := refuse_over_quota(reading, status.quota)):
        what = "holds bulk mail" if status.quota.holds_bulk else "refuses mail"
        sentence = f"The engine {what}: {refusal.message}.{_causes(today.bounced)}"
        yield sentence, "find --status bounced --since 1d"
    for brake in status.brakes:
        if brake.pk.startswith(STOP):
            yield f"Mail is stopped: {describe(brake)}.", go_command(brake)
    for queue in status.dead_letters:
        if queue.total:
            sentence = f"Given up, and to be looked at: {amount(queue.total, 'message')} in {queue.queue}."
            yield sentence, f"dlq show {queue.queue}"
    # Of bounces the engine's own quota speaks.
    if today.sends >= ENOUGH and today.complaint_rate > MOST_COMPLAINTS:
        sentence = (
            f"{today.complaint_rate:.2f} % of today's recipients complained, and SES reviews accounts at"
            f" {MOST_COMPLAINTS} %.{_causes(today.complained)}"
        )
        yield sentence, "find --status complained --since 1d"


def _alarm_problems(status: StackStatus) -> Iterator[_Problem]:
    for alarm in status.alarms:
        yield f"The alarm {alarm.name} rings since {day(alarm.since)}: {alarm.says}", None


def _causes(trouble: Trouble) -> str:
    causes = (("template", trouble.template), ("campaign", trouble.campaign))
    named = [f"{kind} {cause.name} ({cause.count} of {trouble.count})" for kind, cause in causes if cause]
    return f" Most of it comes of {' and '.join(named)}." if named else ""
