"""Today's curve: what falls into which quarter of an hour, and how it is drawn."""

from datetime import UTC, datetime

from engine.local.console.chart import HEIGHT, WIDTH, chart
from engine.operations.curve import SLOTS, Curve, slots_of
from engine.schemas.rows import TrackingRow

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)


def row(**more: str) -> TrackingRow:
    return TrackingRow(email_id="e", **more)  # type: ignore[arg-type] # times alone


def test_an_email_counts_where_it_reached_each_status() -> None:
    rows = [
        row(sent_at="2026-11-24T00:14:59.999Z", delivered_at="2026-11-24T00:15:00.000Z"),
        row(sent_at="2026-11-24T23:59:59.000Z", bounced_at="2026-11-25T00:00:01.000Z"),
        row(),
    ]
    slots = slots_of(rows, MIDNIGHT)
    assert [slot for slot, count in enumerate(slots["sent"]) if count] == [0, 95]
    assert [slot for slot, count in enumerate(slots["delivered"]) if count] == [1]
    assert sum(slots["bounced"]) == 0  # the next day's


def test_a_line_ends_at_this_moment_and_its_highest_point_is_the_top() -> None:
    sent = [0] * SLOTS
    sent[0], sent[1] = 20, 5
    drawn = chart(Curve(source="rows", slots={"sent": sent}), datetime(2026, 11, 24, 0, 40, tzinfo=UTC))
    (line,) = drawn.lines
    assert (line.total, drawn.most) == (25, 20)
    points = [tuple(map(float, point.split(","))) for point in line.points.split()]
    assert len(points) == 3
    assert [y for _, y in points] == [0, HEIGHT * 0.75, HEIGHT]
    assert all(0 <= x <= WIDTH for x, _ in points)


def test_a_day_without_mail_is_a_line_at_the_bottom() -> None:
    drawn = chart(Curve(source="rows", slots={"sent": [0] * SLOTS}), MIDNIGHT)
    assert drawn.most == 0
    assert drawn.lines[0].points.endswith(f",{HEIGHT:.1f}")
