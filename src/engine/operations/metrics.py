"""CloudWatch: sums and maxima of many metrics, in as few calls as it takes.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from msgspec import Struct

from engine.aws.dynamodb import chunks
from engine.operations.stack import DeployedStack
from engine.telemetry import SERVICE

_QUERIES: Final = 500  # of one call


class Metric(Struct, frozen=True):
    """One metric of CloudWatch."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: Literal["Sum", "Maximum"] = "Sum"


def counted(function: str, stage: str, name: str) -> Metric:
    """What a deployed function of the engine counts, by its whole name, as `engine.telemetry` names it."""
    return Metric(SERVICE, name, (("service", function), ("environment", stage)))


async def metric_values(
    stack: DeployedStack, metrics: Sequence[Metric], start: datetime, end: datetime, *, period: int
) -> dict[Metric, Mapping[datetime, float]]:
    """The values of each metric by the beginning of their periods (of `period` seconds).

    Empty where there are none. May raise ClientError.
    """
    client = await stack.client("cloudwatch")
    found: dict[Metric, dict[datetime, float]] = {metric: {} for metric in metrics}
    for part in chunks(metrics, _QUERIES):
        queries = {f"m{number}": metric for number, metric in enumerate(part)}
        more: dict[str, Any] = {}
        while True:
            answer = await client.get_metric_data(
                MetricDataQueries=[_query(name, metric, period) for name, metric in queries.items()],
                StartTime=start,
                EndTime=end,
                **more,
            )
            for result in answer["MetricDataResults"]:
                times_and_values = zip(result["Timestamps"], result["Values"], strict=True)
                found[queries[result["Id"]]].update(times_and_values)
            if not answer.get("NextToken"):
                break
            more = {"NextToken": answer["NextToken"]}
    return dict(found)


def _query(name: str, metric: Metric, period: int) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in metric.dimensions]
    named = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": named, "Period": period, "Stat": metric.statistic}}
