"""What a month cost, from fixed measurements."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.stand_ins import stack_of

from engine.cli.operate.cost import judge_cost
from engine.errors import EngineError
from engine.operations import prices
from engine.operations.cost import MonthCost, month_cost, month_of

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
REQUIRED = ("TRACKING_TABLE", "SUPPRESSION_TABLE", "STATE_TABLE", "EVENT_BUS_NAME", "TEMPLATE_BUCKET")
VARIABLES = dict.fromkeys(REQUIRED, "x") | {
    "RETRY_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/q",
    "SES_CONFIGURATION_SET": "ConfigSet",
    "DEFAULT_SENDER_EMAIL": "a@shop.example",
    "ENVIRONMENT": "test",
}


class Functions:
    """Both functions, with 512 MB."""

    async def get_function_configuration(self, **_: Any) -> Any:
        return {"MemorySize": 512, "Environment": {"Variables": VARIABLES}}


class CloudWatch:
    """Answers the named sums; what is not named has no value."""

    def __init__(self, sums: dict[tuple[str, str], float]) -> None:
        self.sums = sums
        self.spans: list[tuple[datetime, datetime]] = []

    async def get_metric_data(self, *, MetricDataQueries: Any, StartTime: datetime, EndTime: datetime) -> Any:
        self.spans.append((StartTime, EndTime))
        results = []
        for query in MetricDataQueries:
            metric = query["MetricStat"]["Metric"]
            value = self.sums.get((metric["MetricName"], metric["Dimensions"][0]["Value"]))
            found = [] if value is None else [value]
            results.append({"Id": query["Id"], "Timestamps": [StartTime] * len(found), "Values": found})
        return {"MetricDataResults": results}


class Logs:
    """Logs Insights."""

    def __init__(self, results: list[dict[str, str]]) -> None:
        self.results = results
        self.asked: list[str] = []

    async def start_query(self, **given: Any) -> Any:
        self.asked.append(given["logGroupName"])
        return {"queryId": "q"}

    async def get_query_results(self, **_: Any) -> Any:
        rows = [[{"field": name, "value": value} for name, value in row.items()] for row in self.results]
        return {"status": "Complete", "results": rows}


class Explorer:
    async def get_cost_and_usage(self, **given: Any) -> Any:
        assert given["Filter"] == {"Tags": {"Key": "sesmailengine:stack", "Values": ["sesmailengine"]}}
        group = {"Keys": ["AWS Lambda"], "Metrics": {"UnblendedCost": {"Amount": "1.25"}}}
        return {"ResultsByTime": [{"Groups": [group]}]}


async def cost(services: Mapping[str, Any] = {}, month: str = "2026-11") -> MonthCost:
    return await month_cost(stack_of(services), month, NOW)


async def test_use_is_what_was_measured_at_the_prices_that_were_read() -> None:
    sums = {
        ("EmailsSent", "sesmailengine-EmailSender"): 100_000.0,
        ("Duration", "sesmailengine-EmailSender"): 2_000_000.0,
        ("Invocations", "sesmailengine-EmailSender"): 90_000.0,
        ("Invocations", "sesmailengine-FeedbackProcessor"): 200_000.0,
        ("ConsumedWriteCapacityUnits", "sesmailengine-EmailTracking"): 1_000_000.0,
    }
    found = await cost({"lambda": Functions(), "cloudwatch": CloudWatch(sums)})
    assert found.emails == 100_000
    assert (found.ses, found.ses_essentials) == pytest.approx((10.0, 16.0))
    lines = {(line.what, line.unit): line for line in found.measured}
    assert lines["Lambda EmailSender", "GB-seconds"].quantity == 1_000  # 2,000 s of half a GB
    assert lines["Lambda EmailSender", "GB-seconds"].dollars == 1_000 * prices.LAMBDA_GB_SECOND
    assert lines["Lambda", "invocations"].quantity == 290_000
    assert lines["SNS", "reports"].dollars == pytest.approx(0.1)
    # One number for the table and for each of its three indexes, of which the fake has the same.
    assert lines["DynamoDB", "writes"].quantity == 4_000_000
    assert found.unknown == {
        "lanes and templates": "start_query answered AccessDeniedException",
        "what AWS billed": "get_cost_and_usage answered AccessDeniedException",
    }


async def test_a_past_month_is_asked_for_whole_and_this_one_until_now() -> None:
    cloudwatch = CloudWatch({("EmailsSent", "sesmailengine-EmailSender"): 1.0})
    for month in ("2026-10", "2026-11"):
        await cost({"lambda": Functions(), "cloudwatch": cloudwatch}, month)
    november = datetime(2026, 11, 1, tzinfo=UTC)
    assert cloudwatch.spans == [(datetime(2026, 10, 1, tzinfo=UTC), november), (november, NOW)]


async def test_lanes_and_templates_come_from_the_log_and_the_bill_from_cost_explorer() -> None:
    logs = Logs([{"lane": "bulk", "template": "news", "emails": "70000"}, {"emails": "30000"}])
    found = await cost({"logs": logs, "ce": Explorer()})
    assert logs.asked == ["/aws/lambda/sesmailengine-EmailSender"]
    assert [(share.lane, share.template, share.emails) for share in found.shares] == [
        ("bulk", "news", 70_000),
        ("not named", "not named", 30_000),
    ]
    assert found.shares[0].dollars == pytest.approx(7.0)
    assert found.billed == {"AWS Lambda": 1.25}


async def test_a_month_that_nothing_measured_is_no_cheap_month() -> None:
    found = await cost({"lambda": Functions(), "cloudwatch": CloudWatch({})})
    verdict = judge_cost(found)
    assert not verdict.good
    assert verdict.sentence == (
        "What 2026-11 cost can't be told: CloudWatch has no metric of the stack for this month."
    )


@pytest.mark.parametrize("month", ["November", "2026-13", "2026"])
async def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(EngineError, match="is no month; expected YYYY-MM"):
        await cost(month=month)


async def test_a_month_to_come_is_refused() -> None:
    with pytest.raises(EngineError, match="2026-12 is still to come"):
        await cost(month="2026-12")


def test_a_month_ends_where_the_next_begins() -> None:
    assert month_of("2026-12")[1] == datetime(2027, 1, 1, tzinfo=UTC)
