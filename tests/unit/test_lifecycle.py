"""A status only climbs, so the order in which news arrives doesn't matter."""

from collections.abc import Sequence
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tracking.lifecycle import RANK, Status, can_transition

statuses = st.sampled_from(Status)


def final(reports: Sequence[Status], start: Status = Status.SENDING) -> Status:
    current = start
    for status in reports:
        current = status if can_transition(current, status) else current
    return current


def test_ranks_are_those_of_the_contract() -> None:
    ascending = ["sending", "sent", "soft_bounced", "delivered", "opened", "failed", "bounced"]
    assert [RANK[Status(name)] for name in ascending] == list(range(7))
    assert RANK[Status.COMPLAINED] == RANK[Status.BOUNCED]


def test_every_status_has_a_rank() -> None:
    assert set(RANK) == set(Status)


@given(statuses, statuses)
def test_rank_never_goes_down(current: Status, to: Status) -> None:
    assert RANK[final([to], current)] >= RANK[current]


@given(statuses)
def test_a_status_never_gives_way_to_itself(status: Status) -> None:
    assert not can_transition(status, status)


@given(statuses, statuses)
def test_of_two_statuses_exactly_one_gives_way(one: Status, other: Status) -> None:
    assert (one is other) or can_transition(one, other) != can_transition(other, one)


@given(st.lists(statuses, max_size=12), st.randoms(use_true_random=False))
def test_every_order_and_repetition_ends_in_the_same_status(reports: list[Status], random: Random) -> None:
    shuffled = reports + random.choices(reports, k=3) if reports else []
    random.shuffle(shuffled)
    assert final(shuffled) is final(reports)


def test_every_order_of_all_statuses_ends_complained() -> None:
    ends = {final(order) for order in permutations(Status, 8)}
    assert ends == {Status.COMPLAINED}


@pytest.mark.parametrize(
    ("reports", "end"),
    [
        ([Status.DELIVERED, Status.BOUNCED], Status.BOUNCED),  # legal: a server may take mail and return it
        ([Status.BOUNCED, Status.DELIVERED], Status.BOUNCED),
        ([Status.OPENED, Status.DELIVERED], Status.OPENED),
        ([Status.SOFT_BOUNCED, Status.DELIVERED], Status.DELIVERED),
        ([Status.DELIVERED, Status.SOFT_BOUNCED], Status.DELIVERED),
        ([Status.COMPLAINED, Status.BOUNCED], Status.COMPLAINED),
        ([Status.BOUNCED, Status.COMPLAINED], Status.COMPLAINED),
    ],
)
def test_the_graver_news_wins(reports: list[Status], end: Status) -> None:
    assert final(reports) is end
