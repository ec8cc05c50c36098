"""What an operator is told of suppressed addresses, in a sentence, and the command to run next."""

from typing import Final

from engine.operations.suppression import Listed, Removed, Suppression
from engine.operations.verdict import Verdict

GLOBAL_LIST: Final = (
    "Whether SES's global list holds the address can't be asked; it forgets within 14 days, and an account"
    " with a suppression list of its own doesn't look at it."
)


def shown_verdict(found: Suppression, options: str) -> Verdict:
    lists = ["the engine's list"] if any(each.topic is None for each in found.entries) else []
    lists += ["SES's account list"] if found.ses else []
    topics = [each.topic for each in found.entries if each.topic]
    what = [f"gets no mail: it is on {' and on '.join(lists)}"] if lists else []
    what += [f"has unsubscribed from {', '.join(_topic(topic) for topic in topics)}"] if topics else []
    if not what:
        return Verdict(good=False, sentence=f"{found.address} is on neither list. {GLOBAL_LIST}")
    return Verdict(
        good=True,
        sentence=f"{found.address} {'; it '.join(what)}.",
        next_command=f"sesmailengine suppression remove {found.address}{options}" if lists else None,
    )


def listed_verdict(found: Listed) -> Verdict:
    if not found.entries:
        return Verdict(good=False, sentence="No address is suppressed for that type and time.")
    more = "; there are more, raise --limit" if found.more else ""
    return Verdict(good=True, sentence=f"{len(found.entries):,} shown, the newest first{more}.")


def removed_verdict(done: Removed, options: str) -> Verdict:
    lists = (("the engine's list", done.ours), ("SES's account list", done.ses))
    gone = " and ".join(name for name, keys in lists if keys)
    told = f"{done.address} was taken off {gone}." if gone else f"{done.address} was on neither list."
    if done.left:
        topics = ", ".join(_topic(each.topic) for each in done.left)
        told += (
            f" It stays unsubscribed from {topics}, by the person's own wish (`sesmailengine topics set`)."
        )
    if done.soft_bounces_stay:
        told += " These credentials may not forget its soft bounces: one more may suppress it again."
    if done.resent:
        told += f" The email refused last is asked for again, with the idempotency key {done.resent}."
    elif done.resend_problem:
        told += f" Nothing was sent again: {done.resend_problem}."
    find = f"sesmailengine find {done.address}{options}" if done.resent else None
    return Verdict(
        good=bool(gone or done.resent) and not done.resend_problem,
        sentence=f"{told} {GLOBAL_LIST}",
        next_command=find,
    )


def _topic(topic: str | None) -> str:
    return "all topics" if topic == "*" else str(topic)
