"""What one history is made of: how much mail, which faults. A seed makes a plan, and a plan a history."""

import random

from msgspec import Struct


class Faults(Struct, frozen=True, kw_only=True):
    """Probabilities of one call, delivery, invocation or report."""

    # A call to AWS; to SES as well, unless it has its own
    throttled: float = 0.0  # AWS says no, and does nothing
    ses_throttled: float = 0.0  # ... beside what SES throttles because it is asked too fast
    unreachable: float = 0.0  # no connection comes about
    answer_lost: float = 0.0  # AWS does it, and the answer never arrives
    ses_answer_lost: float = 0.0  # ... and SES
    request_lost: float = 0.0  # AWS never sees it; to the caller it looks the same
    unprocessed: float = 0.0  # one item or statement or entry of a batch is left undone
    stale_read: float = 0.0  # an eventually consistent read answers with what was there a moment ago
    slow: float = 0.0  # the answer takes a second or two
    # SES
    refused: float = 0.0  # SES rejects an email for good
    send_report_missing: float = 0.0
    # Deliveries
    duplicated: float = 0.0  # an event, a message, a report comes twice
    reordered: float = 0.0  # ... or later than others: an event some seconds, a report up to two minutes
    very_late: float = 0.0  # a report comes up to an hour late
    undelivered: float = 0.0  # a hand-over fails
    # Lambda
    crashed: float = 0.0  # an environment dies at some await of its invocation
    stalled: float = 0.0  # ... or its host runs nothing for up to twenty seconds, and its timers are late


class Plan(Struct, frozen=True, kw_only=True):
    """`rate`: recipients a second that SES grants; `configured`: whether the stack says so.

    `emails` are published over `seconds`. `keep`: only these of them, by number, for a smaller history.
    Parts are of the emails. `pauses`: how often an operator pauses SES; `suppressions`: how often one
    suppresses an address and, later, frees it.
    """

    seed: int
    emails: int = 24
    seconds: float = 20.0
    bulk_seconds: float | None = None  # in which the bulk mail is published; as all mail, if not given
    rate: float = 14.0
    configured: bool = True
    rate_skew: float = 0.010  # seconds that a clock may be off, either way, where the rate is judged
    sender_concurrency: int = 14  # the stack's defaults, for the rate that every account begins with
    bulk_concurrency: int = 8
    bulk: float = 0.5
    trouble: float = 0.4  # part of the addresses that do not simply receive
    troubles: tuple[str, ...] = ()  # their outcomes; any, if none is given
    odd: float = 0.15  # part of the requests that are refused, repeated, large or have copies
    one_address: float = 0.0  # part of the emails that go to one address, which bounces softly
    pauses: int = 0
    outages: int = 0  # how often a service of AWS throttles every call, for a while
    suppressions: int = 0
    campaigns: float = 0.0  # part of the emails that belong to a campaign
    topics: float = 0.0  # part of the emails that have a topic
    readers: int = 0  # people who get many emails, and unsubscribe and come back by the hosted page
    scheduled: float = 0.0  # part of the emails that are asked for at a later time; some are taken back
    expiring: float = 0.0  # part of the emails that expire, within ten minutes
    stops: int = 0  # how often somebody stops mail (all, bulk, a template, a campaign) and lets it go later
    cancels: int = 0  # how often somebody cancels a campaign
    redrives: int = 0  # how often somebody redrives one of the dead-letter queues
    ends_redriven: bool = False  # whether all of them are redriven at the end, until they are empty
    daily_quota: float = -1  # recipients in 24 hours, as SES counts; -1: none
    faults: Faults = Faults()
    keep: frozenset[int] | None = None


