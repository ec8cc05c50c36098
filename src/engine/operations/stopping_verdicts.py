"""What an operator is told of stopped mail, in a sentence, and the command to run next."""

from typing import Final

from engine.operations.parked import HIDDEN_SECONDS, Return
from engine.operations.queues import PARKED
from engine.operations.scopes import scope_in_words, scope_option
from engine.operations.stopping import Cancelled, Resumed, Stopped
from engine.operations.verdict import Verdict, amount
from engine.tracking.brakes import describe

_NO_PARKING: Final = f"this stack has no {PARKED}"


def stopped_verdict(facts: Stopped, options: str) -> Verdict:
    """`options`: those that name the stack on a command line."""
    if not facts.parks:
        return Verdict(
            good=False,
            sentence=f"The brake is set, but {_NO_PARKING}: an older version does not look"
            " at brakes, a newer one lets stopped mail wait in its lane. Update the stack, and see whether"
            " mail still leaves.",
            next_command=f"sesmailengine status{options}",
        )
    before = f" It was already: {describe(facts.before)}." if facts.before else ""
    return Verdict(
        good=True,
        sentence=f"{_sentence(scope_in_words(facts.scope))} is stopped. That holds within two seconds; what"
        f" is stopped waits in {PARKED}, for 14 days at most.{before}",
        next_command=f"sesmailengine go {scope_option(facts.scope)}{options}",
    )


def resumed_verdict(facts: Resumed, options: str) -> Verdict:
    """`options`: those that name the stack on a command line."""
    if facts.scope:
        what = _sentence(scope_in_words(facts.scope))
        said = [f"{what} goes again." if facts.lifted else f"{what} was not stopped."]
    else:
        said = ["What was stopped goes again." if facts.lifted else "Nothing was stopped."]
    status = f"sesmailengine status{options}"
    good = bool(facts.lifted)
    if facts.returned is None:
        said.append(f"As {_NO_PARKING}, nothing was parked: what was stopped comes back by itself.")
    else:
        held = sum(facts.returned.held.values())
        if facts.returned.moved:
            said.append(f"{_emails(facts.returned.moved)} came back to {_lanes(facts.returned.moved)}.")
        elif not held and not facts.returned.hidden:
            said.append("Nothing was parked.")
        if held:
            said.append(f"{_emails(held)} stay parked: {', '.join(sorted(facts.returned.held))}.")
        if facts.returned.problem:
            again = "Run it again to go on: nothing goes twice."
            return Verdict(
                good=False,
                sentence=f"{' '.join(said)} It broke off: {facts.returned.problem}. {again}",
                next_command=f"sesmailengine go {scope_option(facts.scope)}{options}",
            )
        if facts.returned.hidden:
            return Verdict(
                good=False,
                sentence=f"{' '.join(said)} {_hidden(facts.returned)}",
                next_command=f"sesmailengine go {scope_option(facts.scope)}{options}",
            )
        good = good or facts.returned.moved > 0
    if facts.cancelled:
        said.append(f"It is cancelled, though, and its mail ends as failed: {describe(facts.cancelled)}.")
        good = False
    return Verdict(good=good, sentence=" ".join(said), next_command=status)


def cancelled_verdict(facts: Cancelled, options: str) -> Verdict:
    """`options`: those that name the stack on a command line."""
    campaign = facts.scope.partition("#")[2]
    said = f"Campaign {campaign} is cancelled: what has not left yet ends as failed, with the code cancelled."
    if facts.returned is None:
        return Verdict(
            good=False,
            sentence=f"{said} But {_NO_PARKING}: a version older than brakes does not look"
            " at them. Update the stack.",
        )
    if facts.returned.problem:
        return Verdict(
            good=False,
            sentence=f"{said} Of the parked mail {_emails(facts.returned.moved)} went there, then it broke"
            f" off: {facts.returned.problem}. Run it again to go on.",
        )
    if facts.returned.hidden:
        return Verdict(good=False, sentence=f"{said} {_hidden(facts.returned)}")
    return Verdict(
        good=True,
        sentence=f"{said} {_emails(facts.returned.moved)} left {PARKED} for that.",
        next_command=f"sesmailengine campaign status {campaign}{options}",
    )


def _hidden(returned: Return) -> str:
    return (
        f"About {_emails(returned.hidden)} could not be looked at: another run has them in hand, or one that"
        f" was killed. Run it again in {HIDDEN_SECONDS // 60} minutes, when they show themselves."
    )


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _emails(count: int) -> str:
    return amount(count, "parked email")


def _lanes(count: int) -> str:
    return "its lane" if count == 1 else "their lanes"