def headline(rate: float, emails: int, seed: int) -> Plan:
    """A campaign that keeps SES busy, transactional mail beside it, and the faults of a bad day."""
    seconds = emails / rate
    return Plan(
        seed=seed,
        emails=emails,
        seconds=0.9 * seconds,
        bulk_seconds=0.5 * seconds,
        rate=rate,
        sender_concurrency=max(14, round(0.2 * rate)),
        bulk_concurrency=max(8, round(0.05 * rate)),
        bulk=0.9,
        trouble=0.1,
        odd=0.02,
        faults=Faults(
            throttled=0.05,
            answer_lost=0.001,
            ses_answer_lost=0.02,
            duplicated=0.1,
            reordered=0.1,
            crashed=0.01,
            unprocessed=0.01,
            stale_read=0.1,
            send_report_missing=0.001,
            undelivered=0.001,
        ),
    )


def plan_of(seed: int) -> Plan:
    """The plan of one seed of the small histories that every change runs against.

    Every fifth is calm, so that what only faults excuse (the rate, the counters) is held strictly.
    """
    dice = random.Random(seed)  # noqa: S311 - dice, and the same ones every time
    if seed % 5 == 0:
        return Plan(
            seed=seed,
            emails=dice.randint(40, 80),
            seconds=dice.uniform(1, 5),
            rate=dice.choice((14, 50)),
            rate_skew=0.001,
            bulk=dice.choice((0.2, 0.8)),
            configured=dice.random() < 0.7,
            trouble=dice.choice((0.2, 0.6)),
            odd=dice.choice((0.0, 0.2)),
            faults=Faults(duplicated=0.1, reordered=0.1),
            stops=dice.choice((0, 1)),
        )
    if seed % 25 == 12:
        # Out-of-office answers before late deliveries: originals arrive while their retries are under way.
        return Plan(
            seed=seed,
            emails=40,
            trouble=1.0,
            troubles=("ooto",),
            odd=0.0,
            faults=Faults(very_late=0.6, request_lost=0.2, stalled=0.1),
        )
    level = dice.choice((0.3, 1.0, 1.0, 3.0))
    return Plan(
        seed=seed,
        emails=dice.randint(12, 40),
        seconds=dice.uniform(2, 60),
        rate=dice.choice((1, 14, 14, 50, 200)),
        configured=dice.random() < 0.5,
        bulk=dice.choice((0.0, 0.3, 0.7, 1.0)),
        trouble=dice.choice((0.1, 0.5, 0.9)),
        odd=dice.choice((0.0, 0.2, 0.5)),
        one_address=dice.choice((0.0, 0.0, 0.0, 0.9)),
        pauses=dice.choice((0, 0, 0, 1)),
        suppressions=dice.choice((0, 1, 3)),
        outages=dice.choice((0, 0, 1, 2)),
        daily_quota=10 if dice.random() < 0.05 else -1,
        faults=Faults(
            throttled=0.05 * level * dice.random(),
            ses_throttled=0.05 * level * dice.random(),
            unreachable=0.02 * level * dice.random(),
            answer_lost=0.05 * level * dice.random(),
            ses_answer_lost=0.05 * level * dice.random(),
            request_lost=0.02 * level * dice.random(),
            unprocessed=0.1 * level * dice.random(),
            stale_read=0.5 * dice.random(),
            slow=0.05 * level * dice.random(),
            refused=0.03 * level * dice.random(),
            send_report_missing=0.05 * level * dice.random(),
            duplicated=0.2 * level * dice.random(),
            reordered=0.2 * level * dice.random(),
            very_late=0.05 * level * dice.random(),
            undelivered=0.05 * level * dice.random(),
            crashed=0.15 * level * dice.random(),
            stalled=dice.choice((0.0, 0.1)) * level * dice.random(),
        ),
        redrives=dice.choice((0, 0, 2, 6)),
        ends_redriven=dice.random() < 0.6,
        campaigns=dice.choice((0.0, 0.5)),
        stops=dice.choice((0, 0, 1, 3)),
        cancels=dice.choice((0, 0, 0, 1)),
        topics=dice.choice((0.0, 0.5)),
        readers=dice.choice((0, 2)),
        expiring=dice.choice((0.0, 0.0, 0.3)),
        scheduled=dice.choice((0.0, 0.0, 0.3)),
    )
